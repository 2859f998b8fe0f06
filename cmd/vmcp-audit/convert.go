package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/toolhive"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

const convertHelp = `Shows each event of a file in another format, one line out for each line in.

Lines may be events of this program or audit lines of ToolHive, mixed as they
come. Without FILE, or with one of -, they come from stdin. Lines that are
neither are named on stderr, and the exit code is 1; blank lines are left out. docs/formats.md describes
the formats.

Lines of ToolHive keep ToolHive's outcomes, which go by HTTP status, unless the
answer was recorded and tells of a failure. Secrets are taken out of them by the
rules of docs/redaction.md.`

// convertOptions are the flags of convert.
type convertOptions struct {
	to      string
	header  string
	maxSize string
}

func (p *program) convert() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert [FILE|-]",
		Short: "show events in another format: CEF, LEEF, RFC 5424, JSON",
		Long:  convertHelp,
		Example: `  vmcp-audit convert --to cef audit.jsonl
  vmcp-audit convert --to leef --header rfc3164 --max-size 4KiB audit.jsonl
  thv logs vmcp | vmcp-audit convert --to json -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("convert takes one file, not %d\nhint: vmcp-audit convert --help", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.runConvert(cmd.Context(), args, o) },
	}
	choiceFlag(cmd, &o.to, "to", "", "format of the output", words(formats.Names())...)
	choiceFlag(cmd, &o.header, "header", "", "syslog header before each line; rfc5424 has its own", words(formats.Headers())...)
	cmd.Flags().StringVar(&o.maxSize, "max-size", "0", "most bytes of a line, as 1024, 4KiB; what is longer is cut and stays valid; 0: no limit")
	return cmd
}

// words returns names as plain strings.
func words[T ~string](names []T) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

func (p *program) runConvert(ctx context.Context, args []string, o convertOptions) error {
	format, err := o.format()
	if err != nil {
		return err
	}
	in, err := p.openInput(ctx, slices.Concat(args, []string{"-"})[0])
	if err != nil {
		return err
	}
	defer in.Close()
	out := bufio.NewWriterSize(p.stdout, readSize)
	lines, bad := lineReader{r: flushing{in, out}}, 0
	var buf []byte
	for {
		line, err := lines.next(ctx, false)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			break
		}
		var e *emitter.Event
		if err == nil {
			e, err = decodeLine(line)
		} else if !errors.Is(err, errLongLine) {
			return err
		}
		if err != nil {
			bad++
			fmt.Fprintf(p.stderr, "vmcp-audit: line %d: %s\n", lines.n, printable(err.Error()))
			continue
		}
		buf = append(format(buf[:0], e), '\n')
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
	if err := cmp.Or(out.Flush(), ctx.Err()); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d lines are no events", bad, lines.n)
	}
	return nil
}

// flushing reads r. Before it waits for more, it writes out what was made of the
// rest.
type flushing struct {
	r   io.Reader
	out *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.r.Read(p)
}

func (o convertOptions) format() (emitter.Format, error) {
	var size config.Size
	if err := size.UnmarshalText([]byte(o.maxSize)); err != nil || size > 1<<30 {
		return nil, usagef("--max-size %s: is not a size of at most 1GiB, as 1024, 4KiB", printable(o.maxSize))
	}
	opt := formats.Options{Format: formats.Name(o.to), Header: formats.Header(o.header), MaxSize: int(size)}
	if opt.Header == formats.HeaderNone {
		opt.Header = "" // rfc5424 has its own
	}
	format, err := formats.New(opt)
	if err != nil {
		return nil, usageError{err}
	}
	return format, nil
}

// decodeLine reads an event of ours or an audit line of ToolHive. As JSON one of
// ours goes out as it came in, so it has to be a line of text to every reader.
func decodeLine(line []byte) (*emitter.Event, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("it is no UTF-8")
	}
	if bytes.IndexByte(bytes.TrimRight(line, "\r"), '\r') >= 0 {
		return nil, errors.New("it holds a carriage return")
	}
	e, err := emitter.Decode(line)
	if err == nil {
		return e, nil
	}
	foreign, foreignErr := toolhive.Decode(line)
	if foreignErr == nil {
		return foreign, nil
	}
	return nil, fmt.Errorf("%w; %w", err, foreignErr)
}

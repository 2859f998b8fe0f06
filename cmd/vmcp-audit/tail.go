package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

const tailHelp = `Shows the events of a spool or a file in the order in which they were stored.

Without an argument it is the spool, VMCP_AUDIT_SPOOL_DIR or the default one, or,
where there is none, the file of VMCP_AUDIT_FILE_PATH. A DIR is the folder of a
spool, which may be in use: reading takes nothing from it and keeps nobody
waiting. A spool keeps only what a destination still needs, and a little more.
A FILE of - is stdin. Times are UTC.

With --follow a file may be moved and made anew, and a spool is read as it grows;
an event may be shown just before the disk has confirmed it.

Text that a stranger chose is quoted where it could lead a terminal astray.
What is no event, or does not verify, is named on stderr, and the exit code is 1.`

// tailOptions are the flags of tail.
type tailOptions struct {
	filter
	follow bool
	last   int
	open   bool
	output string
	color  string
}

func (p *program) tail() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail [DIR|FILE|-]",
		Short: "show the events of a spool or a file, as they come",
		Long:  tailHelp,
		Example: `  vmcp-audit tail -f
  vmcp-audit tail --outcome denied,error --since 1h audit.jsonl
  vmcp-audit tail --type mcp_tool_call --user alice -n 20 -o json /var/lib/vmcp-audit/spool
  vmcp-audit tail --open`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("tail takes one file or folder, not %d\nhint: vmcp-audit tail --help", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.runTail(cmd.Context(), args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on as it grows")
	f.IntVarP(&o.last, "lines", "n", -1, "only the last N of the events that are there and fit; -1: all")
	f.BoolVar(&o.open, "open", false, "only calls that were received and never completed: what was running when the process ended (needs VMCP_AUDIT_DURABILITY=strict)")
	o.flags(cmd)
	outputFlag(cmd, &o.output, outputs()...)
	choiceFlag(cmd, &o.color, "color", "", "colour of the outcome; auto obeys NO_COLOR", "auto", "always", "never")
	return cmd
}

func (p *program) runTail(ctx context.Context, args []string, o tailOptions) error {
	keep, err := o.keep(time.Now())
	if err != nil {
		return err
	}
	if o.open && o.follow {
		return usagef("--open and --follow do not go together: whether a call ends is known at the end")
	}
	show, err := p.shower(o)
	if err != nil {
		return err
	}
	path, err := p.tailPath(args)
	if err != nil {
		return err
	}
	t := &tailer{p: p, path: path, follow: o.follow, keep: keep, all: o.empty(), show: show, last: o.last}
	if o.open {
		t.calls = newOpenCalls()
	}
	if info, err := os.Stat(path); path != "-" && err == nil && info.IsDir() {
		return t.end(t.spool(ctx))
	}
	in, err := p.openTail(ctx, path, o.follow)
	if err != nil {
		return err
	}
	defer in.Close()
	return t.end(t.lines(ctx, in))
}

// tailPath returns what the argument names, else the configured spool or file.
func (p *program) tailPath(args []string) (string, error) {
	if len(args) > 0 && args[0] != "" {
		return args[0], nil
	}
	cfg, _, err := config.Load(p.environ, config.LoadOptions{Known: typeNames()})
	if err != nil {
		return "", err
	}
	if _, err := spool.OpenLog(cfg.SpoolDir); cfg.SpoolDir != "" && !errors.Is(err, fs.ErrNotExist) {
		return cfg.SpoolDir, nil
	}
	i := slices.IndexFunc(cfg.Files, func(f config.FileDestination) bool { return f.Path != "-" && f.Format == formats.NameJSON })
	if i < 0 {
		return "", usagef("there is no spool in %s yet, and no file is configured\nhint: vmcp-audit tail FILE, or the folder of a spool", printable(cfg.SpoolDir))
	}
	return cfg.Files[i].Path, nil
}

func (p *program) openTail(ctx context.Context, path string, follow bool) (io.ReadCloser, error) {
	if follow && path != "-" {
		return openFollower(path)
	}
	return p.openInput(ctx, path)
}

// tailer shows events as they are read.
type tailer struct {
	p      *program
	path   string
	follow bool
	keep   func(*emitter.Event) bool
	all    bool // keep keeps all
	show   func(*emitter.Event) error
	last   int        // how many of the first look are shown; less than 0: all
	held   []read     // these, of the first look
	calls  *openCalls // instead of showing; nil: not so
	n, bad int        // lines or records, and those that are no events
}

// read is something that was read and may be an event.
type read struct {
	line   []byte
	number uint64        // of the line, or the record's seq
	log    *spool.Log    // nil: it is a line
	record *spool.Record // of log
	event  *emitter.Event
}

// decode reads the event.
func (r *read) decode() (*emitter.Event, error) {
	if r.event != nil {
		return r.event, nil
	}
	e, err := emitter.Decode(r.line)
	if err == nil && r.log != nil {
		e.Integrity = emitter.IntegrityOf(r.log.Stream(), r.record)
	}
	return e, err
}

// clone returns a copy that stays valid.
func (r *read) clone() read {
	c := *r
	c.line = bytes.Clone(r.line)
	if r.record != nil {
		rec := *r.record
		rec.Payload = c.line
		c.record = &rec
	}
	return c
}

// place says where it stands.
func (r *read) place() string {
	if r.log != nil {
		return fmt.Sprint("seq ", r.number)
	}
	return fmt.Sprint("line ", r.number)
}

// take takes what was read, of which the line is valid until it returns.
func (t *tailer) take(r read) error {
	t.n++
	if t.last >= 0 && t.all && t.calls == nil { // most of them need not be decoded
		t.hold(r.clone())
		return nil
	}
	e, ok := t.decode(&r)
	switch {
	case !ok:
		return nil
	case t.calls != nil:
		t.calls.take(e, &r)
		return nil
	}
	return t.pick(e)
}

// pick shows or holds e if it fits.
func (t *tailer) pick(e *emitter.Event) error {
	switch {
	case !t.keep(e):
		return nil
	case t.last < 0:
		return t.show(e)
	}
	t.hold(read{event: e})
	return nil
}

// decode tells of what is no event.
func (t *tailer) decode(r *read) (*emitter.Event, bool) {
	e, err := r.decode()
	if err != nil {
		t.bad++
		fmt.Fprintf(t.p.stderr, "vmcp-audit: %s: %s\n", r.place(), printable(err.Error()))
	}
	return e, err == nil
}

// hold keeps r, and gives up the oldest one if there are enough.
func (t *tailer) hold(r read) {
	t.held = append(t.held, r)
	if len(t.held) > t.last {
		t.held[0] = read{}
		t.held = t.held[1:]
	}
}

// release shows what was held: from now on everything is shown.
func (t *tailer) release() error {
	held := t.held
	t.held, t.last = nil, -1
	for i := range held {
		e, ok := t.decode(&held[i])
		if !ok {
			continue
		}
		if err := t.show(e); err != nil {
			return err
		}
	}
	return nil
}

// lines reads a file.
func (t *tailer) lines(ctx context.Context, in io.Reader) error {
	_, follow := in.(*follower) // stdin ends where it ends
	lines := lineReader{r: in}
	lines.idle = t.release
	for {
		line, err := lines.next(ctx, follow)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errLongLine) {
			t.odd(fmt.Errorf("line %d: %w", lines.n, err))
			continue
		}
		if err != nil {
			return err
		}
		if err := t.take(read{line: line, number: uint64(lines.n)}); err != nil {
			return err
		}
	}
}

// spool reads a spool, again and again if it is followed.
func (t *tailer) spool(ctx context.Context) error {
	var at spool.Position
	for {
		err := inspect.Walk(ctx, t.path, &at, t.record, t.odd)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return spoolError(t.path, err)
		}
		if !t.follow {
			return nil
		}
		if err := t.release(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollGap):
		}
	}
}

func (t *tailer) record(l *spool.Log, rec spool.Record) error {
	return t.take(read{line: rec.Payload, number: rec.Seq, log: l, record: &rec})
}

func (t *tailer) odd(err error) {
	t.n++
	t.bad++
	fmt.Fprintln(t.p.stderr, "vmcp-audit:", printable(err.Error()))
}

// end shows what is left when nothing more can be read.
func (t *tailer) end(err error) error {
	if err != nil {
		return err
	}
	if t.calls != nil {
		for _, c := range t.calls.list() {
			if e, ok := t.decode(&c.read); ok {
				if err := t.pick(e); err != nil {
					return err
				}
			}
		}
		t.calls.warn(t.p.stderr)
	}
	if err := t.release(); err != nil {
		return err
	}
	if t.bad > 0 {
		return fmt.Errorf("%d of %d are no events, or cannot be read", t.bad, t.n)
	}
	return nil
}

// spoolError adds a hint to the error of a folder that is no spool.
func spoolError(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no spool: it has neither segments nor a file named stream\nhint: name the folder that %sSPOOL_DIR has, or the files of a trail", printable(dir), config.Prefix)
	}
	return err
}

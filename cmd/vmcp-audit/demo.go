package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/file"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

const demoFile = "audit.jsonl"

// runDemo serves the demo, talks to it and shows what was recorded.
func (p *program) runDemo(cmd *cobra.Command, once bool) error {
	p.setDefault("FILE_PATH", demoFile)
	p.setDefault("PRIVILEGED_TOOLS", vmcp.DemoPrivileged)
	if once {
		p.setDefault("LISTEN", "127.0.0.1:0")
	}
	ownSpool := !p.has(config.Prefix + "SPOOL_DIR")
	if ownSpool {
		dir, err := os.MkdirTemp("", "vmcp-audit-demo-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }() // in the folder of what may be removed
		p.setDefault("SPOOL_DIR", dir)
	}
	cfg, log, err := p.load(cmd, config.Need{Destination: true}, "listen")
	if err != nil {
		return err
	}
	shown := &terminal{to: p.stdout}
	a, err := openAudit(cfg, log, emitter.Route{Name: "terminal", Sink: shown})
	if err != nil {
		return err
	}
	srv := vmcp.NewDemo(version().Version, a.recorder(), cfg.Durability == config.Strict)
	l, err := a.listenAt(cmd.Context(), srv)
	if err != nil {
		return errors.Join(err, a.close())
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.serve(ctx, l, srv.Close) }()
	err = p.converse(ctx, l, a, srv, shown)
	if err != nil || once {
		stop()
	} else {
		p.invite(l)
	}
	err = errors.Join(err, <-ended)
	if ownSpool && a.emitter != nil {
		for _, r := range a.emitter.Stats().Routes {
			if r.Pending > 0 {
				err = errors.Join(err, fmt.Errorf("%d events did not reach the destination %s and are removed with the demo's spool", r.Pending, r.Name))
			}
		}
	}
	return err
}

func (p *program) converse(ctx context.Context, l *listener, a *audit, srv *vmcp.Server, shown *terminal) error {
	fmt.Fprintf(p.stdout, "A virtual MCP server with two back ends, and what a client of it leaves in the audit trail:\n\n")
	srv.Start()
	if err := vmcp.Converse(ctx, l.url("/mcp"), version().Version); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	a.settle(ctx)
	if !a.cfg.Enabled {
		_, err := fmt.Fprintf(p.stdout, "Nothing, since %sENABLED is false.\n", config.Prefix)
		return err
	}
	denied := shown.denied.Load()
	if denied == nil {
		return nil // the terminal has not got it in time
	}
	fmt.Fprintf(p.stdout, "\nThe denied call in full:\n\n%s\n", memberLines(*denied))
	if files := a.cfg.Files; len(files) > 0 && files[0].Path != file.Stdout {
		fmt.Fprintf(p.stdout, "\nAll of them are in %s. Show them again: %s tail %[1]s\n", files[0].Path, p.name)
	}
	return nil
}

// settle waits until every destination that is up has everything.
func (a *audit) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	waits := func(r emitter.RouteStats) bool { return r.Pending > 0 && r.State == emitter.RouteUp }
	for a.emitter != nil && ctx.Err() == nil && slices.ContainsFunc(a.emitter.Stats().Routes, waits) {
		time.Sleep(time.Millisecond)
	}
}

func (p *program) invite(l *listener) {
	fmt.Fprintf(p.stdout, `
Serving at %[1]s until Ctrl-C. Point a client at it, e.g.
  claude mcp add --transport http vmcp-audit-demo %[1]s
`, l.url("/mcp"))
}

// setDefault sets a variable that the environment leaves open.
func (p *program) setDefault(name, value string) {
	if !p.has(config.Prefix + name) {
		p.environ = append(p.environ, config.Prefix+name+"="+value)
	}
}

// terminal shows what clients did, one line each, and keeps the last denial.
type terminal struct {
	to     io.Writer
	denied atomic.Pointer[[]byte]
}

// Send never fails: the demo goes on if nobody looks.
func (t *terminal) Send(_ context.Context, batch []emitter.Record) (int, error) {
	for _, r := range batch {
		e, err := emitter.Decode(r.Body)
		if err != nil || strings.HasPrefix(string(e.Type), "audit_") {
			continue // what the audit says of itself is in the file
		}
		_, _ = t.to.Write(append(formats.Compact(nil, e), '\n'))
		if e.Outcome == emitter.OutcomeDenied {
			body := bytes.Clone(r.Body)
			t.denied.Store(&body)
		}
	}
	return len(batch), nil
}

// memberLines begins a new line at each member of a JSON object, not of those
// within it.
func memberLines(object []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(object))
	out := []byte("{")
	_, _ = dec.Token()
	for dec.More() {
		var value json.RawMessage
		key, _ := dec.Token()
		if dec.Decode(&value) != nil {
			return object
		}
		if len(out) > 1 {
			out = append(out, ",\n "...)
		}
		out = append(fmt.Appendf(out, "%q:", key), value...)
	}
	return append(out, '}')
}

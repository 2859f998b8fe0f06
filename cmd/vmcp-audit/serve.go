package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/file"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

const serveHelp = `Runs an audited virtual MCP server. So far that is the demo: two embedded back
ends, one user, one policy, and a short conversation with it.

The events go to VMCP_AUDIT_FILE_PATH, else to audit.jsonl in this folder.`

func (p *program) serve() *cobra.Command {
	var demo, once bool
	cmd := &cobra.Command{
		Use:   "serve --demo",
		Short: "audited virtual MCP server",
		Long:  serveHelp,
		Example: `  vmcp-audit serve --demo
  vmcp-audit serve --demo --once`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !demo {
				return usagef("serve has no configuration file yet: only --demo\nhint: 'vmcp-audit proxy' audits a server of yours")
			}
			return p.runDemo(cmd, once)
		},
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "embedded back ends and a conversation with them")
	cmd.Flags().BoolVar(&once, "once", false, "end after the conversation; any free port is taken")
	cmd.Flags().String("listen", "", "host:port to listen on (VMCP_AUDIT_LISTEN, 127.0.0.1:4484)")
	return cmd
}

const demoFile = "audit.jsonl"

// runDemo serves the demo, talks to it and shows what was recorded.
func (p *program) runDemo(cmd *cobra.Command, once bool) error {
	p.setDefault("FILE_PATH", demoFile)
	p.setDefault("PRIVILEGED_TOOLS", vmcp.DemoPrivileged)
	if once {
		p.setDefault("LISTEN", "127.0.0.1:0")
	}
	cfg, log, err := p.load(cmd, config.Need{Destination: true}, "listen")
	if err != nil {
		return err
	}
	terminal, err := file.Open(file.Stdout, file.Options{Stdout: p.stdout})
	if err != nil {
		return err
	}
	shown := new(lastDenied)
	a, err := openAudit(cfg, log, emitter.Route{Name: "terminal", Format: formats.Compact, Sink: terminal}, emitter.Route{Name: "shown", Format: formats.JSON, Sink: shown})
	if err != nil {
		return err
	}
	l, err := listen(cmd.Context(), cfg, a.wrap(vmcp.NewDemo(version().Version)), log)
	if err != nil {
		return errors.Join(err, a.close())
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.serve(ctx, l) }()
	err = p.converse(ctx, l, cfg, shown)
	if err != nil || once {
		stop()
	} else {
		p.invite(l)
	}
	return errors.Join(err, <-ended)
}

func (p *program) converse(ctx context.Context, l *listener, cfg config.Config, shown *lastDenied) error {
	fmt.Fprintf(p.stdout, "A virtual MCP server with two back ends, and what a client of it leaves in the audit trail:\n\n")
	if err := vmcp.Converse(ctx, l.url("/mcp"), version().Version); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if shown.event == nil {
		return nil // the audit is switched off
	}
	fmt.Fprintf(p.stdout, "\nThe denied call in full:\n\n%s\n", shown.event)
	if len(cfg.Files) > 0 && cfg.Files[0].Path != file.Stdout {
		fmt.Fprintf(p.stdout, "\nAll of them are in %s. Show them again: %s tail %[1]s\n", cfg.Files[0].Path, p.name)
	}
	return nil
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

// lastDenied keeps the last denied event, one member a line.
type lastDenied struct{ event []byte }

// Send never fails.
func (s *lastDenied) Send(_ context.Context, batch []emitter.Record) (int, error) {
	for _, r := range batch {
		if e, err := emitter.Decode(r.Body); err == nil && e.Outcome == emitter.OutcomeDenied {
			s.event = memberLines(r.Body)
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

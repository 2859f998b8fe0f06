package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/front"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/file"
)

const serveHelp = `Runs an audited virtual MCP server over one or many back ends: their tools,
prompts and resources as if they were of one server, at /mcp for both eras of
the protocol, and at /sse for clients of 2024-11-05; or to one client over stdio.
What is relayed and what is not is in docs/vmcp.md.

A back end is a URL, of a server that speaks streamable HTTP or HTTP+SSE, or a
command that is started for each session and spoken to over stdio. A tool or
prompt has the name of its back end and an underscore before its own; with one
back end only, names stay as they are.

With --demo: two embedded back ends, one user, one policy, and a short
conversation with it. The events go to VMCP_AUDIT_FILE_PATH, else to audit.jsonl
in this folder, and to other destinations that are set. Unless
VMCP_AUDIT_SPOOL_DIR is set, the demo's spool is a folder of this run alone and
is removed at the end.`

// serveFlags are those of serve that stand for no variable.
type serveFlags struct {
	demo, once bool
	stdio      bool
	backends   []string
	origins    []string
	hosts      []string
}

func (p *program) serve() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve --backend NAME=URL|COMMAND ...",
		Short: "audited virtual MCP server",
		Long:  serveHelp,
		Example: `  vmcp-audit serve --demo
  VMCP_AUDIT_FILE_PATH=audit.jsonl vmcp-audit serve --backend github=http://127.0.0.1:3001/mcp --backend 'files=npx -y @modelcontextprotocol/server-filesystem /srv'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.demo && len(f.backends) > 0:
				return usagef("--demo has back ends of its own: no --backend")
			case f.demo:
				return p.runDemo(cmd, f.once)
			case len(f.backends) == 0:
				return usagef("serve needs back ends: --backend NAME=URL or NAME=COMMAND, once or more\nhint: --demo shows what it does")
			}
			return p.runServe(cmd, f)
		},
	}
	cmd.Flags().StringArrayVar(&f.backends, "backend", nil, "a back end, as NAME=URL or NAME=COMMAND; may be repeated")
	cmd.Flags().StringArrayVar(&f.origins, "allow-origin", nil, "an origin whose pages may use the server, as https://app.example.com; may be repeated")
	cmd.Flags().StringArrayVar(&f.hosts, "allow-host", nil, "a name that the server is called by; may be repeated. Given once, no other is taken")
	cmd.Flags().BoolVar(&f.stdio, "stdio", false, "serve one client over standard input and output instead of listening")
	cmd.Flags().BoolVar(&f.demo, "demo", false, "embedded back ends and a conversation with them")
	cmd.Flags().BoolVar(&f.once, "once", false, "end after the conversation; any free port is taken")
	cmd.Flags().String("listen", "", "host:port to listen on (VMCP_AUDIT_LISTEN, 127.0.0.1:4484)")
	return cmd
}

func (p *program) runServe(cmd *cobra.Command, f serveFlags) error {
	specs, rules, err := f.read()
	if err != nil {
		return err
	}
	cfg, log, err := p.load(cmd, config.Need{Destination: true}, "listen")
	if err != nil {
		return err
	}
	if f.stdio && slices.ContainsFunc(cfg.Files, func(d config.FileDestination) bool { return d.Path == file.Stdout }) {
		return usagef("--stdio: standard output is the client's, it cannot be a destination of the audit too")
	}
	a, err := openAudit(cfg, log)
	if err != nil {
		return err
	}
	var backends []*upstream.Backend
	for _, s := range specs {
		backends = append(backends, upstream.New(s, log))
	}
	srv := vmcp.New(backends, vmcp.Options{
		Core: core.Options{
			Name: cfg.Component, Version: version().Version, Rules: rules,
			Recorder: a.recorder(), Strict: cfg.Durability == config.Strict, Log: log,
		},
		Front:   front.Options{Recorder: a.recorder(), Log: log},
		Allowed: front.Allowed{Origins: f.origins, Hosts: f.hosts},
	})
	if f.stdio {
		return a.serveStdio(cmd.Context(), srv, p.stdin, p.stdout)
	}
	l, err := a.listenAt(cmd.Context(), srv)
	if err != nil {
		return errors.Join(err, a.close())
	}
	if err := begin(srv); err != nil {
		return errors.Join(err, l.Close(), a.close())
	}
	log.Info("listening", "url", l.url("/mcp"), "backends", len(backends))
	return a.serve(cmd.Context(), l, srv.Close)
}

// read returns the back ends and the rules that the flags stand for.
func (f *serveFlags) read() ([]upstream.Spec, *aggregate.Rules, error) {
	var specs []upstream.Spec
	var names []string
	seen := make(map[string]bool)
	for _, value := range f.backends {
		s, err := parseBackend(value)
		if err != nil {
			return nil, nil, err
		}
		if seen[s.Name] {
			return nil, nil, usagef("--backend %s is given twice", s.Name)
		}
		seen[s.Name] = true
		specs, names = append(specs, s), append(names, s.Name)
	}
	rules := new(aggregate.Rules)
	if len(specs) == 1 {
		rules.Strategy = aggregate.Manual // without conflicts names stay as they are
	}
	if err := rules.Check(names); err != nil {
		return nil, nil, usageError{err}
	}
	return specs, rules, nil
}

const headerLimit = 128 << 10 // bytes of a request's header

// listenAt takes the port for a virtual server.
func (a *audit) listenAt(ctx context.Context, srv *vmcp.Server) (*listener, error) {
	l, err := listen(ctx, a.cfg, func(local net.Addr) http.Handler { return srv.Handler(local, a.wrap) }, a.log)
	if err != nil {
		return nil, err
	}
	l.drain, l.abort, l.server.MaxHeaderBytes = srv.Drain, srv.Abort, headerLimit
	return l, nil
}

// serveStdio serves the one client that started us, within the audit.
func (a *audit) serveStdio(ctx context.Context, srv *vmcp.Server, in io.Reader, out io.Writer) error {
	err := begin(srv)
	if err == nil {
		err = srv.Stdio(ctx, in, out, a.wrap)
		srv.Close()
	}
	return errors.Join(err, a.close())
}

// begin starts a server, unless its back ends make names ambiguous.
func begin(srv *vmcp.Server) error {
	srv.Start()
	err := srv.Ambiguous()
	if err != nil {
		srv.Close()
	}
	return err
}

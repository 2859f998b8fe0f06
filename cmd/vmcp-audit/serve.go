package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp"
	vmcpconfig "github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/config"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/front"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/health"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/file"
)

const serveHelp = `Runs an audited virtual MCP server over one or many back ends: their tools,
prompts and resources as if they were of one server, at /mcp for both eras of
the protocol, and at /sse for clients of 2024-11-05; or to one client over stdio.
What is relayed and what is not is in docs/vmcp.md.

The back ends, and under which names their tools are shown, stand in a YAML file
with the keys of ToolHive's vMCP (docs/vmcp-config.md), whose section audit means
the same as the variables, which win. Or they are named by --backend: as a URL, of
a server that speaks streamable HTTP or HTTP+SSE, or a command that is started for
each session and spoken to over stdio. A tool or prompt then has the name of its
back end and an underscore before its own; with one back end only, names stay as
they are. If back ends make a name ambiguous the server does not start (78).

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
		Use:   "serve --config FILE | --backend NAME=URL|COMMAND ...",
		Short: "audited virtual MCP server",
		Long:  serveHelp,
		Example: `  vmcp-audit serve --demo
  vmcp-audit serve --config vmcp.yaml
  VMCP_AUDIT_FILE_PATH=audit.jsonl vmcp-audit serve --backend github=http://127.0.0.1:3001/mcp --backend 'files=npx -y @modelcontextprotocol/server-filesystem /srv'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.demo && (len(f.backends) > 0 || cmd.Flags().Changed(configFlag)):
				return usagef("--demo has back ends of its own: no --backend, no --config")
			case f.demo:
				return p.runDemo(cmd, f.once)
			}
			return p.runServe(cmd, f)
		},
	}
	addConfigFlag(cmd)
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
	vc, warnings, err := p.virtual(cmd, f.backends)
	if err != nil {
		return err
	}
	cfg, log, err := p.load(cmd, config.Need{Destination: true}, "listen", configFlag)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
	if f.stdio && slices.ContainsFunc(cfg.Files, func(d config.FileDestination) bool { return d.Path == file.Stdout }) {
		return usagef("--stdio: standard output is the client's, it cannot be a destination of the audit too")
	}
	backends, err := specs(vc.Backends, p.environ)
	if err != nil {
		return err
	}
	a, err := openAudit(cfg, log)
	if err != nil {
		return err
	}
	srv := vmcp.New(upstreams(backends, log), vmcp.Options{
		Core: core.Options{
			Name: cmp.Or(vc.Name, cfg.Component), Version: version().Version, Rules: &vc.Rules, Whole: vc.Whole,
			Recorder: a.recorder(), Strict: cfg.Durability == config.Strict, Log: log,
			Health: health.Options{Interval: vc.HealthInterval, Timeout: vc.HealthTimeout, Threshold: vc.UnhealthyThreshold},
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

// virtual returns what the virtual server is made of, and warnings: by flags, or
// by the file. Without a name it is called as the component.
func (p *program) virtual(cmd *cobra.Command, backends []string) (vmcpconfig.Config, []string, error) {
	path := p.configFile(cmd)
	switch {
	case len(backends) == 0 && path == "":
		return vmcpconfig.Config{}, nil, usagef("serve needs back ends: --config FILE, or --backend NAME=URL or NAME=COMMAND once or more\nhint: --demo shows what it does")
	case len(backends) == 0:
		return p.readConfig(path)
	case cmd.Flags().Changed(configFlag):
		return vmcpconfig.Config{}, nil, usagef("--config has the back ends: no --backend")
	}
	c, warnings, err := vmcpconfig.FromFlags(backends)
	if err != nil {
		return c, nil, usageError{err}
	}
	c.Name = ""
	return c, warnings, nil
}

func upstreams(specs []upstream.Spec, log *slog.Logger) []*upstream.Backend {
	all := make([]*upstream.Backend, len(specs))
	for i, s := range specs {
		all[i] = upstream.New(s, log)
	}
	return all
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
	stop := a.reopening(ctx)
	err := begin(srv)
	if err == nil {
		err = srv.Stdio(ctx, in, out, a.wrap, a.cfg.DrainTimeout)
		srv.Close()
	}
	stop()
	return errors.Join(err, a.close())
}

// begin starts a server, unless its back ends make names ambiguous.
func begin(srv *vmcp.Server) error {
	srv.Start()
	if err := srv.Ambiguous(); err != nil {
		srv.Close()
		return configError{err}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/proxy"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

const proxyHelp = `Passes MCP traffic on to one server and records every operation.

Path, query, bodies, order and timing stay as they are: point your client at
this address with the path that the server has. Connections are not upgraded
(101), and the server is asked for answers that are not compressed.`

func (p *program) proxy() *cobra.Command {
	var preserveHost bool
	cmd := &cobra.Command{
		Use:   "proxy --upstream URL",
		Short: "audited reverse proxy before any MCP server",
		Long:  proxyHelp,
		Example: `  VMCP_AUDIT_FILE_PATH=audit.jsonl vmcp-audit proxy --upstream http://127.0.0.1:3001
  VMCP_AUDIT_FILE_PATH=- VMCP_AUDIT_FILE_FORMAT=compact vmcp-audit proxy --upstream https://mcp.example.com`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runProxy(cmd, preserveHost) },
	}
	cmd.Flags().String("upstream", "", "the server's URL (VMCP_AUDIT_UPSTREAM)")
	cmd.Flags().String("listen", "", "host:port to listen on (VMCP_AUDIT_LISTEN, 127.0.0.1:4484)")
	cmd.Flags().BoolVar(&preserveHost, "preserve-host", false, "send the client's Host header instead of the server's")
	return cmd
}

func (p *program) runProxy(cmd *cobra.Command, preserveHost bool) error {
	cfg, log, err := p.load(cmd, config.Need{Upstream: true, Destination: true}, "upstream", "listen")
	if err != nil {
		return err
	}
	a, err := openAudit(cfg, log)
	if err != nil {
		return err
	}
	l, err := listen(cmd.Context(), cfg, func(net.Addr) http.Handler {
		return a.wrap(proxy.New(cfg.Upstream, proxy.Options{PreserveHost: preserveHost, Log: log}))
	}, log)
	if err != nil {
		return errors.Join(err, a.close())
	}
	if l.is(cfg.Upstream) {
		return errors.Join(usagef("%sUPSTREAM is the address of this proxy itself", config.Prefix), l.Close(), a.close())
	}
	log.Info("listening", "url", l.url(cfg.Upstream.Path), "upstream", cfg.Upstream.String())
	return a.serve(cmd.Context(), l)
}

// serve runs l within the audit and closes both; before the audit, what ended
// closes.
func (a *audit) serve(ctx context.Context, l *listener, ended ...func()) error {
	stop := a.reopening(ctx)
	err := l.serve(ctx)
	for _, f := range ended {
		f()
	}
	stop()
	return errors.Join(err, a.close())
}

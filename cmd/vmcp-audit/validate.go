package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

const validateHelp = `Checks the configuration: every mistake is one line, and nothing is started or
changed. That of a virtual server too, if --config names its file; no back end is
asked. With --connect each destination is looked at too, each beside the
others: a file is opened for appending, and made if it is not there; a collector
is asked whether it is well and takes the token; a syslog receiver is connected
to, with TLS, and sent an empty line or datagram, which shows in part how it
divides messages. No event is sent: 'vmcp-audit send' does that.

Exit codes: 0 all is well, 69 a destination cannot be reached or refuses us,
78 configuration wrong.`

func (p *program) validate() *cobra.Command {
	var connect bool
	var output string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "check the configuration, and with --connect each destination",
		Long:  validateHelp,
		Example: `  vmcp-audit validate
  vmcp-audit validate --config vmcp.yaml
  VMCP_AUDIT_SYSLOG_ADDR=tls://siem.example.com vmcp-audit validate --connect`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usagef("--timeout %s: must be more than 0", timeout)
			}
			return p.runValidate(cmd, connect, output, timeout)
		},
	}
	addConfigFlag(cmd)
	cmd.Flags().BoolVar(&connect, "connect", false, "look at each destination, too")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "longest wait for each destination")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (p *program) runValidate(cmd *cobra.Command, connect bool, output string, timeout time.Duration) error {
	var warnings []string
	if path := p.configFile(cmd); path != "" {
		var err error
		if _, warnings, err = p.readConfig(path); err != nil {
			return err
		}
	}
	cfg, log, err := p.load(cmd, config.Need{Destination: true}, configFlag)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
	var results []destinationResult
	if connect {
		all := cfg.Each()
		results = make([]destinationResult, len(all))
		var wg sync.WaitGroup
		for i, one := range all {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
				defer cancel()
				begin := time.Now()
				results[i] = destinationResult{Name: one.Name}
				results[i].conclude(results[i].probe(ctx, one.Config, log), begin)
			})
		}
		wg.Wait()
	}
	if output == "json" {
		err = p.printJSON(map[string]any{"configuration": "ok", "destinations": results})
	} else if connect {
		err = p.printResults(results)
	}
	if err != nil {
		return err
	}
	if n := countFailed(results); n > 0 {
		return unreachableError{fmt.Errorf("%d of %d destinations cannot be reached or refuse us", n, len(results))}
	}
	return nil
}

// prober is a sink that can look at its far end without sending an event.
type prober interface{ Probe(context.Context) error }

// probe looks at the destination of c; a file is well if it can be opened.
func (r *destinationResult) probe(ctx context.Context, c config.Config, log *slog.Logger) error {
	trail, err := config.OpenDestinations(c, log)
	if err != nil {
		return err
	}
	defer func() { _ = trail.Close() }() // nothing was sent
	sink := trail.Routes[0].Sink
	r.describe(sink)
	if p, ok := sink.(prober); ok {
		err = p.Probe(ctx)
		r.describe(sink)
	}
	return err
}

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
)

func (p *program) spoolCheck() *cobra.Command {
	var limit int
	var output string
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "whether everything in it is whole",
		Long: `Reads everything in the spool: the checksum of each record, the hash chain and its
holes, whether each record is an event, the cursors and the dead letters. It changes
nothing. Holes that an audit_loss event names are listed and are no problem.

Exit codes: 0 nothing wrong, 1 a problem or nothing to check, 2 usage.`,
		Example: `  vmcp-audit spool check
  vmcp-audit spool check -o json /var/lib/vmcp-audit/spool`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usagef("--limit %d: must be at least 1", limit)
			}
			dir, err := p.spoolDir(args)
			if err != nil {
				return err
			}
			c, err := inspect.Check(cmd.Context(), dir, limit)
			if err != nil {
				return spoolError(dir, err)
			}
			if output == "json" {
				err = p.printJSON(c)
			} else {
				p.printChecked(c)
			}
			if err != nil || c.OK {
				return err
			}
			if c.Found > 0 {
				return fmt.Errorf("problems found: %d", c.Failed+c.Found)
			}
			return verdict(c.Report, 1)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", chain.DefaultLimit, "how many problems and named gaps to list")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (p *program) printChecked(c *inspect.Checked) {
	p.printReport(c.Report)
	for i := range c.Findings {
		fmt.Fprintln(p.stderr, "vmcp-audit:", printable(c.Findings[i].String()))
	}
	if n := c.Found - len(c.Findings); n > 0 {
		fmt.Fprintf(p.stderr, "vmcp-audit: and %d more\n", n)
	}
}

// exportOptions are the flags of export.
type exportOptions struct {
	first, last  uint64
	since, until string
}

func (p *program) spoolExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export [DIR]",
		Short: "its events as JSON lines, with their place in the chain",
		Long: `Writes events to stdout, one JSON line each, as a file destination would: 'verify'
takes them. Times are those at which the events were stored. What does not verify is
named on stderr, and the exit code is 1.`,
		Example: `  vmcp-audit spool export > trail.jsonl
  vmcp-audit spool export --from-seq 100 --to-seq 200 /var/lib/vmcp-audit/spool
  vmcp-audit spool export --since 2h | vmcp-audit verify -`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runExport(cmd, args, o) },
	}
	f := cmd.Flags()
	f.Uint64Var(&o.first, "from-seq", 0, "first seq")
	f.Uint64Var(&o.last, "to-seq", 0, "last seq; 0: to the end")
	f.StringVar(&o.since, "since", "", "only events stored since a time (RFC 3339) or for a duration (90s, 2h)")
	f.StringVar(&o.until, "until", "", "only events stored before a time, or a duration ago")
	return cmd
}

func (p *program) runExport(cmd *cobra.Command, args []string, o exportOptions) error {
	now := time.Now()
	since, err := timeFlag("since", o.since, now)
	if err != nil {
		return err
	}
	until, err := timeFlag("until", o.until, now)
	if err != nil {
		return err
	}
	if o.last > 0 && o.last < o.first {
		return usagef("--to-seq %d: must not be less than --from-seq", o.last)
	}
	dir, err := p.spoolDir(args)
	if err != nil {
		return err
	}
	missing := 0
	in := inspect.Range{First: o.first, Last: o.last, Since: since, Until: until}
	_, err = inspect.Export(cmd.Context(), dir, in, p.stdout, func(err error) {
		missing++
		fmt.Fprintln(p.stderr, "vmcp-audit:", printable(err.Error()))
	})
	if err != nil {
		return spoolError(dir, err)
	}
	if missing > 0 {
		return fmt.Errorf("%d places of the spool could not be read", missing)
	}
	return nil
}

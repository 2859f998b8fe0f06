package main

import (
	"cmp"
	"fmt"
	"math"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
)

const spoolHelp = `Looks after a spool: the folder in which events wait for their destinations.
DIR is that folder; without it, it is VMCP_AUDIT_SPOOL_DIR or the default one.

status, ls, check and export only read. They need no lock and may be used while a
process writes. replay and forget need the spool for themselves: stop the process
first, and be the user that owns the folder. They leave audit_admin events in the
trail, with the name of the user, before and after they act.`

func (p *program) spool() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "look after the events that wait for a destination",
		Long:  spoolHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q of spool\nhint: vmcp-audit spool --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.spoolStatus(), p.spoolList(), p.spoolCheck(), p.spoolExport(), p.spoolReplay(), p.spoolForget())
	return cmd
}

// oneDir takes at most the folder of a spool.
func oneDir(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("%s takes one folder, not %d\nhint: %[1]s --help", cmd.CommandPath(), len(args))
	}
	return nil
}

// spoolDir returns the folder that the arguments name, else the configured one.
func (p *program) spoolDir(args []string) (string, error) {
	if len(args) > 0 && args[0] != "" {
		return args[0], nil
	}
	cfg, _, err := config.Load(p.environ, config.LoadOptions{Known: typeNames()})
	if err != nil {
		return "", err
	}
	if cfg.SpoolDir == "" {
		return "", usagef("there is no default folder for the spool here\nhint: name it, or set %sSPOOL_DIR", config.Prefix)
	}
	return cfg.SpoolDir, nil
}

// quota returns what the process that writes to the spool in dir is allowed, or
// else what one with our variables would be.
func (p *program) quota(dir string) int64 {
	if q, ok := config.SpoolQuota(dir); ok {
		return q
	}
	cfg, _, err := config.Load(p.environ, config.LoadOptions{Known: typeNames()})
	if err != nil {
		return 0
	}
	return int64(cfg.SpoolMax)
}

func (p *program) spoolStatus() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status [DIR]",
		Short: "how full it is, and what waits for whom and why",
		Long: `Shows how full the spool is and, for each destination, what waits for it, since
when, and what the process that delivers has said of its state. What it has confirmed
is known up to a second, or 1,000 events, ago. The time to full is
that at the rate of the last 1000 events if no destination took anything. All of the
spool is read once, which takes a few seconds for a GiB.`,
		Example: `  vmcp-audit spool status
  vmcp-audit spool status -o json /var/lib/vmcp-audit/spool`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := p.spoolDir(args)
			if err != nil {
				return err
			}
			s, err := inspect.Read(cmd.Context(), dir, p.quota(dir), time.Now())
			if err != nil {
				return spoolError(dir, err)
			}
			if output == "json" {
				return p.printJSON(s)
			}
			return p.printStatus(s, time.Now())
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (p *program) printStatus(s *inspect.Status, now time.Time) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "spool\t%s\nstream\t%s\nwriter\t%s\n", printable(s.Dir), s.Stream, writerText(s.Writer))
	size := sizeText(s.Bytes)
	if s.Quota > 0 {
		size += fmt.Sprintf(" of %s (%.0f%%)", sizeText(s.Quota), 100*float64(s.Bytes)/float64(s.Quota))
	}
	fmt.Fprintf(w, "size\t%s\n", size)
	if s.DiskFree > 0 {
		fmt.Fprintf(w, "disk free\t%s\n", sizeText(s.DiskFree))
	}
	if s.Records > 0 {
		fmt.Fprintf(w, "events\t%d, seqs %d to %d, the oldest %s old\n", s.Records, s.FirstSeq, s.LastSeq, ageText(now, s.Oldest))
		fmt.Fprintf(w, "rate\t%s/s\n", sizeText(int64(s.BytesPerSecond)))
	}
	if s.SecondsToFull != nil {
		fmt.Fprintf(w, "full in\t%s, if nothing were delivered\n", timeText(*s.SecondsToFull))
	}
	if s.Damaged > 0 {
		fmt.Fprintf(w, "damaged\t%d places do not verify: see vmcp-audit spool check\n", s.Damaged)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return p.printRoutes(s, now)
}

func (p *program) printRoutes(s *inspect.Status, now time.Time) error {
	if len(s.Routes) == 0 {
		_, err := fmt.Fprintln(p.stdout, "\nno route: nothing is delivered, and nothing is removed")
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nROUTE\tSTATE\tPENDING\tBYTES\tOLDEST\tDEAD\tFAULT")
	for i := range s.Routes {
		r := &s.Routes[i]
		fault := "-"
		if r.Reason != "" {
			fault = fmt.Sprintf("%s since %s: %s", printable(r.Reason), r.Since.UTC().Format(time.RFC3339), printable(r.Error))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%d\t%s\n", printable(r.Name), printable(string(r.State)), r.Pending, sizeText(r.PendingBytes), ageText(now, r.OldestPending), r.DeadLetters, fault)
	}
	return w.Flush()
}

func writerText(w inspect.Writer) string {
	switch {
	case !w.Running:
		return "none"
	case w.PID == 0:
		return "running"
	}
	return fmt.Sprintf("running, process %d", w.PID)
}

// sizeText returns bytes for people.
func sizeText(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	i := min((int(math.Log2(float64(n)))/10)-1, len(units)-1)
	return fmt.Sprintf("%.1f %s", float64(n)/math.Pow(1024, float64(i+1)), units[i])
}

// ageText returns how long ago t was.
func ageText(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return timeText(int64(max(now.Sub(t), 0) / time.Second))
}

// timeText returns seconds for people, in the two largest units at most.
func timeText(seconds int64) string {
	days, d := seconds/86400, time.Duration(seconds%86400)*time.Second
	switch {
	case days > 3650:
		return "more than ten years"
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, int(d.Hours()))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return d.String()
}

func (p *program) spoolList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "ls [DIR]",
		Short: "its segments, dead letters and damaged bytes that were set aside",
		Example: `  vmcp-audit spool ls
  vmcp-audit spool ls -o json /var/lib/vmcp-audit/spool`,
		Args: oneDir,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := p.spoolDir(args)
			if err != nil {
				return err
			}
			list, err := inspect.List(dir)
			if err != nil {
				return spoolError(dir, err)
			}
			if output == "json" {
				return p.printJSON(list)
			}
			return p.printListing(list)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (p *program) printListing(list *inspect.Listing) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEGMENT\tSEQS\tCREATED\tUNTIL\tBYTES\tSTATE")
	for i := range list.Segments {
		s := &list.Segments[i]
		last, state := "", string(s.State)
		if s.LastSeq > 0 {
			last = fmt.Sprint(s.LastSeq)
		}
		for _, name := range s.HeldBy {
			state += " " + printable(name)
		}
		fmt.Fprintf(w, "%d\t%d..%s\t%s\t%s\t%d\t%s\n", s.Number, s.FirstSeq, last, stampText(s.Created, "damaged header"), stampText(s.Until, "-"), s.Bytes, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(list.DeadLetters) > 0 {
		fmt.Fprintln(w, "\nDEAD LETTER\tSEQ\tGIVEN UP\tTYPE\tBYTES\tANSWER")
	}
	for i := range list.DeadLetters {
		d := &list.DeadLetters[i]
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%s\n", printable(d.Route), d.Seq, stampText(d.Time, "-"),
			printable(cmp.Or(string(d.Type), "no event")), d.Bytes, printable(cmp.Or(d.Error, d.Unread)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(list.Quarantine) > 0 {
		fmt.Fprintln(w, "\nQUARANTINE\tSEGMENT\tOFFSET\tFOUND\tBYTES")
	}
	for i := range list.Quarantine {
		q := &list.Quarantine[i]
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\n", printable(q.Path), q.Segment, q.Offset, stampText(q.Found, "-"), q.Bytes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(list.Aside) > 0 {
		fmt.Fprintln(w, "\nLINES KEPT ASIDE\tLAST\tBYTES")
	}
	for i := range list.Aside {
		a := &list.Aside[i]
		fmt.Fprintf(w, "%s\t%s\t%d\n", printable(a.Path), stampText(a.Last, "-"), a.Bytes)
	}
	return w.Flush()
}

func stampText(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/admin"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// actOptions are the flags of the acts.
type actOptions struct {
	dryRun, yes, dead bool
	seq               uint64
	since             string
	output            string
}

func (o *actOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be done, in numbers, and do nothing; the process may run")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask; needed where nobody can answer")
	outputFlag(cmd, &o.output, "text", "json")
}

// routeAndDir takes the name of a route and at most the folder of a spool.
func routeAndDir(cmd *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return usagef("%s needs the name of a route, and takes one folder\nhint: 'vmcp-audit spool status' lists the routes", cmd.CommandPath())
	}
	return nil
}

func (p *program) spoolForget() *cobra.Command {
	var o actOptions
	cmd := &cobra.Command{
		Use:   "forget ROUTE [DIR]",
		Short: "give up what waits for a destination that is no more",
		Long: `Removes the cursor of a route: what it has not delivered never will be, and holds the
spool no more. With --dead its dead letters are deleted too. A destination of that
name that is configured later begins with the oldest event that is there. Without
any route the spool keeps everything.

It needs the spool for itself, and says what will be lost before it asks.`,
		Example: `  vmcp-audit spool forget splunk-old --dry-run
  vmcp-audit spool forget splunk-old --dead --yes /var/lib/vmcp-audit/spool`,
		Args: routeAndDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.runAct(cmd, args, o, act{
				plan: func(ctx context.Context, dir, route string) (*admin.Plan, error) {
					return admin.PlanForget(ctx, dir, route, o.dead)
				},
				do: func(ctx context.Context, s *admin.Spool, plan *admin.Plan) (*admin.Sent, error) {
					return nil, s.Forget(ctx, plan)
				},
			})
		},
	}
	cmd.Flags().BoolVar(&o.dead, "dead", false, "delete the dead letters of the route too")
	o.flags(cmd)
	return cmd
}

func (p *program) spoolReplay() *cobra.Command {
	var o actOptions
	cmd := &cobra.Command{
		Use:   "replay ROUTE [DIR]",
		Short: "send events again to one destination",
		Long: `Sets the cursor of a route back to --from-seq or --since (when the event was stored):
the next process on the spool sends it everything from there on. What all destinations
had confirmed may have been removed; how much is said. A file leaves out what still
stands in its last 8 MiB, its numbered ones included: move them away first.

With --dead the route's dead letters are sent at once, by this command, in order and
with the place in the chain that they had; its variables must be set. What is
accepted is removed, what is refused again stays, and the exit code is 1.

It needs the spool for itself: stop the process that has it first.`,
		Example: `  vmcp-audit spool replay splunk --since 24h --dry-run
  vmcp-audit spool replay splunk --from-seq 4711 --yes /var/lib/vmcp-audit/spool
  vmcp-audit spool replay splunk --dead --yes`,
		Args: routeAndDir,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runReplay(cmd, args, o) },
	}
	cmd.Flags().Uint64Var(&o.seq, "from-seq", 0, "first seq to send again")
	cmd.Flags().StringVar(&o.since, "since", "", "from the first event stored since a time (RFC 3339) or for a duration (90s, 2h)")
	cmd.Flags().BoolVar(&o.dead, "dead", false, "the dead letters, instead")
	o.flags(cmd)
	return cmd
}

func (p *program) runReplay(cmd *cobra.Command, args []string, o actOptions) error {
	since, err := timeFlag("since", o.since, time.Now())
	if err != nil {
		return err
	}
	given := 0
	for _, set := range []bool{cmd.Flags().Changed("from-seq"), o.since != "", o.dead} {
		if set {
			given++
		}
	}
	if given != 1 {
		return usagef("replay needs one of --from-seq, --since and --dead\nhint: vmcp-audit spool replay --help")
	}
	if o.dead {
		return p.replayDead(cmd, args, o)
	}
	return p.runAct(cmd, args, o, act{
		plan: func(ctx context.Context, dir, route string) (*admin.Plan, error) {
			return admin.PlanReplay(ctx, dir, route, o.seq, since)
		},
		do: func(ctx context.Context, s *admin.Spool, plan *admin.Plan) (*admin.Sent, error) {
			return nil, s.Replay(ctx, plan)
		},
	})
}

func (p *program) replayDead(cmd *cobra.Command, args []string, o actOptions) error {
	return p.runAct(cmd, args, o, act{
		plan: func(_ context.Context, dir, route string) (*admin.Plan, error) {
			return admin.PlanReplayDead(dir, route)
		},
		do: func(ctx context.Context, s *admin.Spool, plan *admin.Plan) (*admin.Sent, error) {
			return p.sendDead(ctx, cmd, s, plan)
		},
	})
}

// sendDead opens the destination of the plan's route and sends it its dead
// letters.
func (p *program) sendDead(ctx context.Context, cmd *cobra.Command, s *admin.Spool, plan *admin.Plan) (*admin.Sent, error) {
	cfg, log, err := p.load(cmd, config.Need{})
	if err != nil {
		return nil, err
	}
	trail, err := config.OpenDestinations(cfg, log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = trail.Close() }() // ReplayDead has told what there was to tell
	i := slices.IndexFunc(trail.Routes, func(r emitter.Route) bool { return r.Name == plan.Route })
	if i < 0 {
		return nil, usagef("no destination %q is configured here\nhint: set the variables that the process has", plan.Route)
	}
	sent, err := s.ReplayDead(ctx, plan, trail.Routes[i])
	if err != nil && sent != nil && sent.Left > 0 {
		err = unreachableError{err}
	}
	return sent, err
}

// act is one act: what it would do, and doing it.
type act struct {
	plan func(ctx context.Context, dir, route string) (*admin.Plan, error)
	do   func(ctx context.Context, s *admin.Spool, plan *admin.Plan) (*admin.Sent, error)
}

// acted is what an act prints.
type acted struct {
	Done bool `json:"done"` // false: a dry run, or it failed
	*admin.Plan
	*admin.Sent
}

func (p *program) runAct(cmd *cobra.Command, args []string, o actOptions, a act) error {
	ctx, route := cmd.Context(), args[0]
	dir, err := p.spoolDir(args[1:])
	if err != nil {
		return err
	}
	plan, err := a.plan(ctx, dir, route)
	if err != nil {
		return p.planError(dir, err)
	}
	if o.dryRun {
		return p.printActed(o, &acted{Plan: plan})
	}
	if o.yes {
		return p.do(cmd, o, dir, route, "", a)
	}
	if err := p.confirm(plan); err != nil {
		return err
	}
	return p.do(cmd, o, dir, route, planText(plan), a)
}

// do does the act, by what is planned once nobody else has the spool. That must
// be what was agreed to, unless nobody was asked.
func (p *program) do(cmd *cobra.Command, o actOptions, dir, route, agreed string, a act) (err error) {
	cfg, _, err := p.load(cmd, config.Need{})
	if err != nil {
		return err
	}
	log := p.logger(slog.LevelWarn)
	s, err := admin.Open(dir, cfg.EmitterOptions(version().Version, log))
	if err != nil {
		return heldError(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	plan, err := a.plan(cmd.Context(), dir, route)
	if err != nil {
		return p.planError(dir, err)
	}
	if text := planText(plan); agreed != "" && text != agreed {
		return fmt.Errorf("nothing was done, since the spool has changed meanwhile; now it would be:\n%s", strings.TrimSuffix(text, "\n"))
	}
	sent, err := a.do(cmd.Context(), s, plan)
	if errors.Is(err, admin.ErrNothing) {
		return fmt.Errorf("%w\n%s", err, strings.TrimSuffix(planText(plan), "\n"))
	}
	if sent == nil && err != nil {
		return err
	}
	stayed := sent != nil && len(sent.Refused)+len(sent.Unreadable) > 0
	if printed := p.printActed(o, &acted{Done: err == nil && !stayed, Plan: plan, Sent: sent}); printed != nil || err != nil {
		return errors.Join(err, printed)
	}
	if stayed {
		return fmt.Errorf("%d dead letters were not accepted and stay", len(sent.Refused)+len(sent.Unreadable))
	}
	return nil
}

// planError adds what to do to the error of a plan.
func (p *program) planError(dir string, err error) error {
	if _, ok := errors.AsType[*admin.RouteError](err); ok {
		return usageError{err}
	}
	return spoolError(dir, err)
}

// heldError adds what to do to the error of a spool that cannot be opened.
func heldError(err error) error {
	switch {
	case errors.Is(err, spool.ErrInUse):
		return fmt.Errorf("%w\nhint: stop that process first; status, ls, check, export and --dry-run work while it runs", err)
	case errors.Is(err, admin.ErrOwner):
		return fmt.Errorf("%w\nhint: run this as that user: what is written could not be read by it otherwise", err)
	}
	return err
}

// confirm shows what will be done and asks, if there is somebody to ask.
func (p *program) confirm(plan *admin.Plan) error {
	if !isTerminal(p.stdin) {
		return usagef("nobody can be asked here\nhint: --dry-run says what would be done, --yes does it")
	}
	fmt.Fprint(p.stderr, planText(plan), "Do it? [y/N] ")
	answer, _ := bufio.NewReader(p.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

func (p *program) printActed(o actOptions, a *acted) error {
	if o.output == "json" {
		return p.printJSON(a)
	}
	text := planText(a.Plan)
	if a.Sent != nil {
		text = sentText(a)
	}
	if !a.Done && a.Sent == nil {
		text += "nothing was done: this was a dry run\n"
	}
	_, err := fmt.Fprint(p.stdout, text)
	return err
}

// planText says what a plan comes to, one line for each thing.
func planText(p *admin.Plan) string {
	var b strings.Builder
	route := printable(p.Route)
	span := ""
	if p.Events > 0 {
		span = fmt.Sprintf(", seqs %d to %d", p.FirstSeq, p.LastSeq)
	}
	switch p.Act {
	case admin.ActForget, admin.ActForgetFully:
		fmt.Fprintf(&b, "forget %s: %d events not delivered%s, never will be\n", route, p.Events, span)
		if p.Act == admin.ActForgetFully {
			fmt.Fprintf(&b, "dead letters deleted: %d\n", p.DeadLetters)
		}
		fmt.Fprintf(&b, "space given back: %s\n", sizeText(p.FreedBytes))
		if p.LastRoute {
			fmt.Fprintln(&b, "no other route is left: the spool keeps everything until there is one, which then begins with the oldest event")
		}
	case admin.ActReplay:
		fmt.Fprintf(&b, "replay to %s: %d events%s, by the next process on the spool\n", route, p.Events, span)
		if p.RemovedLast > 0 {
			fmt.Fprintf(&b, "seqs %d to %d are not in the spool any more: what of them was asked for cannot be replayed\n", p.RemovedFirst, p.RemovedLast)
		}
	case admin.ActReplayDead:
		fmt.Fprintf(&b, "replay to %s: %d dead letters; those that are accepted are removed\n", route, p.DeadLetters)
	}
	return b.String()
}

func sentText(a *acted) string {
	var b strings.Builder
	fmt.Fprintf(&b, "replay to %s: %d dead letters accepted and removed", printable(a.Route), a.Accepted)
	if n := len(a.Refused); n > 0 {
		fmt.Fprintf(&b, ", %d refused again (%s)", n, printable(cmp.Or(a.Refusal, "-")))
	}
	if n := len(a.Unreadable); n > 0 {
		fmt.Fprintf(&b, ", %d no events", n)
	}
	if a.Left > 0 {
		fmt.Fprintf(&b, ", %d not sent", a.Left)
	}
	b.WriteByte('\n')
	return b.String()
}

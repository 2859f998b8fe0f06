package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/ship"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

const shipHelp = `Takes audit lines that exist already, of this program or of ToolHive, to the
destinations: from files, by name or pattern, or from stdin with -.

How far each file was read is stored together with its events: a run that was
killed goes on where it ended, no line is lost and none comes twice. Rotated
files are found again. When the spool is full, reading waits. Each set of inputs
has a spool of its own in the state folder, unless VMCP_AUDIT_SPOOL_DIR is set.

Lines that are no events are kept in the spool's folder, in aside/. Without
--follow the exit code is 0 when every destination has confirmed everything, 1
if lines were kept aside, lost or refused by a destination, and 69 when those
that have not everything cannot be reached for VMCP_AUDIT_FLUSH_TIMEOUT: the
rest stays in the spool, and the same command delivers it.`

func (p *program) ship() *cobra.Command {
	var follow bool
	var output string
	cmd := &cobra.Command{
		Use:   "ship FILE|PATTERN|-...",
		Short: "audit lines that exist already to every destination",
		Long:  shipHelp,
		Example: `  vmcp-audit ship audit.jsonl
  vmcp-audit ship --follow /var/log/toolhive/audit.log
  vmcp-audit ship --follow '/var/log/mcp/*.jsonl'
  thv logs my-server | vmcp-audit ship -`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("ship needs a file, a pattern or - for stdin\nhint: vmcp-audit ship --help")
			case len(args) > 1 && slices.Contains(args, ship.Stdin):
				return usagef("stdin (-) is shipped alone")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.runShip(cmd.Context(), args, follow, output) },
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as the files grow and are rotated")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (p *program) runShip(ctx context.Context, inputs []string, follow bool, output string) error {
	inputs, name, err := shipSpool(inputs)
	if err != nil {
		return err
	}
	cfg, log, err := p.loadWith(config.LoadOptions{Need: config.Need{Destination: true}, SpoolDir: name})
	if err != nil {
		return err
	}
	if !cfg.Enabled {
		return usagef("%sENABLED is false: nothing is shipped", config.Prefix)
	}
	if cfg.SpoolMax < leastSpool {
		return usagef("%sSPOOL_MAX_SIZE: ship needs 16MiB at least: the longest lines would wait for room without end", config.Prefix)
	}
	show := newProgress(p.stderr)
	if show != nil {
		log = slog.New(slog.NewTextHandler(show, &slog.HandlerOptions{Level: cfg.LogLevel}))
	}
	a, err := openTrail(config.OpenWaiting, cfg, log)
	if err != nil {
		return err
	}
	run := &shipRun{audit: a, follow: follow, stdin: inputs[0] == ship.Stdin, shipper: ship.New(a.emitter, a.trail.Spool, ship.Options{
		Inputs: inputs, Stdin: p.stdin, Follow: follow, Stamp: stampOf(cfg), Log: log,
	})}
	err = run.run(ctx, show)
	sum := run.summary(inputs)
	if output == "json" {
		err = errors.Join(err, p.printJSON(sum))
	}
	return err
}

// leastSpool is the quota, in bytes, in which the longest lines fit, events or not.
const leastSpool = 16 << 20

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// shipSpool makes the inputs absolute, and returns them with the name of the
// spool's folder that is theirs.
func shipSpool(inputs []string) (absolute []string, name string, err error) {
	if slices.Equal(inputs, []string{ship.Stdin}) {
		return inputs, "ship-stdin", nil
	}
	for _, in := range inputs {
		if _, err := filepath.Match(in, ""); err != nil {
			return nil, "", usagef("%s: %v", printable(in), err)
		}
		path, err := filepath.Abs(in)
		if err != nil {
			return nil, "", err
		}
		absolute = append(absolute, path)
	}
	slices.Sort(absolute)
	absolute = slices.Compact(absolute)
	sum := sha256.Sum256([]byte(strings.Join(absolute, "\x00")))
	base := strings.Trim(notInNames.ReplaceAllString(filepath.Base(absolute[0]), "_"), "._")
	return absolute, fmt.Sprintf("ship-%s-%x", base[:min(len(base), 40)], sum[:4]), nil
}

// stampOf returns about how many bytes the observer takes in each event.
func stampOf(cfg config.Config) int {
	n := ship.DefaultStamp + len(cfg.Host) + len(cfg.Instance)
	for k, v := range cfg.Labels {
		n += 6*(len(k)+len(v)) + 8 // a byte may become an escape
	}
	return n
}

// shipRun is one run of ship.
type shipRun struct {
	*audit
	shipper *ship.Shipper
	follow  bool
	stdin   bool        // what is not read of it is lost
	read    atomic.Bool // all was
}

// errStalled means that no destination which has not everything can be reached.
var errStalled = errors.New("stalled")

// run reads, delivers and closes the audit.
func (r *shipRun) run(ctx context.Context, show *progress) error {
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hup, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { r.reopenOnHangup(hup) })
	wg.Go(func() { r.watch(hup, stop, show) })
	err := r.shipper.Run(work)
	r.read.Store(true)
	if err == nil && !r.follow {
		err = r.delivered(work)
	}
	end()
	wg.Wait()
	stalled := errors.Is(context.Cause(work), errStalled)
	switch {
	case stalled:
		err = nil
	case err != nil && work.Err() != nil:
		err = errors.New("stopped before everything was delivered; the same command goes on")
	}
	closed := r.close() // which delivers
	if err == nil {
		err = r.left(stalled)
	}
	return errors.Join(err, closed, r.bad())
}

// watchGap is the time between two looks at the state of the run.
const watchGap = 100 * time.Millisecond

// watch shows the progress, and ends a run that gets nowhere.
func (r *shipRun) watch(ctx context.Context, stop context.CancelCauseFunc, show *progress) {
	tick := time.NewTicker(watchGap)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			show.end()
			return
		case <-tick.C:
		}
		st, in := r.emitter.Stats(), r.shipper.Stats()
		show.show(in, st.Routes)
		stuck := r.read.Load() || in.Waits && !r.stdin // reading goes on as long as there is room
		if !r.follow && stuck && isStalled(st.Routes, r.cfg.FlushTimeout) {
			stop(errStalled)
		}
	}
}

// isStalled reports whether some destinations have not everything, and all of
// these have been down for so long.
func isStalled(routes []emitter.RouteStats, patience time.Duration) bool {
	waiting := 0
	for _, r := range routes {
		if r.Pending == 0 {
			continue
		}
		waiting++
		if r.Down.IsZero() || time.Since(r.Down) < patience {
			return false
		}
	}
	return waiting > 0
}

// delivered waits until every destination has everything.
func (r *shipRun) delivered(ctx context.Context) error {
	for slices.ContainsFunc(r.emitter.Stats().Routes, func(r emitter.RouteStats) bool { return r.Pending > 0 }) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchGap / 5):
		}
	}
	return nil
}

// left returns an error if a destination has not everything when it should.
func (r *shipRun) left(stalled bool) error {
	if r.follow {
		return nil
	}
	var errs []error
	for _, st := range r.emitter.Stats().Routes {
		if st.Pending > 0 && (stalled || !st.Down.IsZero()) {
			errs = append(errs, unreachableError{fmt.Errorf("destination %s cannot be reached; %d events wait in the spool for the same command: %s", st.Name, st.Pending, st.LastError)})
		}
	}
	return errors.Join(errs...)
}

// bad returns an error if lines did not become events.
func (r *shipRun) bad() error {
	var errs []error
	st := r.shipper.Stats()
	if st.Aside > 0 {
		errs = append(errs, fmt.Errorf("%d of %d lines are no events; they are kept in %s", st.Aside, st.Lines, filepath.Join(r.cfg.SpoolDir, emitter.AsideLines)))
	}
	if st.Lost > 0 {
		errs = append(errs, fmt.Errorf("%d files were cut, gone or not readable before they were read to their end", st.Lost))
	}
	return errors.Join(errs...)
}

// shipSummary is what ship -o json prints at its end.
type shipSummary struct {
	Inputs       []string          `json:"inputs"`
	Spool        string            `json:"spool"`
	Lines        uint64            `json:"lines"`      // read, without empty ones
	Events       uint64            `json:"events"`     // of those stored now or left out
	Filtered     uint64            `json:"filtered"`   // left out by EVENT_TYPES or EXCLUDE_EVENT_TYPES
	Aside        uint64            `json:"aside"`      // lines that are no events
	LostFiles    uint64            `json:"lost_files"` // not read to their end
	Destinations []shipDestination `json:"destinations"`
}

// shipDestination is what became of the events at one destination. The audit's own
// events count too.
type shipDestination struct {
	Name    string `json:"name"`
	Sent    uint64 `json:"sent"`    // confirmed in this run
	Pending uint64 `json:"pending"` // wait in the spool
	Dead    uint64 `json:"dead"`    // refused for good
	State   string `json:"state"`
	Error   string `json:"error,omitempty"`
}

func (r *shipRun) summary(inputs []string) shipSummary {
	st, em := r.shipper.Stats(), r.emitter.Stats()
	sum := shipSummary{
		Inputs: inputs, Spool: r.cfg.SpoolDir, Lines: st.Lines, Events: st.Events, Filtered: em.Filtered,
		Aside: st.Aside, LostFiles: st.Lost, Destinations: []shipDestination{},
	}
	for _, d := range em.Routes {
		sum.Destinations = append(sum.Destinations, shipDestination{
			Name: d.Name, Sent: d.Sent, Pending: d.Pending, Dead: d.Dead + d.Unread, State: string(d.State), Error: d.LastError,
		})
	}
	return sum
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// load reads the configuration; flags are those of cmd that stand for a
// variable, by its name.
func (p *program) load(cmd *cobra.Command, need config.Need, flags ...string) (config.Config, *slog.Logger, error) {
	return p.loadWith(config.LoadOptions{Flags: given(cmd, flags), Need: need})
}

func (p *program) loadWith(opt config.LoadOptions) (config.Config, *slog.Logger, error) {
	opt.Known = typeNames()
	cfg, warnings, err := config.Load(p.environ, opt)
	if err != nil {
		return cfg, nil, err
	}
	log := p.logger(cfg.LogLevel)
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
	return cfg, log, nil
}

// given returns the flags that were set, by the variable they stand for.
func given(cmd *cobra.Command, flags []string) map[string]string {
	m := make(map[string]string)
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			m[variableOf(name)] = f.Value.String()
		}
	}
	return m
}

func typeNames() []string {
	var names []string
	for _, t := range emitter.Types() {
		names = append(names, string(t.Type))
	}
	return names
}

// logger writes text on a terminal and JSON elsewhere. Durations have their unit.
func (p *program) logger(level slog.Leveler) *slog.Logger {
	opt := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}}
	if isTerminal(p.stderr) {
		return slog.New(slog.NewTextHandler(p.stderr, opt))
	}
	return slog.New(slog.NewJSONHandler(p.stderr, opt))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// audit is an open audit trail, or none where it is switched off.
type audit struct {
	cfg     config.Config
	log     *slog.Logger
	trail   *config.Trail    // nil: none
	emitter *emitter.Emitter // likewise
	auditor *middleware.Auditor
	more    []emitter.Route
	hangup  chan os.Signal // SIGHUP, taken from the beginning: it must not end the program
	stop    context.CancelFunc
	ended   chan error
}

// openAudit opens spool and destinations and starts the emitter; more are
// routes of this run only, beside those of the configuration. An audit that is
// switched off keeps nothing from starting: it tells the trail so, if it can.
func openAudit(cfg config.Config, log *slog.Logger, more ...emitter.Route) (*audit, error) {
	return openTrail(config.Open, cfg, log, more...)
}

// opener is [config.Open] or [config.OpenWaiting].
type opener func(cfg config.Config, version string, log *slog.Logger) (*config.Trail, error)

func openTrail(open opener, cfg config.Config, log *slog.Logger, more ...emitter.Route) (*audit, error) {
	a := &audit{cfg: cfg, log: log, more: more, hangup: make(chan os.Signal, 1), ended: make(chan error, 1)}
	err := a.open(open)
	if err != nil && cfg.Enabled {
		return nil, err
	}
	if err != nil {
		log.Warn("the audit is switched off, and its trail cannot be told so", "error", err)
	}
	signal.Notify(a.hangup, syscall.SIGHUP)
	return a, nil
}

func (a *audit) open(open opener) error {
	if _, err := os.Stat(a.cfg.SpoolDir); err != nil && !a.cfg.Enabled && len(a.cfg.Files)+len(a.cfg.HECs)+len(a.cfg.Syslogs) == 0 {
		return nil // there never was an audit, and there is to be none
	}
	trail, err := open(a.cfg, version().Version, a.log)
	if err != nil {
		return err
	}
	em, err := trail.Emitter(a.more...)
	if err != nil {
		return errors.Join(err, trail.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	a.trail, a.emitter, a.stop = trail, em, stop
	a.auditor = middleware.New(em, trail.Middleware())
	go func() { a.ended <- em.Run(ctx) }()
	return nil
}

// wrap puts the audit around h, unless it is switched off.
func (a *audit) wrap(h http.Handler) http.Handler {
	if !a.cfg.Enabled {
		a.log.Warn("audit is switched off: nothing that passes is recorded", "variable", config.Prefix+"ENABLED")
		return h
	}
	return a.auditor.Wrap(h)
}

// recorder takes events of inner layers; nil where the audit is switched off.
func (a *audit) recorder() middleware.Recorder {
	if !a.cfg.Enabled || a.emitter == nil {
		return nil
	}
	return a.emitter
}

// close ends the audit when the handlers have returned: what they left is
// recorded, then delivered as far as FLUSH_TIMEOUT allows; the rest stays in the
// spool.
func (a *audit) close() error {
	defer signal.Stop(a.hangup) // not before: a hang-up while the rest is delivered must not end the program
	if a.emitter == nil {
		return nil
	}
	a.auditor.Close()
	a.stop()
	err := errors.Join(<-a.ended, lost(a.emitter.Stats()))
	for _, r := range a.more {
		err = errors.Join(err, a.trail.Spool.Forget(r.Name))
	}
	if cerr := a.trail.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close the audit: %w", cerr))
	}
	return err
}

// lost returns an error if events were lost. What waits in the spool is not.
func lost(s emitter.Stats) error {
	failed := max(s.Failed, s.Spool.Dropped) // of Async mode the spool alone knows
	dead := uint64(0)
	for _, r := range s.Routes {
		dead += r.Dead + r.Unread
	}
	if failed+s.Refused+s.Invalid+s.Spool.DroppedOldest+dead == 0 {
		return nil
	}
	return fmt.Errorf("audit events were lost: %d not stored, %d after the end, %d invalid, %d removed to make room, %d refused by a destination (kept in the spool's folder %s)",
		failed, s.Refused, s.Invalid, s.Spool.DroppedOldest, dead, emitter.DeadLetters)
}

// reopening opens the files anew at each SIGHUP until stop is called, whatever
// becomes of ctx.
func (a *audit) reopening(ctx context.Context) (stop func()) {
	hup, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { a.reopenOnHangup(hup) })
	return func() { cancel(); wg.Wait() }
}

// reopenOnHangup opens the files anew at each SIGHUP until ctx ends.
func (a *audit) reopenOnHangup(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.hangup:
			if a.trail == nil {
				continue
			}
			if err := a.trail.Reopen(); err != nil {
				a.log.Error("reopen audit files", "error", err)
			}
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
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
	cfg, warnings, err := config.Load(p.environ, config.LoadOptions{Known: typeNames(), Flags: given(cmd, flags), Need: need})
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

// logger writes text on a terminal and JSON elsewhere.
func (p *program) logger(level slog.Leveler) *slog.Logger {
	opt := &slog.HandlerOptions{Level: level}
	if isTerminal(p.stderr) {
		return slog.New(slog.NewTextHandler(p.stderr, opt))
	}
	return slog.New(slog.NewJSONHandler(p.stderr, opt))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// audit is an open audit trail.
type audit struct {
	cfg     config.Config
	log     *slog.Logger
	to      *config.Destinations
	emitter *emitter.Emitter
	auditor *middleware.Auditor
	hangup  chan os.Signal // SIGHUP, taken from the beginning: it must not end the program
	stop    context.CancelFunc
	ended   chan error
}

// openAudit opens the destinations and starts the emitter; more are routes
// beside those of the configuration.
func openAudit(cfg config.Config, log *slog.Logger, more ...emitter.Route) (*audit, error) {
	to, err := config.Open(cfg, log)
	if err != nil {
		return nil, err
	}
	em, err := emitter.New(cfg.Emitter(version().Version, log), append(to.Routes, more...)...)
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &audit{cfg: cfg, log: log, to: to, emitter: em, hangup: make(chan os.Signal, 1), stop: stop, ended: make(chan error, 1)}
	signal.Notify(a.hangup, syscall.SIGHUP)
	a.auditor = middleware.New(em, cfg.Middleware())
	go func() { a.ended <- em.Run(ctx) }()
	return a, nil
}

// wrap puts the audit around h, unless it is switched off.
func (a *audit) wrap(h http.Handler) http.Handler {
	if !a.cfg.Enabled {
		a.log.Warn("audit is switched off: nothing that passes is recorded", "variable", config.Prefix+"ENABLED")
		return h
	}
	return a.auditor.Wrap(h)
}

// close ends the audit when the handlers have returned.
func (a *audit) close() error {
	a.auditor.Close()
	a.stop()
	err := <-a.ended
	if s := a.emitter.Stats(); s.Failed+s.Refused+s.Invalid > 0 {
		err = errors.Join(err, fmt.Errorf("audit events were lost: %d not taken by every destination, %d after the end, %d invalid", s.Failed, s.Refused, s.Invalid))
	}
	if cerr := a.to.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close destinations: %w", cerr))
	}
	return err
}

// reopenOnHangup opens the files anew at each SIGHUP until ctx ends.
func (a *audit) reopenOnHangup(ctx context.Context) {
	defer signal.Stop(a.hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.hangup:
			if err := a.to.Reopen(); err != nil {
				a.log.Error("reopen audit files", "error", err)
			}
		}
	}
}

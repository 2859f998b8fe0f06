package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/file"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// DestinationError is the error of a destination that cannot be opened.
type DestinationError struct {
	Name string
	Err  error
}

func (e *DestinationError) Error() string { return fmt.Sprintf("destination %s: %v", e.Name, e.Err) }
func (e *DestinationError) Unwrap() error { return e.Err }

// Trail is what a configuration opens: the spool and the destinations.
type Trail struct {
	Spool  *spool.Spool
	Routes []emitter.Route

	cfg   Config
	waits bool // see OpenWaiting
	opt   emitter.Options
	key   []byte
	files []*file.Sink
	sinks []io.Closer
}

// Open opens the spool and every destination that c switches on, and nothing if
// one of them cannot be opened. version is that of the program, for the events;
// log takes the warnings of all parts, nil: none. It dials nothing.
//
// Where HASH_KEY is not set, the key is that of the spool's folder, made if it
// is not there.
func Open(c Config, version string, log *slog.Logger) (*Trail, error) {
	return open(c, version, log, false)
}

// OpenWaiting is [Open] for a caller that can wait with its events in hand: the
// spool stores what there is room for and drops nothing, whatever SPOOL_FULL says.
func OpenWaiting(c Config, version string, log *slog.Logger) (*Trail, error) {
	return open(c, version, log, true)
}

func open(c Config, version string, log *slog.Logger, waits bool) (*Trail, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Trail{cfg: c, waits: waits, opt: c.EmitterOptions(version, log)}
	if err := t.openSpool(); err != nil {
		return nil, err
	}
	if err := t.openDestinations(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// OpenDestinations returns the routes without a spool, for a single event.
// Files are not rotated: whoever else writes them does that.
func OpenDestinations(c Config, log *slog.Logger) (*Trail, error) {
	t := &Trail{cfg: c, opt: c.EmitterOptions("", log)}
	t.cfg.Files = append([]FileDestination(nil), c.Files...)
	for i := range t.cfg.Files {
		t.cfg.Files[i].MaxSize = 0
	}
	if err := t.openDestinations(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Trail) openSpool() error {
	c := t.cfg
	opt := spool.Options{MaxSize: int64(c.SpoolMax), Gap: emitter.GapPayload(t.opt), Log: t.opt.Log}
	if c.Durability == Async {
		opt.Durability = spool.Async
	}
	// Refuse is the emitter's to obey, before a call runs. An event of a call
	// that has run is dropped, counted and told where there is no room for it.
	switch {
	case t.waits:
		opt.Full = spool.Refuse
	case c.SpoolFull == DropOldest:
		opt.Full = spool.DropOldest
	}
	s, err := spool.Open(c.SpoolDir, opt)
	if errors.Is(err, spool.ErrInUse) {
		return fmt.Errorf("%w: each process needs its own %sSPOOL_DIR", err, Prefix)
	}
	if err != nil {
		return fmt.Errorf("%sSPOOL_DIR %s cannot be used: %w", Prefix, quoteCut(c.SpoolDir, maxShownPath), err)
	}
	t.Spool = s
	if t.key = []byte(c.HashKey.Reveal()); len(t.key) > 0 {
		return nil
	}
	if t.key, err = hashKey(s, t.opt.Log); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

func (t *Trail) openDestinations() error {
	for _, f := range t.cfg.Files {
		sink, err := file.Open(f.Path, file.Options{MaxSize: int64(f.MaxSize), MaxFiles: f.MaxFiles, Log: t.opt.Log})
		if err != nil {
			return &DestinationError{f.Name, err}
		}
		t.files, t.sinks = append(t.files, sink), append(t.sinks, sink)
		format, err := formatOf(f.Format)
		if err != nil {
			return fmt.Errorf("destination %s: %w", f.Name, err)
		}
		t.Routes = append(t.Routes, emitter.Route{Name: f.Name, Format: format, Sink: sink})
	}
	for _, h := range t.cfg.HECs {
		sink, err := h.open(t.cfg.Host, t.opt.Log)
		if err != nil {
			return &DestinationError{h.Name, err}
		}
		t.sinks = append(t.sinks, sink)
		format, err := formatOf(h.Format)
		if err != nil {
			return fmt.Errorf("destination %s: %w", h.Name, err)
		}
		t.Routes = append(t.Routes, h.route(format, sink))
	}
	for _, y := range t.cfg.Syslogs {
		format, err := y.format()
		if err != nil {
			return fmt.Errorf("destination %s: %w", y.Name, err)
		}
		sink, err := y.open(t.opt.Log)
		if err != nil {
			return &DestinationError{y.Name, err}
		}
		t.sinks = append(t.sinks, sink)
		t.Routes = append(t.Routes, emitter.Route{Name: y.Name, Format: format, Sink: sink})
	}
	return nil
}

// formatOf returns what renders events. It is nil for JSON, which the emitter does
// best by itself.
func formatOf(name formats.Name) (emitter.Format, error) {
	if name == formats.NameJSON {
		return nil, nil
	}
	return formats.New(formats.Options{Format: name})
}

var ackModes = map[Ack]hec.AckMode{AckAuto: hec.AckAuto, AckOn: hec.AckOn, AckOff: hec.AckOff}

func (d HECDestination) open(host string, log *slog.Logger) (*hec.Sink, error) {
	isJSON := d.Format == formats.NameJSON || d.Format == formats.NameFlat
	opt := hec.Options{
		TokenFile: d.TokenFile, Text: !isJSON, Trusted: isJSON,
		Host: host, Source: d.Source, SourceType: d.SourceType, Index: d.Index, Fields: d.Fields,
		Ack: ackModes[d.Ack], AckTimeout: d.AckTimeout,
		MaxBytes: int(d.BatchBytes), MaxEvents: d.BatchSize, NoGzip: !d.Gzip,
		CAFile: d.CAFile, CertFile: d.CertFile, KeyFile: d.KeyFile, InsecureSkipVerify: d.InsecureSkipVerify,
		Log: log,
	}
	if d.TokenFile == "" {
		opt.Token = func() (string, error) { return d.Token.Reveal(), nil }
	}
	return hec.New(d.URL.String(), opt)
}

// ackRequests is how many requests are sent before the acknowledgements of all
// are waited for: Splunk gives them every few seconds at best, and one request
// for each wait would be slow.
const ackRequests = 4

func (d HECDestination) route(format emitter.Format, sink emitter.Sink) emitter.Route {
	r := emitter.Route{
		Name: d.Name, Format: format, Sink: sink,
		BatchRecords: d.BatchSize, BatchBytes: int(d.BatchBytes), Linger: d.BatchLinger,
	}
	if d.Ack != AckOff {
		r.BatchRecords *= ackRequests
		r.BatchBytes *= ackRequests
	}
	return r
}

// Emitter returns an emitter along the routes and more. It has recorded, in an
// audit_config event, what the configuration is and what was changed since the
// last start on this spool. Destinations that the spool keeps events for and
// that are not among the routes are named in the log.
func (t *Trail) Emitter(more ...emitter.Route) (*emitter.Emitter, error) {
	em, err := emitter.New(t.Spool, t.opt, slices.Concat(t.Routes, more)...)
	if err != nil {
		return nil, err
	}
	t.record(em)
	for _, c := range t.Spool.Stats().Cursors {
		if !c.Open {
			t.opt.Log.Warn("the spool keeps events for a destination that is not configured any more, and fills up with them",
				"name", c.Name, "pending", c.Pending, "spool", t.Spool.Dir(), "hint", "vmcp-audit spool forget")
		}
	}
	return em, nil
}

// Middleware returns the settings of the middleware.
func (t *Trail) Middleware() middleware.Options {
	return middleware.Options{
		Key:             t.key,
		Digest:          t.cfg.Digest,
		TrustedProxies:  t.cfg.TrustedProxies,
		PrivilegedTools: t.cfg.PrivilegedTools,
		RequestData:     t.cfg.IncludeRequestData,
		ResponseData:    t.cfg.IncludeResponseData,
		MaxData:         int(t.cfg.MaxDataSize),
		Strict:          t.cfg.Durability == Strict,
		FloodLimit:      cmp.Or(t.cfg.FloodLimit, -1), // its zero is the default
		Log:             t.opt.Log,
	}
}

// Reopen opens files anew, as after a rotation by somebody else. It may be
// called while events are emitted.
func (t *Trail) Reopen() error {
	var errs []error
	for _, f := range t.files {
		errs = append(errs, f.Reopen())
	}
	return errors.Join(errs...)
}

// Close closes every destination and then the spool; call it when the emitter's
// Run has ended.
func (t *Trail) Close() error {
	var errs []error
	for _, s := range t.sinks {
		errs = append(errs, s.Close())
	}
	if t.Spool != nil {
		errs = append(errs, t.Spool.Close())
	}
	return errors.Join(errs...)
}

// EmitterOptions returns the settings of an emitter; version is that of the
// program, for the events.
func (c Config) EmitterOptions(version string, log *slog.Logger) emitter.Options {
	opt := emitter.Options{
		Component:    c.Component,
		Observer:     emitter.Observer{Host: c.Host, Instance: c.Instance, Version: version, Labels: c.Labels},
		Only:         typesOf(c.EventTypes),
		Exclude:      typesOf(c.ExcludeEventTypes),
		Log:          log,
		Refuse:       c.SpoolFull == Refuse,
		Heartbeat:    c.Heartbeat,
		FlushTimeout: c.FlushTimeout,
	}
	if c.FlushTimeout == 0 {
		opt.FlushTimeout = -1 // none, where 0 would be the default
	}
	if !c.Enabled {
		opt.Heartbeat = 0 // it would say that the audit lives
	}
	return opt
}

func typesOf(names []string) []emitter.Type {
	var ts []emitter.Type
	for _, n := range names {
		ts = append(ts, emitter.Type(n))
	}
	return ts
}

// One is a configuration with one destination of another.
type One struct {
	Name   string // of the destination
	Config Config
}

// Each returns c once for each of its destinations, in the order of the routes.
func (c Config) Each() []One {
	var all []One
	only := func(name string, set func(*Config)) {
		one := c
		one.Files, one.HECs, one.Syslogs = nil, nil, nil
		set(&one)
		all = append(all, One{name, one})
	}
	for _, d := range c.Files {
		only(d.Name, func(c *Config) { c.Files = []FileDestination{d} })
	}
	for _, d := range c.HECs {
		only(d.Name, func(c *Config) { c.HECs = []HECDestination{d} })
	}
	for _, d := range c.Syslogs {
		only(d.Name, func(c *Config) { c.Syslogs = []SyslogDestination{d} })
	}
	return all
}

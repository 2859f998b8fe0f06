package config

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/file"
	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// Destinations are the open destinations of a configuration.
type Destinations struct {
	Routes []emitter.Route

	files []*file.Sink
}

// Open opens every destination that c switches on, and none if one of them
// cannot be opened. log takes their warnings; nil: none.
func Open(c Config, log *slog.Logger) (*Destinations, error) {
	d := new(Destinations)
	for _, f := range c.Files {
		sink, err := file.Open(f.Path, file.Options{MaxSize: int64(f.MaxSize), MaxFiles: f.MaxFiles, Log: log})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("destination %s: %w", f.Name, err), d.Close())
		}
		d.files = append(d.files, sink)
		d.Routes = append(d.Routes, emitter.Route{Name: f.Name, Format: formatOf(f.Format), Sink: sink})
	}
	return d, nil
}

func formatOf(f FileFormat) emitter.Format {
	if f == FileCompact {
		return formats.Compact
	}
	return formats.JSON
}

// Reopen opens files anew, as after a rotation by somebody else. It may be
// called while events are emitted.
func (d *Destinations) Reopen() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.Reopen())
	}
	return errors.Join(errs...)
}

// Close closes every destination; call it when the emitter has ended.
func (d *Destinations) Close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Emitter returns the settings of an emitter; version is that of the program.
func (c Config) Emitter(version string, log *slog.Logger) emitter.Options {
	return emitter.Options{
		Component: c.Component,
		Observer:  emitter.Observer{Host: c.Host, Instance: c.Instance, Version: version, Labels: c.Labels},
		Only:      typesOf(c.EventTypes),
		Exclude:   typesOf(c.ExcludeEventTypes),
		Log:       log,
	}
}

func typesOf(names []string) []emitter.Type {
	var ts []emitter.Type
	for _, n := range names {
		ts = append(ts, emitter.Type(n))
	}
	return ts
}

// Middleware returns the settings of the middleware.
func (c Config) Middleware() middleware.Options {
	return middleware.Options{
		Key:             []byte(c.HashKey.Reveal()),
		Digest:          c.Digest,
		TrustedProxies:  c.TrustedProxies,
		PrivilegedTools: c.PrivilegedTools,
		RequestData:     c.IncludeRequestData,
		ResponseData:    c.IncludeResponseData,
		MaxData:         int(c.MaxDataSize),
	}
}

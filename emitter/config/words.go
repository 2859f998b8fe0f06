package config

import (
	"errors"
	"log/slog"
	"strings"
)

// LogLevel is the least level that is logged. It is a [slog.Leveler].
type LogLevel slog.Level

// UnmarshalText reads debug, info, warn or error.
func (l *LogLevel) UnmarshalText(text []byte) error {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(level.String(), string(text)) {
			*l = LogLevel(level)
			return nil
		}
	}
	return errors.New("is not a log level")
}

// Level returns l for package slog.
func (l LogLevel) Level() slog.Level { return slog.Level(l) }

// String returns the word that UnmarshalText reads.
func (l LogLevel) String() string { return strings.ToLower(slog.Level(l).String()) }

// Durability says when an event counts as recorded.
type Durability string

// The durabilities.
const (
	Durable Durability = "durable" // when it is on disk
	Strict  Durability = "strict"  // the same, and nothing runs that cannot be recorded
	Async   Durability = "async"   // when it is on its way to the disk
)

// SpoolFull says what happens when nothing more can be stored.
type SpoolFull string

// What can happen then.
const (
	DropNewest SpoolFull = "drop-newest"
	DropOldest SpoolFull = "drop-oldest"
	Refuse     SpoolFull = "refuse"
)

// Ack says what is done with the indexer acknowledgement of a HEC.
type Ack string

// The modes of acknowledgement, as hec.AckMode has them.
const (
	AckAuto Ack = "auto"
	AckOn   Ack = "on"
	AckOff  Ack = "off"
)

// Preset names a product whose syslog receiver is to take the events.
type Preset string

// The presets.
const (
	PresetQRadar   Preset = "qradar"
	PresetArcSight Preset = "arcsight"
	PresetRsyslog  Preset = "rsyslog"
)

// Framing says how a stream of syslog messages is divided.
type Framing string

// The framings, as syslog.Framing has them.
const (
	FramingAuto  Framing = "auto"
	FramingOctet Framing = "octet"
	FramingLF    Framing = "lf"
)

// UnknownEnv says what an unknown variable with our prefix is.
type UnknownEnv string

// What an unknown variable can be.
const (
	UnknownError UnknownEnv = "error"
	UnknownWarn  UnknownEnv = "warn"
)

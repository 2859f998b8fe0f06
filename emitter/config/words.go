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

// FileFormat is how a file shows an event.
type FileFormat string

// The formats of files.
const (
	FileJSON    FileFormat = "json"    // the canonical line
	FileCompact FileFormat = "compact" // a short line for people
)

// UnknownEnv says what an unknown variable with our prefix is.
type UnknownEnv string

// What an unknown variable can be.
const (
	UnknownError UnknownEnv = "error"
	UnknownWarn  UnknownEnv = "warn"
)

// Package syslog tests what docs/syslog.md promises, against the receivers that
// other people run.
package syslog

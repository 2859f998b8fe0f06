// Package inspect looks into a spool's folder: what waits there for whom, and
// whether it is whole. It only reads, needs no lock, and may be used while
// another process writes. What it tells of the destinations' faults are the words
// of that process, in its audit_start, audit_heartbeat and audit_sink events.
//
// The exported structs are what 'vmcp-audit spool -o json' prints; docs/commands.md
// shows them.
package inspect

// Package emitter turns events into an audit trail and takes it to its
// destinations.
//
// An [Event] is made with [NewEvent] and handed over to [Emitter.Emit], which
// encodes it once to its canonical JSON and appends it to a spool (package
// spool). When Emit returns nil in the spool's Durable mode, the event survives a
// crash, and every [Route] delivers it, in order and at least once, however long
// the destination is away. Each route has a cursor of its own in the spool, so
// that one which is down holds no other up.
//
// Lost is what the spool could not store (Emit says so) and what it had to drop
// or finds damaged; a destination misses what it has refused for good, which is
// kept with the [DeadLetter] files. Each such loss is counted in [Emitter.Stats],
// logged, and named by an audit_loss event in the trail.
//
// Imports go one way: this package knows no format and no destination.
package emitter

// Package emitter turns events into records of an audit trail.
//
// An [Event] is made with [NewEvent], handed over to [Emitter.Emit], encoded
// once to its canonical JSON and sent along every [Route] in the order in which
// it was accepted. When Emit returns nil, every route's sink has confirmed the
// event: for a file that means fdatasync. When it returns an error, at least
// one route did not take the event; the loss is counted in [Emitter.Stats] and
// logged when it begins and when it ends. Nothing is kept for a later try yet,
// so a destination that is away loses events, by name and number.
package emitter

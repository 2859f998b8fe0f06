package syslog

import "sync/atomic"

// Stats are counts since the sink was made.
type Stats struct {
	Connections uint64 // that were opened
	Broken      uint64 // of these broke or were closed while something had not settled
	Refused     uint64 // times that the far system said that nobody takes the datagrams
	Bytes       uint64 // of frames handed over, those that came again included
}

type counters struct {
	connections, broken, refused, bytes atomic.Uint64
}

// Stats returns the present counts. It may be called at any time from any
// goroutine.
func (s *Sink) Stats() Stats {
	c := &s.count
	return Stats{Connections: c.connections.Load(), Broken: c.broken.Load(), Refused: c.refused.Load(), Bytes: c.bytes.Load()}
}

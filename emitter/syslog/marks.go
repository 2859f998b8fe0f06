package syslog

import "time"

// mark is one write to a connection.
type mark struct {
	seq  uint64    // of its last record
	end  int64     // bytes of the connection up to its end
	at   time.Time // when it had been written
	seen time.Time // when the receiver's system was first seen to have it; zero: not yet
}

// marks are the writes of a connection that have not settled.
type marks struct {
	list  []mark    // in order
	seen  int       // how many of them the receiver's system has
	stuck time.Time // when last something had waited for long to be acknowledged
}

func (m *marks) add(seq uint64, end int64, now time.Time) {
	m.list = append(m.list, mark{seq: seq, end: end, at: now})
}

// acknowledge notes that the receiver's system has the first bytes of the
// connection.
func (m *marks) acknowledge(acked int64, now time.Time) {
	for ; m.seen < len(m.list) && m.list[m.seen].end <= acked; m.seen++ {
		m.list[m.seen].seen = now
	}
}

// waiting returns for how long the first write has waited to be acknowledged.
func (m *marks) waiting(now time.Time) time.Duration {
	if m.seen == len(m.list) {
		return 0
	}
	return now.Sub(m.list[m.seen].at)
}

// settled returns how many of them count as delivered on a connection that is
// well: the receiver's system has them, and either window bytes behind them, so
// that its program must have read them to make room; or it has had them for a
// while in which nothing waited for long to be acknowledged, so that its program
// had time to read.
func (m *marks) settled(acked int64, now time.Time, window int64, after time.Duration) int {
	m.acknowledge(acked, now)
	if m.waiting(now) > after/5 {
		m.stuck = now
	}
	n := 0
	for n < m.seen && (m.list[n].end <= acked-window || now.Sub(m.list[n].seen) >= after && now.Sub(m.stuck) >= after) {
		n++
	}
	return n
}

// drop takes the first n of them out.
func (m *marks) drop(n int) {
	m.list, m.seen = m.list[n:], m.seen-n
}

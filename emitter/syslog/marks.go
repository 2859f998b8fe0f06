package syslog

import (
	"slices"
	"time"
)

// mark is one write to a connection.
type mark struct {
	seq uint64    // of its last record
	end int64     // bytes of the connection up to its end
	at  time.Time // when it had been written
}

// marks are the writes of a connection that have not settled, in order.
type marks []mark

// unacked returns the first of those that the receiver's system does not have,
// of which it has acknowledged the first bytes of the connection.
func (m marks) unacked(acked int64) (mark, bool) {
	i, _ := slices.BinarySearchFunc(m, acked, func(m mark, acked int64) int {
		if m.end <= acked {
			return -1
		}
		return 1
	})
	if i == len(m) {
		return mark{}, false
	}
	return m[i], true
}

// settled returns how many of them count as delivered on a connection that is
// well: the receiver's system has them, and either window bytes behind them, so
// that its program must have read them to make room; or they have been there for
// a while, and nothing waits to be acknowledged for long.
func (m marks) settled(acked int64, now time.Time, window int64, after time.Duration) int {
	first, found := m.unacked(acked)
	stuck := found && now.Sub(first.at) >= after/5
	n := 0
	for n < len(m) && m[n].end <= acked && (m[n].end <= acked-window || !stuck && now.Sub(m[n].at) >= after) {
		n++
	}
	return n
}

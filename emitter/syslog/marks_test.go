package syslog

import (
	"testing"
	"time"
)

// TestSettling decides by the numbers alone: 100 bytes were written each second,
// the window is 300 bytes, the time five seconds.
func TestSettling(t *testing.T) {
	begin := time.Now()
	type look struct {
		at    float64 // seconds
		acked int64
		want  int // settled by then
	}
	for _, tt := range []struct {
		name  string
		looks []look
	}{
		{"nothing acknowledged", []look{{3, 0, 0}, {100, 0, 0}}},
		{"a window behind the first", []look{{3.5, 400, 1}}},
		{"at once", []look{{3.5, 400, 1}, {8.4, 400, 1}, {8.5, 400, 4}}},
		{"one after the other", []look{{0, 100, 0}, {1, 200, 0}, {2, 300, 0}, {3, 399, 0}, {3.9, 399, 0}}},
		{"one after the other, and then all", []look{{0, 100, 0}, {1, 200, 0}, {2, 300, 0}, {3, 400, 1}, {6, 400, 2}, {7, 400, 3}, {8, 400, 4}}},
		{"in the middle of a write", []look{{3.1, 350, 0}}},
		// What was written long ago has only just arrived.
		{"late", []look{{50, 300, 0}, {54.9, 300, 0}}},
		// The receiver hung, and its buffer was full. It has room again, but has
		// not read what it had first.
		{"stuck, and well again", []look{{2, 300, 0}, {100, 300, 0}, {101, 400, 1}, {104.9, 400, 1}, {105, 400, 3}, {106, 400, 4}}},
		{"stuck", []look{{2, 300, 0}, {100, 300, 0}, {200, 300, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m marks
			for i := range 4 {
				m.add(uint64(i+1), int64(100*i+100), begin.Add(time.Duration(i)*time.Second))
			}
			settled := 0
			for _, l := range tt.looks {
				n := m.settled(l.acked, begin.Add(time.Duration(l.at*float64(time.Second))), 300, 5*time.Second)
				m.drop(n)
				if settled += n; settled != l.want {
					t.Errorf("%d settled after %v s, want %d", settled, l.at, l.want)
				}
			}
		})
	}
}

// TestSettlingWhileSomethingIsOnItsWay settles what was acknowledged long ago.
func TestSettlingWhileSomethingIsOnItsWay(t *testing.T) {
	begin := time.Now()
	var m marks
	m.add(1, 100, begin)
	m.acknowledge(100, begin)
	m.add(2, 200, begin.Add(5500*time.Millisecond))
	if n := m.settled(100, begin.Add(6*time.Second), 300, 5*time.Second); n != 1 {
		t.Errorf("%d settled, want 1", n)
	}
}

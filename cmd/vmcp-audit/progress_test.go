package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/ship"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestProgress: the line is changed in place, other lines stand above it, and it
// goes at the end.
func TestProgress(t *testing.T) { synctest.Test(t, testProgress) } // no time passes by itself

func testProgress(t *testing.T) {
	var out bytes.Buffer
	p := &progress{to: &out}
	_, _ = p.Write([]byte("before\n"))
	p.show(ship.Stats{Events: 1}, nil)
	p.show(ship.Stats{Events: 2}, nil) // too soon
	_, _ = p.Write([]byte("said\n"))
	time.Sleep(progressGap)
	p.show(ship.Stats{Events: 3, Aside: 1, Waits: true}, []emitter.RouteStats{
		{Name: "a", State: emitter.RouteUp}, {Name: "b", State: emitter.RouteUp, Pending: 4}, {Name: "c", State: emitter.RouteBlocked, Pending: 5},
	})
	p.end()
	p.end()
	const erase = "\r\x1b[K"
	want := "before\n" + erase + "1 events stored" + erase + "said\n1 events stored" +
		erase + "3 events stored · 1 lines kept aside · the spool is full · 4 wait for b · c blocked, 5 wait" + erase
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
	var none *progress
	none.show(ship.Stats{}, nil)
	none.end()
	if newProgress(&out) != nil {
		t.Error("progress on what is no terminal")
	}
}

func TestIsStalled(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	up, down := emitter.RouteStats{Pending: 1}, emitter.RouteStats{Pending: 1, Down: long}
	done, recent := emitter.RouteStats{Down: long}, emitter.RouteStats{Pending: 1, Down: time.Now()}
	for name, tt := range map[string]struct {
		routes []emitter.RouteStats
		want   bool
	}{
		"none": {nil, false}, "down": {[]emitter.RouteStats{down}, true}, "one is up": {[]emitter.RouteStats{down, up}, false},
		"one has all": {[]emitter.RouteStats{down, done}, true}, "not for long": {[]emitter.RouteStats{down, recent}, false},
		"all have all": {[]emitter.RouteStats{done}, false},
	} {
		if got := isStalled(tt.routes, time.Minute); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

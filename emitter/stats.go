package emitter

import (
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Stats counts what became of the events since the start.
type Stats struct {
	Emitted  uint64 // stored in the spool
	Filtered uint64 // left out by Options.Only or Options.Exclude
	Invalid  uint64 // not emitted: a required field was missing
	Failed   uint64 // not stored: lost, or unconfirmed
	Refused  uint64 // after the emitter was closed: lost
	Routes   []RouteStats
	Spool    spool.Stats
}

// RouteStats is the state of one route, and what became of its records.
type RouteStats struct {
	Name      string
	Confirmed uint64 // seq up to which everything is done with
	Pending   uint64 // seqs after it
	Sent      uint64 // records that the sink has confirmed
	Failures  uint64 // calls of Send that ended in an error
	Dead      uint64 // records that the sink refused for good: in the dead letters
	Unread    uint64 // records that are no events: set aside

	State     RouteState
	Down      time.Time // since when it has not been up; zero: it is
	LastError string    // of the present fault
}

// RouteState says how a route is doing.
type RouteState string

// The states of a route.
const (
	RouteUp       RouteState = "up"
	RouteRetrying RouteState = "retrying" // a passing fault: tried again and again
	RouteBlocked  RouteState = "blocked"  // a fault of the configuration: probed slowly
)

func (r *RouteStats) status() RouteStatus {
	return RouteStatus{Name: r.Name, State: string(r.State), Pending: Of(int64(r.Pending)), Dead: Of(int64(r.Dead))}
}

// Stats returns the counters as they stand.
func (em *Emitter) Stats() Stats {
	s := Stats{
		Emitted: em.emitted.Load(), Filtered: em.filtered.Load(), Invalid: em.invalid.Load(),
		Failed: em.failed.Load(), Refused: em.refused.Load(), Spool: em.spool.Stats(),
	}
	for _, r := range em.routes {
		st := r.snapshot()
		st.Confirmed = r.cursor.Confirmed()
		st.Pending = s.Spool.Last - min(st.Confirmed, s.Spool.Last)
		s.Routes = append(s.Routes, st)
	}
	return s
}

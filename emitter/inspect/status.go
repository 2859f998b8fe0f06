package inspect

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Status is how a spool is doing.
type Status struct {
	Dir      string    `json:"dir"`
	Stream   string    `json:"stream"`
	Writer   Writer    `json:"writer"`
	FirstSeq uint64    `json:"first_seq"` // of the oldest record; 0: there is none
	LastSeq  uint64    `json:"last_seq"`
	Records  uint64    `json:"records"`
	Oldest   time.Time `json:"oldest,omitzero"` // when it was stored
	Newest   time.Time `json:"newest,omitzero"`
	Damaged  int       `json:"damaged"` // places that do not verify; Check names them

	Bytes          int64   `json:"bytes"`                     // that count against the quota
	Quota          int64   `json:"quota,omitempty"`           // bytes; 0: not known
	DiskFree       int64   `json:"disk_free,omitempty"`       // bytes; 0: the system does not tell
	BytesPerSecond float64 `json:"bytes_per_second"`          // stored, over the last RateRecords records
	SecondsToFull  *int64  `json:"seconds_to_full,omitempty"` // at that rate, if no destination took anything; nil: not known

	Routes []Route `json:"routes"` // by name
}

// Writer is the process that has the spool.
type Writer struct {
	Running bool `json:"running"`
	PID     int  `json:"pid,omitempty"` // 0: not known
}

// Route is how far one destination has come.
type Route struct {
	Name          string    `json:"name"`
	State         State     `json:"state"`
	Confirmed     uint64    `json:"confirmed_seq"` // up to which it has everything
	Pending       uint64    `json:"pending"`       // records that it has not confirmed
	PendingBytes  int64     `json:"pending_bytes"`
	OldestPending time.Time `json:"oldest_pending,omitzero"` // when the first of these was stored
	Reason        string    `json:"reason,omitempty"`        // of the last fault, if it is not over
	Error         string    `json:"error,omitempty"`
	Since         time.Time `json:"since,omitzero"` // when that fault began
	AsOf          time.Time `json:"as_of,omitzero"` // when the process last spoke of the route
	DeadLetters   int       `json:"dead_letters"`
	DeadBytes     int64     `json:"dead_letter_bytes"`
	MarkDamaged   bool      `json:"mark_damaged,omitempty"` // its cursor begins with the oldest record
}

// State is how a route was doing when the process that writes last spoke of it.
type State string

// The states.
const (
	StateUp       = State(emitter.RouteUp)
	StateRetrying = State(emitter.RouteRetrying)
	StateBlocked  = State(emitter.RouteBlocked)
	StateStopped  = State("stopped") // no process has the spool
	StateUnused   = State("unused")  // the process that has it does not know the route, whose events stay
	StateUnknown  = State("unknown") // it has not said
)

// RateRecords is over how many of the last records the rate is taken.
const RateRecords = 1000

// overhead is what a record takes besides its payload, in bytes.
const overhead = 60

// Read returns the status of the spool in dir at the time now. It reads all of
// it once, which takes a few seconds for a GiB. quota is that of the process
// that writes, in bytes; 0: not known.
func Read(ctx context.Context, dir string, quota int64, now time.Time) (*Status, error) {
	l, err := spool.OpenLog(dir)
	if err != nil {
		return nil, err
	}
	r := statusReader{status: Status{Dir: dir, Stream: l.Stream().String(), Quota: quota, Routes: []Route{}}}
	if err := r.marks(l); err != nil {
		return nil, err
	}
	if err := Walk(ctx, dir, new(spool.Position), r.record, func(error) { r.status.Damaged++ }); err != nil {
		return nil, err
	}
	r.status.Writer.PID, r.status.Writer.Running = l.Writer()
	if l, err = spool.OpenLog(dir); err != nil { // as it is now
		return nil, err
	}
	r.size(l)
	r.rate(now)
	for i := range r.status.Routes {
		r.settle(&r.status.Routes[i])
	}
	return &r.status, nil
}

// statusReader gathers a status.
type statusReader struct {
	status Status
	told   bool // a process has named its routes
	named  map[string]bool
	recent []sample // a ring
	next   int
}

// sample is one record for the rate.
type sample struct {
	time time.Time
	size int64
}

func (r *statusReader) marks(l *spool.Log) error {
	marks, err := l.Marks()
	if err != nil {
		return err
	}
	for _, m := range marks {
		r.status.Routes = append(r.status.Routes, Route{Name: m.Name, State: StateUnknown, Confirmed: m.Confirmed, MarkDamaged: m.Damaged})
	}
	return nil
}

func (r *statusReader) record(l *spool.Log, rec spool.Record) error {
	s, size := &r.status, int64(len(rec.Payload)+overhead)
	if s.Records == 0 {
		s.FirstSeq, s.Oldest = rec.Seq, rec.Time.UTC()
	}
	s.Records++
	s.LastSeq, s.Newest = rec.Seq, rec.Time.UTC()
	for i := range s.Routes {
		if route := &s.Routes[i]; rec.Seq > route.Confirmed {
			if route.Pending == 0 {
				route.OldestPending = rec.Time.UTC()
			}
			route.Pending++
			route.PendingBytes += size
		}
	}
	if len(r.recent) < RateRecords {
		r.recent = append(r.recent, sample{rec.Time, size})
	} else {
		r.recent[r.next%RateRecords] = sample{rec.Time, size}
	}
	r.next++
	if bytes.Contains(rec.Payload, []byte(`"type":"audit_`)) {
		if e, err := emitter.Decode(rec.Payload); err == nil && e.Status.Stream == l.Stream().String() {
			r.hear(e)
		}
	}
	return nil
}

// hear takes what the process that writes says of its routes.
func (r *statusReader) hear(e *emitter.Event) {
	switch e.Type {
	case emitter.TypeAuditStart, emitter.TypeAuditHeartbeat, emitter.TypeAuditStop:
		r.told, r.named = true, make(map[string]bool)
		for _, st := range e.Status.Routes {
			r.named[st.Name] = true
			r.say(&st, e)
		}
	case emitter.TypeAuditSink:
		for _, st := range e.Status.Routes {
			if route := r.say(&st, e); route != nil && e.Outcome != emitter.OutcomeSuccess {
				route.Reason, route.Error = string(e.Reason), e.Metadata.Extra.ErrorMessage
				route.Since = e.LoggedAt.Add(-time.Duration(e.Metadata.Extra.DurationMS.Value) * time.Millisecond)
			}
		}
	default:
	}
}

func (r *statusReader) say(st *emitter.RouteStatus, e *emitter.Event) *Route {
	for i := range r.status.Routes {
		route := &r.status.Routes[i]
		if route.Name != st.Name {
			continue
		}
		route.State, route.AsOf = State(st.State), e.LoggedAt
		if route.State == StateUp || e.Type == emitter.TypeAuditStart {
			route.Reason, route.Error, route.Since = "", "", time.Time{}
		}
		return route
	}
	return nil
}

// settle says what the words of a process are worth now.
func (r *statusReader) settle(route *Route) {
	switch {
	case !r.status.Writer.Running:
		route.State = StateStopped
	case r.told && !r.named[route.Name]:
		route.State = StateUnused
	}
}

// size measures the folder.
func (r *statusReader) size(l *spool.Log) {
	s := &r.status
	s.Bytes = l.Used()
	s.DiskFree, _ = l.Free()
	for _, f := range l.Files() {
		name, _, ok := emitter.ParseLetterPath(f.Path)
		if !ok {
			continue
		}
		i := slices.IndexFunc(s.Routes, func(r Route) bool { return r.Name == name })
		if i < 0 { // its cursor was forgotten
			i = len(s.Routes)
			s.Routes = append(s.Routes, Route{Name: name, State: StateUnknown, Confirmed: s.LastSeq})
		}
		s.Routes[i].DeadLetters++
		s.Routes[i].DeadBytes += f.Bytes
	}
	slices.SortFunc(s.Routes, func(a, b Route) int { return strings.Compare(a.Name, b.Name) })
}

// rate says how fast the spool fills.
func (r *statusReader) rate(now time.Time) {
	if len(r.recent) < 2 {
		return
	}
	sum, first := int64(0), now
	for _, s := range r.recent {
		sum += s.size
		if s.time.Before(first) {
			first = s.time
		}
	}
	took := now.Sub(first).Seconds()
	if took <= 0 {
		return
	}
	r.status.BytesPerSecond = float64(sum) / took
	if r.status.Quota > 0 {
		left := max(r.status.Quota-r.status.Bytes, 0)
		seconds := int64(float64(left) / r.status.BytesPerSecond)
		r.status.SecondsToFull = &seconds
	}
}

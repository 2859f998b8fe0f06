package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Act names what is done.
type Act string

// The acts.
const (
	ActForget      Act = "forget"       // the route's cursor goes: its events hold the spool no more
	ActReplay      Act = "replay"       // the route's cursor is set back
	ActReplayDead  Act = "replay_dead"  // its dead letters are sent again, and those that are taken removed
	ActForgetFully Act = "forget_fully" // forget, and its dead letters are deleted
)

// Plan says what an act does, in numbers.
type Plan struct {
	Act          Act    `json:"act"`
	Dir          string `json:"dir,omitempty"`
	Route        string `json:"route"`
	FirstSeq     uint64 `json:"first_seq,omitempty"` // of the events that are not delivered (forget) or again (replay); 0: there are none
	LastSeq      uint64 `json:"last_seq,omitempty"`
	Events       uint64 `json:"events"`                  // records among these
	DeadLetters  int    `json:"dead_letters"`            // deleted, or sent again
	FreedBytes   int64  `json:"freed_bytes"`             // of segments that nobody else needs
	LastRoute    bool   `json:"last_route"`              // forget: no other is left, and without any the spool keeps everything
	RemovedFirst uint64 `json:"removed_first,omitempty"` // seqs that are not in the spool any more, of which some were asked for; 0: none
	RemovedLast  uint64 `json:"removed_last,omitempty"`

	last    uint64   // seq of the newest record
	cursor  bool     // the route has one
	letters []uint64 // seqs of its dead letters
}

// ErrNothing is the error of an act that has nothing to do.
var ErrNothing = errors.New("there is nothing to do")

// RouteError says that the spool has no such route.
type RouteError struct {
	Name string
	Have []string // names of those that it has
}

func (e *RouteError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("the spool has no route %q, and no other", e.Name)
	}
	return fmt.Sprintf("the spool has no route %q; it has %s", e.Name, strings.Join(e.Have, ", "))
}

func routeError(name string, marks []spool.MarkInfo) error {
	e := &RouteError{Name: name}
	for _, m := range marks {
		e.Have = append(e.Have, m.Name)
	}
	return e
}

// begin opens the log and looks for the route.
func begin(dir, route string, act Act) (*spool.Log, []spool.MarkInfo, *Plan, error) {
	l, err := spool.OpenLog(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	marks, err := l.Marks()
	if err != nil {
		return nil, nil, nil, err
	}
	p := &Plan{Act: act, Dir: dir, Route: route}
	for _, f := range l.Files() {
		if name, seq, ok := emitter.ParseLetterPath(f.Path); ok && name == route {
			p.letters = append(p.letters, seq)
		}
	}
	slices.Sort(p.letters)
	p.cursor = slices.ContainsFunc(marks, func(m spool.MarkInfo) bool { return m.Name == route })
	if !p.cursor && (act == ActForget || act == ActReplay || len(p.letters) == 0) {
		return nil, nil, nil, routeError(route, marks)
	}
	return l, marks, p, nil
}

// PlanForget says what is lost when the route is forgotten, with its dead letters
// if dead is set.
func PlanForget(ctx context.Context, dir, route string, dead bool) (*Plan, error) {
	act := ActForget
	if dead {
		act = ActForgetFully
	}
	l, marks, p, err := begin(dir, route, act)
	if err != nil {
		return nil, err
	}
	if dead {
		p.DeadLetters = len(p.letters)
	}
	if !p.cursor {
		return p, nil
	}
	confirmed, others := uint64(0), ^uint64(0)
	for _, m := range marks {
		if m.Name == route {
			confirmed = m.Confirmed
		} else {
			others = min(others, m.Confirmed)
		}
	}
	p.LastRoute = len(marks) == 1
	if _, err := p.count(ctx, inspect.Range{First: confirmed + 1}); err != nil {
		return nil, err
	}
	for _, seg := range l.Segments() { // the events that tell of it begin another one
		if last := cmp.Or(seg.Last, p.last); !p.LastRoute && last <= others {
			p.FreedBytes += seg.Bytes
		}
	}
	return p, nil
}

// PlanReplay says what is sent again when the route is set back to seq, or, if
// since is not zero, to the first record stored then or later.
func PlanReplay(ctx context.Context, dir, route string, seq uint64, since time.Time) (*Plan, error) {
	_, marks, p, err := begin(dir, route, ActReplay)
	if err != nil {
		return nil, err
	}
	confirmed := marks[slices.IndexFunc(marks, func(m spool.MarkInfo) bool { return m.Name == route })].Confirmed
	if confirmed == 0 {
		return p, nil
	}
	oldest, err := p.count(ctx, inspect.Range{First: seq, Last: confirmed, Since: since})
	if err != nil {
		return nil, err
	}
	if want := max(seq, 1); oldest > want && (p.Events == 0 || p.FirstSeq == oldest) {
		p.RemovedFirst, p.RemovedLast = want, oldest-1
	}
	return p, nil
}

// PlanReplayDead says how many dead letters of the route are sent again.
func PlanReplayDead(dir, route string) (*Plan, error) {
	_, _, p, err := begin(dir, route, ActReplayDead)
	if err != nil {
		return nil, err
	}
	p.DeadLetters = len(p.letters)
	if n := len(p.letters); n > 0 {
		p.FirstSeq, p.LastSeq = p.letters[0], p.letters[n-1]
	}
	return p, nil
}

// count counts the records from the first one in the range to its last seq, and
// returns the seq of the oldest record that is there.
func (p *Plan) count(ctx context.Context, in inspect.Range) (oldest uint64, err error) {
	err = inspect.Walk(ctx, p.Dir, new(spool.Position), func(_ *spool.Log, rec spool.Record) error {
		if oldest == 0 {
			oldest = rec.Seq
		}
		p.last = rec.Seq
		switch {
		case p.Events == 0 && !in.Contains(&rec):
			return nil
		case in.Last > 0 && rec.Seq > in.Last:
			return nil
		case p.Events == 0:
			p.FirstSeq = rec.Seq
		}
		p.Events++
		p.LastSeq = rec.Seq
		return nil
	}, func(error) {})
	return oldest, err
}

// empty reports whether the act would do nothing.
func (p *Plan) empty() bool {
	switch p.Act {
	case ActForget, ActForgetFully:
		return !p.cursor && p.DeadLetters == 0
	case ActReplay:
		return p.Events == 0
	default:
		return p.DeadLetters == 0
	}
}

// letterPath returns where a dead letter of the route lies.
func (p *Plan) letterPath(seq uint64) string {
	return filepath.Join(p.Dir, emitter.LetterPath(p.Route, seq))
}

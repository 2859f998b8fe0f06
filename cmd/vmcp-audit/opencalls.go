package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// maxOpen is how many calls without an end are remembered.
const maxOpen = 1 << 16

// openCalls joins the received events of strict mode with the completed ones. The
// zero value is not usable.
type openCalls struct {
	calls map[string]openCall // by the id of the call
	seen  uint64              // received events
	left  uint64              // of these, those that there was no room for
}

type openCall struct {
	number uint64 // in the order of the trail
	event  *emitter.Event
}

func newOpenCalls() *openCalls { return &openCalls{calls: make(map[string]openCall)} }

func (o *openCalls) take(e *emitter.Event) {
	switch {
	case e.Stage == emitter.StageCompleted:
		delete(o.calls, e.AuditID)
	case e.Stage == emitter.StageReceived && e.Trace.ParentAuditID != "":
		o.seen++
		if len(o.calls) >= maxOpen {
			o.left++
			return
		}
		o.calls[e.Trace.ParentAuditID] = openCall{o.seen, e}
	}
}

// list returns the calls that have not ended, in the order of the trail.
func (o *openCalls) list() (events []*emitter.Event) {
	var calls []openCall
	for _, c := range o.calls {
		calls = append(calls, c)
	}
	slices.SortFunc(calls, func(a, b openCall) int { return cmp.Compare(a.number, b.number) })
	for _, c := range calls {
		events = append(events, c.event)
	}
	return events
}

// warn says what the list may lack.
func (o *openCalls) warn(w io.Writer) {
	if o.left > 0 {
		fmt.Fprintf(w, "vmcp-audit: more than %d calls were open at once: %d received ones were not looked at\n", maxOpen, o.left)
	}
	if o.seen == 0 {
		fmt.Fprintln(w, "vmcp-audit: there is no received event: only VMCP_AUDIT_DURABILITY=strict writes them")
	}
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Bounds of the calls without an end that are remembered.
const (
	maxOpen      = 1 << 16
	maxOpenBytes = 64 << 20
)

// openCalls joins the received events of strict mode with the completed ones. The
// zero value is not usable.
type openCalls struct {
	calls map[string]openCall // by the id of the call
	bytes int                 // of their lines
	seen  uint64              // received events
	left  uint64              // of these, those that there was no room for
}

type openCall struct {
	number uint64 // in the order of the trail
	read   read   // not decoded, which takes ten times as much
}

func newOpenCalls() *openCalls { return &openCalls{calls: make(map[string]openCall)} }

// take takes e, which was decoded from r.
func (o *openCalls) take(e *emitter.Event, r *read) {
	switch {
	case e.Stage == emitter.StageCompleted:
		o.drop(e.AuditID)
	case e.Stage == emitter.StageReceived && e.Trace.ParentAuditID != "":
		o.drop(e.Trace.ParentAuditID)
		o.seen++
		if len(o.calls) >= maxOpen || o.bytes+len(r.line) > maxOpenBytes {
			o.left++
			return
		}
		o.calls[e.Trace.ParentAuditID] = openCall{o.seen, r.clone()}
		o.bytes += len(r.line)
	}
}

func (o *openCalls) drop(id string) {
	o.bytes -= len(o.calls[id].read.line)
	delete(o.calls, id)
}

// list returns the calls that have not ended, in the order of the trail.
func (o *openCalls) list() []openCall {
	return slices.SortedFunc(maps.Values(o.calls), func(a, b openCall) int { return cmp.Compare(a.number, b.number) })
}

// warn says what the list may lack.
func (o *openCalls) warn(w io.Writer) {
	if o.left > 0 {
		fmt.Fprintf(w, "vmcp-audit: more than %d calls, or %d MiB of them, were open at once: %d received ones were not looked at\n", maxOpen, maxOpenBytes>>20, o.left)
	}
	if o.seen == 0 {
		fmt.Fprintln(w, "vmcp-audit: there is no received event: only VMCP_AUDIT_DURABILITY=strict writes them")
	}
}

package formats

import "github.com/vmcp-audit/vmcp-audit/emitter"

var (
	_ emitter.Format = JSON
	_ emitter.Format = Compact
)

// JSON appends the canonical JSON of e: for an event that was decoded or
// emitted its very bytes, so that fields which a newer version added travel on
// unchanged.
func JSON(dst []byte, e *emitter.Event) []byte {
	if line := e.Stored(); line != nil {
		return append(dst, line...)
	}
	return emitter.AppendEvent(dst, e)
}

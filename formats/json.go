package formats

import "github.com/vmcp-audit/vmcp-audit/emitter"

var (
	_ emitter.Format = JSON
	_ emitter.Format = Compact
)

// JSON appends the canonical JSON of e: for an event that was decoded or
// emitted its very bytes, and its integrity behind them.
func JSON(dst []byte, e *emitter.Event) []byte { return emitter.AppendStored(dst, e) }

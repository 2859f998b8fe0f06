package middleware

import "github.com/vmcp-audit/vmcp-audit/internal/redact"

// Redaction describes one rule by which text is taken out of events.
type Redaction struct{ Rule, Doc string }

// Redactions describes every rule: what stands as [redacted:RULE] in an event,
// and as `rule` in its `redactions`. "cut" says that data was shortened.
func Redactions() []Redaction {
	var out []Redaction
	for _, r := range redact.Rules {
		out = append(out, Redaction{string(r.Name), r.Doc})
	}
	return append(out, Redaction{string(ruleCut), "Recorded data was longer than `VMCP_AUDIT_MAX_DATA_SIZE`; no secret."})
}

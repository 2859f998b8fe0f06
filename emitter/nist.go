package emitter

import "slices"

// SeverityRule is one row of the severity table; the first row that fits counts.
type SeverityRule struct {
	When     string
	Severity int
	fits     func(*Event) bool
}

var severities = []SeverityRule{
	{"`audit_loss`, whatever its outcome", 8, func(e *Event) bool { return e.Type == TypeAuditLoss }},
	{"outcome `error`", 7, func(e *Event) bool { return e.Outcome == OutcomeError }},
	{"outcome `denied`", 6, func(e *Event) bool { return e.Outcome == OutcomeDenied }},
	{"outcome `failure`", 4, func(e *Event) bool { return e.Outcome == OutcomeFailure }},
	{"outcome `pending`, or a privileged tool", 3, func(e *Event) bool { return e.Outcome == OutcomePending || e.Target.Privileged }},
}

// Severities returns the severity table; what no row fits has the severity of
// its type.
func Severities() []SeverityRule { return append([]SeverityRule(nil), severities...) }

// SeverityOf returns the severity of e on the CEF scale, 2 to 8.
func SeverityOf(e *Event) int {
	for i := range severities {
		if severities[i].fits(e) {
			return severities[i].Severity
		}
	}
	if t, ok := typeInfo[e.Type]; ok {
		return t.Severity
	}
	return 3
}

// ControlRule is one row of the table of controls that depend on more than the
// type. Every row that fits counts.
type ControlRule struct {
	When    string
	Control string
	fits    func(*Event) bool
}

var controlRules = []ControlRule{
	{"a tool that is configured as privileged", "AC-6(9)", func(e *Event) bool { return e.Target.Privileged }},
	{"an authorizer decided, or access was refused", "AC-3", func(e *Event) bool {
		return e.Decision.Effect != "" || e.Outcome == OutcomeDenied && (e.Reason == ReasonForbidden || e.Reason == ReasonPolicy || e.Reason == ReasonScope)
	}},
	{"a client was refused for want of a valid identity", "IA-2", func(e *Event) bool {
		switch e.Reason {
		case ReasonUnauthenticated, ReasonMalformedToken, ReasonExpired, ReasonWrongAudience, ReasonWrongIssuer, ReasonBadSignature:
			return e.Outcome == OutcomeDenied
		default:
			return false
		}
	}},
	{"a limit was enforced", "SC-5", func(e *Event) bool { return e.Reason == ReasonRateLimited }},
	{"the request was malformed in a way that attacks use", "SI-10", func(e *Event) bool {
		return slices.ContainsFunc(e.Anomalies, func(a string) bool {
			return a == AnomalyDuplicateKey || a == AnomalyKeyCase || a == AnomalyHeaderMismatch || a == AnomalyNoJSON || a == AnomalyEncodedRequest || a == AnomalyBOM
		})
	}},
}

// ControlRules returns the table of controls that depend on more than the type.
func ControlRules() []ControlRule { return append([]ControlRule(nil), controlRules...) }

// ControlsOf returns the NIST SP 800-53 Rev. 5 controls that e is evidence
// for: those of its type, then those of the rules that fit. AU-2, AU-3, AU-8
// and AU-12 are supported by every event and not repeated.
func ControlsOf(e *Event) []string {
	var cs []string
	if t, ok := typeInfo[e.Type]; ok {
		cs = t.Controls
	}
	for i := range controlRules {
		if controlRules[i].fits(e) && !slices.Contains(cs, controlRules[i].Control) {
			cs = append(slices.Clip(cs), controlRules[i].Control)
		}
	}
	return cs
}

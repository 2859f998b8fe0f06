package middleware

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Note carries what inner layers know to the event of their request. It is
// safe for concurrent use. What is noted after the event was recorded has no
// effect.
type Note struct {
	mu    sync.Mutex // guards noted
	noted noted
}

// noted is what inner layers told.
type noted struct {
	subject    emitter.Subject
	auth       emitter.Auth
	delegation emitter.Delegation
	decision   emitter.Decision
	denied     emitter.Reason // why, if the decision is a denial
	server     emitter.Server
	tool       string
	definition string
	anomalies  []string
	failed     emitter.Reason // why the handler had no answer of its own
	failure    string
}

// NoteFrom returns the note of the request that ctx belongs to; where there is
// none, one that nobody reads. It is never nil.
func NoteFrom(ctx context.Context) *Note {
	if op := operationFrom(ctx); op != nil {
		return &op.note
	}
	return new(Note)
}

// SetSubject notes a verified identity. A claim that was not verified does not
// belong here.
func (n *Note) SetSubject(s emitter.Subject) { n.change(func(d *noted) { d.subject = s }) }

// Subject returns the verified identity that was noted, the zero value for none.
func (n *Note) Subject() emitter.Subject { return n.read().subject }

// SetAuth notes how the identity was established. A TokenRef that is empty is
// filled in from the request's Authorization header.
func (n *Note) SetAuth(a emitter.Auth) { n.change(func(d *noted) { d.auth = a }) }

// SetDelegation notes on whose behalf the subject acts.
func (n *Note) SetDelegation(c emitter.Delegation) { n.change(func(d *noted) { d.delegation = c }) }

// Decide notes an authorizer's decision, [Allow] or [Deny]. A denial makes the
// outcome `denied`, whatever the handler answers, and no later decision undoes
// it; reason is why, empty for [emitter.ReasonPolicy].
func (n *Note) Decide(effect string, policyIDs []string, reason emitter.Reason) {
	n.change(func(d *noted) {
		if d.decision.Effect == Deny {
			return
		}
		d.decision = emitter.Decision{Effect: effect, PolicyIDs: slices.Clone(policyIDs)}
		if effect == Deny {
			d.denied = cmp.Or(reason, emitter.ReasonPolicy)
		}
	})
}

// The effects of a decision.
const (
	Allow = "allow"
	Deny  = "deny"
)

// SetTarget notes what was executed: the back end, the name there, and the
// digest of its definition. Empty values change nothing.
func (n *Note) SetTarget(server emitter.Server, name, definition string) {
	n.change(func(d *noted) {
		if server != (emitter.Server{}) {
			d.server = server
		}
		d.tool = cmp.Or(name, d.tool)
		d.definition = cmp.Or(definition, d.definition)
	})
}

// AddAnomaly notes something odd, once.
func (n *Note) AddAnomaly(name string) {
	n.change(func(d *noted) {
		if len(d.anomalies) < 16 && !slices.Contains(d.anomalies, name) {
			d.anomalies = append(d.anomalies, name)
		}
	})
}

// Fail notes why a handler could give no answer of its own: the outcome is
// `error` with this reason unless a JSON-RPC result is seen.
func (n *Note) Fail(reason emitter.Reason, message string) {
	n.change(func(d *noted) { d.failed, d.failure = reason, message })
}

func (n *Note) change(f func(*noted)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.noted)
}

// read returns what was noted so far.
func (n *Note) read() noted {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.noted
	d.anomalies = slices.Clone(d.anomalies)
	return d
}

// fill moves what was noted into e.
func (d *noted) fill(e *emitter.Event) {
	if d.subject != (emitter.Subject{}) {
		e.Subjects = d.subject
	}
	if d.auth.Method != "" {
		ref := e.Auth.TokenRef
		e.Auth = d.auth
		e.Auth.TokenRef = cmp.Or(e.Auth.TokenRef, ref)
	}
	if d.server != (emitter.Server{}) {
		e.Target.Server = d.server
		e.Metadata.Extra.BackendName = d.server.Name
	}
	e.Delegation, e.Decision = d.delegation, d.decision
	e.Target.Tool, e.Target.Definition = d.tool, d.definition
	for _, a := range d.anomalies {
		addAnomaly(e, a)
	}
}

// addAnomaly notes name in e, once.
func addAnomaly(e *emitter.Event, name string) {
	if !slices.Contains(e.Anomalies, name) {
		e.Anomalies = append(e.Anomalies, name)
	}
}

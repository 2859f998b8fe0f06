package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// trail writes the events that the middleware cannot see.
type trail struct {
	rec    Recorder // nil: none
	strict bool
	log    *slog.Logger
}

// emit stores e. That it failed is the recorder's to count and to tell.
func (t *trail) emit(e *emitter.Event) error {
	if t.rec == nil {
		return nil
	}
	middleware.Clean(e)
	ctx, cancel := context.WithTimeout(context.Background(), middleware.EmitTimeout)
	defer cancel()
	return t.rec.Emit(ctx, e)
}

// discovery tells what became of a back end; err is why it is not there.
func (t *trail) discovery(m *member, change string, err error, took time.Duration) {
	e := emitter.NewEvent(emitter.TypeBackendDiscovery)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Target = emitter.Target{Type: "server", Name: m.Name, Server: m.server}
	x := &e.Metadata.Extra
	x.BackendName, x.Change, x.Transport = m.Name, change, m.Via()
	if took > 0 {
		x.DurationMS = emitter.Of(took.Milliseconds())
	}
	if err != nil {
		e.Conclude(emitter.OutcomeError, reasonOf(err))
		x.ErrorMessage = errorText(err)
	} else {
		st := m.state()
		if w := st.welcome(); w != nil {
			x.MCPVersion = w.Version
		}
		x.Tools, x.Prompts, x.Resources = count(st.lists[tools]), count(st.lists[prompts]), count(st.lists[resources])
	}
	_ = t.emit(e)
}

func count(entries []wire.Raw) emitter.Int { return emitter.Of(int64(len(entries))) }

// errorText says what failed, without what a back end wrote, which may hold
// secrets.
func errorText(err error) string {
	if _, ok := errors.AsType[*wire.Error](err); ok {
		return "the back end answered with an error"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the back end gave no answer in time"
	}
	return err.Error()
}

// reasonOf says why a back end could not be used.
func reasonOf(err error) emitter.Reason {
	status, refused := errors.AsType[upstream.StatusError](err)
	var timeout net.Error
	_, said := errors.AsType[*wire.Error](err)
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return emitter.ReasonUpstreamTimeout
	case refused && (status == 401 || status == 403):
		return emitter.ReasonForbidden
	case refused:
		return emitter.ReasonHTTPError
	case said:
		return emitter.ReasonRPCError
	case errors.Is(err, upstream.ErrFull):
		return emitter.ReasonRateLimited
	case errors.As(err, new(*upstream.NotRun)):
		return emitter.ReasonUpstreamDown
	}
	return emitter.ReasonUpstreamAborted
}

// route is the event of one decision where a name leads. Its zero value has no
// event.
type route struct {
	stored chan struct{} // closed when the event is stored or lost; nil: there is none
}

// route tells where a name led, and waits for that only in strict mode: else
// the event is stored while the call runs, and the answer waits for it.
func (t *trail) route(ctx context.Context, target emitter.Target, rule aggregate.Rule) (route, error) {
	if t.rec == nil {
		return route{}, nil
	}
	e := middleware.Child(ctx, emitter.TypeBackendRoute)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Target = target
	e.Metadata.Extra.RouteRule, e.Metadata.Extra.BackendName = string(rule), target.Server.Name
	if t.strict {
		return route{}, t.emit(e)
	}
	r := route{stored: make(chan struct{})}
	go func() {
		defer close(r.stored)
		_ = t.emit(e) // the recorder counts what it loses
	}()
	return r, nil
}

// wait waits until the event is stored.
func (r route) wait() {
	if r.stored != nil {
		<-r.stored
	}
}

// refused tells that a name led nowhere.
func (t *trail) refused(ctx context.Context, target emitter.Target, why aggregate.Reason) {
	if t.rec == nil {
		return
	}
	e := middleware.Child(ctx, emitter.TypeBackendRoute)
	e.Target = target
	e.Metadata.Extra.RouteRule = string(why)
	e.Conclude(emitter.OutcomeFailure, emitter.ReasonUnknownName)
	if why == aggregate.Ambiguous {
		e.Conclude(emitter.OutcomeFailure, emitter.ReasonAmbiguousName)
	}
	_ = t.emit(e)
}

// told reports whether a refusal is more than what the configuration asked for.
func told(r aggregate.Reason) bool {
	return r != aggregate.Excluded && r != aggregate.Filtered
}

// questionType returns the type of the event of a question.
func questionType(method string) emitter.Type {
	switch method {
	case "sampling/createMessage":
		return emitter.TypeSampling
	case "elicitation/create":
		return emitter.TypeElicitation
	case "roots/list":
		return emitter.TypeRootsList
	}
	if strings.HasPrefix(method, "tasks/") {
		return emitter.TypeTask
	}
	return emitter.TypeRequest
}

// asked is what came of a question.
type asked struct {
	began  time.Time
	answer wire.Raw
	err    *wire.Error
	moot   bool // nobody waited for the answer any more
}

// asked completes e, which tells what a back end asked of the client and what
// came of it.
func (t *trail) asked(e *emitter.Event, m *member, method string, a asked) {
	e.Target = emitter.Target{Type: "server", Method: method, Server: m.server}
	x := &e.Metadata.Extra
	x.BackendName = m.Name
	x.DurationMS = emitter.Of(time.Since(a.began).Milliseconds())
	switch {
	case a.moot && a.err != nil:
		e.Conclude(emitter.OutcomeFailure, emitter.ReasonCancelled)
	case a.err != nil:
		x.JSONRPCErrorCode = emitter.Of(int64(a.err.Code()))
		e.Conclude(emitter.OutcomeFailure, emitter.ReasonRPCError)
	case method == "elicitation/create" && wire.Text(wire.Get(a.answer, "action")) != "accept":
		e.Conclude(emitter.OutcomeFailure, emitter.ReasonDeclined)
	default:
		e.Conclude(emitter.OutcomeSuccess, "")
		x.ResponseSize = emitter.Of(int64(len(a.answer)))
	}
	_ = t.emit(e)
}

// digest returns the digest of a definition: SHA-256 of its JSON as the back
// end wrote it, without white space between values.
func digest(definition wire.Raw) string {
	var buf bytes.Buffer
	if definition == nil || json.Compact(&buf, definition) != nil {
		return ""
	}
	sum := sha256.Sum256(buf.Bytes())
	return "sha256:" + hex.EncodeToString(sum[:])
}

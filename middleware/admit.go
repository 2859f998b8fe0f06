package middleware

import (
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// admit reports whether the request may run, and answers it if it may not.
// When it returns true in strict mode, the event `received` is stored.
func (op *operation) admit(w http.ResponseWriter) bool {
	a := op.a
	if err := a.rec.Ready(); err != nil {
		op.unstored(w, err)
		op.foldSelf(emitter.OutcomeError, emitter.ReasonAuditUnavailable)
		return false
	}
	if !a.opt.Strict {
		a.outage.end()
		return true
	}
	if op.barred(w) {
		return false
	}
	if op.body != nil && op.body.incidental() {
		return true
	}
	if err := a.emit(op.receivedEvent(), EmitTimeout); err != nil {
		op.unstored(w, err)
		op.recordUnstored(w)
		return false
	}
	op.received = true
	a.outage.end()
	return true
}

// barred answers a request that strict mode does not let run, and reports
// whether it did.
func (op *operation) barred(w http.ResponseWriter) bool {
	a := op.a
	wait := a.flood.over(op.event.Source, op.token)
	switch {
	case wait > 0:
		a.limited.Add(1)
		op.foldSelf(emitter.OutcomeDenied, emitter.ReasonRateLimited)
		op.answerSelf(http.StatusTooManyRequests, codeInternalError, "too many requests from this address proved no identity").write(w, wait)
	case op.body == nil:
		return false
	case op.mirror.encoded:
		w.Header().Set("Accept-Encoding", "identity")
		op.turnAway(w, http.StatusUnsupportedMediaType, "a compressed request cannot be audited, so it was not run")
	case !op.body.whole():
		op.turnAway(w, http.StatusRequestEntityTooLarge, "a request of more than "+strconv.Itoa(PeekLimit)+" bytes cannot be audited, so it was not run")
	default:
		return false
	}
	return true
}

// turnAway records a request that hides from its event what it asks for, then
// answers it.
func (op *operation) turnAway(w http.ResponseWriter, status int, message string) {
	answer := op.answerSelf(status, codeInvalidRequest, message)
	op.mu.Lock()
	op.turned, op.answer.status, op.answer.body = true, status, int64(len(answer.text))
	op.record()
	op.mu.Unlock()
	answer.write(w, 0)
}

const retryUnstored = 5 * time.Second

// unstored answers a request whose event cannot be stored, for err.
func (op *operation) unstored(w http.ResponseWriter, err error) {
	op.a.refused.Add(1)
	op.a.outage.refuse(err)
	answer := op.answerSelf(http.StatusServiceUnavailable, codeInternalError, "the audit trail cannot take this call, so it was not run")
	op.answer.status, op.answer.body = http.StatusServiceUnavailable, int64(len(answer.text))
	answer.write(w, retryUnstored)
}

// recordUnstored tells the end of a request whose event `received` could not be
// stored in time: a disk that was only slow may have it all the same. Nothing
// has run, so the answer need not wait for this.
func (op *operation) recordUnstored(w http.ResponseWriter) {
	if op.a.rec.Ready() != nil {
		op.foldSelf(emitter.OutcomeError, emitter.ReasonAuditUnavailable)
		return
	}
	_ = http.NewResponseController(w).Flush()
	op.note.Fail(emitter.ReasonAuditUnavailable, "")
	op.mu.Lock()
	defer op.mu.Unlock()
	op.record()
}

// foldSelf folds a request that the audit refused without an event.
func (op *operation) foldSelf(o emitter.Outcome, r emitter.Reason) {
	op.a.flood.fold(op.event.Source, verdict{o, r}, op.start)
}

// receivedEvent returns the event which says that the request has come.
func (op *operation) receivedEvent() *emitter.Event {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.describe()
	e := *op.event
	e.AuditID, e.Trace.ParentAuditID = emitter.NewID(), op.event.AuditID
	e.Stage, e.Outcome, e.Reason = emitter.StageReceived, emitter.OutcomePending, ""
	e.Target.Privileged = op.a.privileged(&e)
	e.Metadata.Extra.DurationMS = emitter.Of(time.Since(op.start).Milliseconds())
	e.Anomalies, e.Redactions = slices.Clone(e.Anomalies), slices.Clone(op.clean.found)
	return &e
}

// ownAnswer is given in place of the handler's.
type ownAnswer struct {
	status      int
	media, text string
}

// answerSelf returns the answer to a request that does not reach the handler.
func (op *operation) answerSelf(status, code int, message string) ownAnswer {
	if op.body == nil {
		return ownAnswer{status, "text/plain; charset=utf-8", message + "\n"}
	}
	return ownAnswer{status, "application/json", op.body.errorAnswer(code, message) + "\n"}
}

// write sends the answer; retry is when it is of use to try again, 0 for never.
func (x ownAnswer) write(w http.ResponseWriter, retry time.Duration) {
	h := w.Header()
	h.Set("Content-Type", x.media)
	h.Set("Content-Length", strconv.Itoa(len(x.text)))
	if retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((retry+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(x.status)
	_, _ = io.WriteString(w, x.text)
}

// maxRefusals bounds the members of a batch that are each told of its refusal.
const maxRefusals = 1000

// errorAnswer returns a JSON-RPC error for each request in the body. What asks
// for no answer has one without an id, what cannot be read one with id null.
// message needs no escapes.
func (b *body) errorAnswer(code int, message string) string {
	rest := `"error":{"code":` + strconv.Itoa(code) + `,"message":"` + message + `"}}`
	one := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,` + rest }
	if b.batch() {
		if ids := b.memberIDs(); len(ids) > 0 {
			for i := range ids {
				ids[i] = one(ids[i])
			}
			return "[" + strings.Join(ids, ",") + "]"
		}
	}
	if b.incidental() {
		return `{"jsonrpc":"2.0",` + rest
	}
	return one(b.answerID())
}

// answerID returns the JSON text of the id for an answer of our own.
func (b *body) answerID() string {
	id := ""
	b.read(func(m message) {
		if m.scan.Done() && m.wantsResponse() && !m.scan.Value(qID).Cut {
			id = m.id()
		}
	})
	return cmp.Or(id, "null")
}

// memberIDs returns the ids of the requests in a batch, none if there are too
// many. It takes what was read ahead: the handler must not be given the body.
func (b *body) memberIDs() (ids []string) {
	dec := json.NewDecoder(&b.ahead)
	_, _ = dec.Token() // the bracket
	for dec.More() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if dec.Decode(&m) != nil || len(ids) == maxRefusals {
			return nil
		}
		id := string(m.ID)
		switch {
		case m.Method == "" || id == "" || id == "null":
		case len(id) > maxID || strings.ContainsAny(id[:1], "{[tf"):
			ids = append(ids, "null")
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

// outage is a time in which requests are refused, since nothing can be stored.
// It is safe for concurrent use.
type outage struct {
	log *slog.Logger // immutable once set

	mu      sync.Mutex // guards what follows
	since   time.Time  // zero: there is none
	refused uint64     // since then
}

// refuse is told of a request that was refused for err.
func (o *outage) refuse(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = time.Now()
		o.log.Error("requests are refused: their audit events cannot be stored", "error", err)
	}
	o.refused++
}

// end is told that an event can be stored, or that there are no more requests.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.log.Warn("requests are no longer refused", "refused", o.refused, "after", time.Since(o.since).Round(time.Millisecond))
		o.since, o.refused = time.Time{}, 0
	}
}

package middleware

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trail keeps events as a reader of the trail would see them: decoded from what
// was stored.
type trail struct {
	store  *emitter.Emitter // where they are stored first; nil: nowhere
	mu     sync.Mutex
	events []*emitter.Event
	seen   func(*emitter.Event) // called as each event is stored
}

func (tr *trail) Ready() error { return nil }

func (tr *trail) Emit(ctx context.Context, e *emitter.Event) error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	line, err := tr.line(ctx, e)
	if err != nil || line == nil {
		return err
	}
	if err := valid(line); err != nil {
		panic(err)
	}
	back, err := emitter.Decode(line)
	if err != nil {
		panic(err)
	}
	tr.events = append(tr.events, back)
	if tr.seen != nil {
		tr.seen(back)
	}
	return nil
}

// line stores e, or completes it as an emitter does; nil: a filter left it out.
func (tr *trail) line(ctx context.Context, e *emitter.Event) ([]byte, error) {
	if tr.store != nil {
		err := tr.store.Emit(ctx, e)
		return e.Stored(), err
	}
	e.LoggedAt = time.Now().UTC().Truncate(time.Microsecond)
	e.Component, e.Severity, e.Controls = emitter.DefaultComponent, emitter.SeverityOf(e), emitter.ControlsOf(e)
	return emitter.AppendEvent(nil, e), nil
}

// schema is the published one: every event of every test is held against it.
var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("../docs/schema/event-1.0.json")
})

func valid(line []byte) error {
	s, err := schema()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func (tr *trail) all() []*emitter.Event {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return append([]*emitter.Event(nil), tr.events...)
}

// lines returns the events in short: type, outcome, reason, target.
func (tr *trail) lines() []string {
	var out []string
	for _, e := range tr.all() {
		out = append(out, strings.Join(strings.Fields(fmt.Sprint(e.Type, " ", e.Outcome, " ", e.Reason, " ", e.Target.Name)), " "))
	}
	return out
}

// one returns the only event.
func (tr *trail) one(t *testing.T) *emitter.Event {
	t.Helper()
	all := tr.all()
	if len(all) != 1 {
		t.Fatalf("%d events, want one: %v", len(all), tr.lines())
	}
	return all[0]
}

// record returns an auditor and what it records.
func record(tb testing.TB, opt Options) (*Auditor, *trail) {
	tb.Helper()
	tr := new(trail)
	return New(tr, opt), tr
}

// newEmitter returns an emitter without destinations.
func newEmitter(tb testing.TB, opt emitter.Options) *emitter.Emitter {
	tb.Helper()
	s, err := spool.Open(tb.TempDir(), spool.Options{MinFree: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	em, err := emitter.New(s, opt)
	if err != nil {
		tb.Fatal(err)
	}
	return em
}

// exchange is one request and the answer that a handler gives to it.
type exchange struct {
	verb   string // GET, POST if empty
	header string // lines of "Name: value"
	body   string
	status int // 200 if 0
	reply  string
	// header of the answer, lines of "Name: value"
	with string
}

func (x exchange) request() *http.Request {
	verb := x.verb
	if verb == "" {
		verb = http.MethodPost
	}
	r := httptest.NewRequest(verb, "/mcp", strings.NewReader(x.body))
	if verb == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	setHeader(r.Header, x.header)
	return r
}

func setHeader(h http.Header, lines string) {
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if ok {
			h.Set(name, value)
		}
	}
}

// ServeHTTP gives the answer, after reading the request as a handler does.
func (x exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if x.reply != "" && x.reply[0] == '{' {
		w.Header().Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(x.reply, "data:") || strings.HasPrefix(x.reply, "id:") {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	setHeader(w.Header(), x.with)
	if x.status != 0 {
		w.WriteHeader(x.status)
	}
	if x.reply != "" {
		_, _ = io.WriteString(w, x.reply)
	}
}

// run sends x through an auditor of its own and returns what it recorded.
func (x exchange) run(tb testing.TB, opt Options) (*httptest.ResponseRecorder, *trail) {
	tb.Helper()
	a, tr := record(tb, opt)
	w := httptest.NewRecorder()
	a.Wrap(x).ServeHTTP(w, x.request())
	return w, tr
}

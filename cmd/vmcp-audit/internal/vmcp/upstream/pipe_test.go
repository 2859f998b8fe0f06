package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard notes what a call hears.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) Notify(m wire.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, m.Method+" "+string(m.Params))
}

func (h *heard) Ask(ctx context.Context, m wire.Message) (wire.Raw, *wire.Error) {
	if m.Method == "wait" {
		<-ctx.Done()
		return nil, wire.NewError(-1, "late", nil)
	}
	return wire.Quote(m.Method), nil
}

// far is the other end of a pipe.
type far struct {
	*pipe
	sent chan string
}

func newFar(base Events) *far {
	f := &far{sent: make(chan string, 100)}
	f.pipe = newPipe(New(Spec{Name: "far"}, nil), base)
	f.stop = func() {}
	f.send = func(_ context.Context, m []byte) error { f.sent <- string(m); return nil }
	return f
}

type came struct {
	result wire.Raw
	err    error
}

// call begins a call and returns what the far end was sent, and the outcome.
func (f *far) call(ctx context.Context, params string, ev Events) (string, chan came) {
	out := make(chan came, 1)
	go func() {
		r, err := f.Call(ctx, Request{Method: "m", Params: wire.Raw(params)}, ev)
		out <- came{r, err}
	}()
	return <-f.sent, out
}

// TestPipe sends two calls with one progress token over a pipe: each hears of
// its own progress, under the token that it gave.
func TestPipe(t *testing.T) {
	base, one, two := new(heard), new(heard), new(heard)
	f := newFar(base)
	defer f.Close()
	first, a := f.call(t.Context(), `{"x":9007199254740993,"_meta":{"progressToken":"p"}}`, one)
	second, b := f.call(t.Context(), `{"_meta":{"progressToken":"p"}}`, two)
	want := []string{
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":9007199254740993,"_meta":{"progressToken":1}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"m","params":{"_meta":{"progressToken":2}}}`,
	}
	if diff := cmp.Diff(want, []string{first, second}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, m := range []string{
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":2}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":3,"progress":3}}`,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"newest"}}`,
		`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`,
		`garbage`,
		`{"jsonrpc":"2.0","id":9,"result":{}}`,
		`{"jsonrpc":"2.0","id":2,"error":{"code":-5,"message":"x","data":9007199254740993}}`,
		`{"jsonrpc":"2.0","id":"1","result":{}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"y":1}}`,
	} {
		f.deliver([]byte(m))
	}
	if c := <-a; c.err != nil || string(c.result) != `{"y":1}` {
		t.Errorf("first: %s %v", c.result, c.err)
	}
	var said *wire.Error
	if c := <-b; !errors.As(c.err, &said) || string(said.Raw) != `{"code":-5,"message":"x","data":9007199254740993}` {
		t.Errorf("second: %v", c.err)
	}
	got := map[string][]string{"base": base.all, "one": one.all, "two": two.all}
	wantHeard := map[string][]string{
		"base": {"notifications/tools/list_changed "},
		"one":  {`notifications/progress {"progressToken":"p","progress":1}`},
		"two":  {`notifications/progress {"progressToken":"p","progress":2}`, `notifications/message {"data":"newest"}`},
	}
	if diff := cmp.Diff(wantHeard, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if f.b.Garbled() != 1 {
		t.Errorf("%d messages garbled, want 1", f.b.Garbled())
	}
}

// TestPipeQuestions lets the far end ask, ping, ask twice with one id, and
// withdraw.
func TestPipeQuestions(t *testing.T) {
	f := newFar(new(heard))
	defer f.Close()
	f.deliver([]byte(`{"jsonrpc":"2.0","id":"a","method":"ping"}`))
	if got := <-f.sent; got != `{"jsonrpc":"2.0","id":"a","result":{}}` {
		t.Errorf("ping: %s", got)
	}
	f.deliver([]byte(`{"jsonrpc":"2.0","id":1,"method":"roots/list"}`))
	if got := <-f.sent; got != `{"jsonrpc":"2.0","id":1,"result":"roots/list"}` {
		t.Errorf("roots: %s", got)
	}
	f.deliver([]byte(`{"jsonrpc":"2.0","id":2,"method":"wait"}`))
	f.deliver([]byte(`{"jsonrpc":"2.0","id":2,"method":"roots/list"}`))
	if got := <-f.sent; !strings.Contains(got, "too many") {
		t.Errorf("twice: %s", got)
	}
	f.deliver([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`))
	f.deliver([]byte(`{"jsonrpc":"2.0","id":3,"method":"ping"}`))
	if got := <-f.sent; got != `{"jsonrpc":"2.0","id":3,"result":{}}` {
		t.Errorf("a withdrawn question was answered: %s", got)
	}
}

// TestPipeEnds cancels a call and then breaks the pipe under another one.
func TestPipeEnds(t *testing.T) {
	f := newFar(new(heard))
	ctx, cancel := context.WithCancelCause(t.Context())
	_, out := f.call(ctx, `{}`, new(heard))
	cancel(&Cancelled{Reason: wire.Raw(`"because"`)})
	if got := <-f.sent; got != `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"because"}}` {
		t.Errorf("cancel: %s", got)
	}
	if c := <-out; !errors.As(c.err, new(*Cancelled)) {
		t.Errorf("cancelled call: %v", c.err)
	}
	_, out = f.call(t.Context(), `{}`, new(heard))
	f.end()
	var unsent *NotRun
	if c := <-out; !errors.Is(c.err, ErrBroken) || errors.As(c.err, &unsent) {
		t.Errorf("a call that may have run: %v", c.err)
	}
	if _, err := f.Call(t.Context(), Request{Method: "m"}, new(heard)); !errors.As(err, &unsent) {
		t.Errorf("a call that cannot have run: %v", err)
	}
	f.Close()
}

// TestFlood has the far end ping and ask without taking an answer: what waits to
// be sent is bounded.
func TestFlood(t *testing.T) {
	f := newFar(new(heard))
	var sending atomic.Int64
	f.send = func(context.Context, []byte) error {
		sending.Add(1)
		<-f.ctx.Done()
		return ErrBroken
	}
	for i := range 10 * maxAsks {
		f.deliver(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"p%d","method":"ping"}`, i))
		f.deliver(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"q%d","method":"roots/list"}`, i))
	}
	f.end()
	f.Close()
	if n := sending.Load(); n > 2*maxAsks {
		t.Errorf("%d answers at a time", n)
	}
}

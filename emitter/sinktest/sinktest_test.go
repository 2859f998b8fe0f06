package sinktest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// memory is a far end and its sink in one. The zero value keeps the contract.
type memory struct {
	mu     sync.Mutex
	got    []string
	broken bool
	hung   chan struct{}
}

var errBroken = errors.New("far end is broken")

func (m *memory) Send(ctx context.Context, batch []emitter.Record) (int, error) {
	for i, r := range batch {
		if err := m.take(ctx, string(r.Body)); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// take is how the far end gets one body.
func (m *memory) take(ctx context.Context, body string) error {
	m.mu.Lock()
	hung := m.hung
	m.mu.Unlock()
	if hung != nil {
		select {
		case <-hung:
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return errBroken
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.got = append(m.got, body)
	return nil
}

func (m *memory) Close() error { return nil }

func (m *memory) fixture(sink emitter.Sink) Fixture {
	return Fixture{
		Sink: sink,
		Received: func(int) []string {
			m.mu.Lock()
			defer m.mu.Unlock()
			return slices.Clone(m.got)
		},
		Break: func() func() {
			m.set(func() { m.broken = true })
			return func() { m.set(func() { m.broken = false }) }
		},
		Hang: func() func() {
			hung := make(chan struct{})
			m.set(func() { m.hung = hung })
			return func() { m.set(func() { m.hung = nil }); close(hung) }
		},
	}
}

func (m *memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func TestGoodSinkPasses(t *testing.T) {
	Run(t, func(*testing.T) Fixture {
		m := new(memory)
		f := m.fixture(m)
		f.Body = func(text string) []byte { return []byte("<" + text + ">") }
		return f
	})
}

func TestSinkThatSendsAgainPasses(t *testing.T) {
	Run(t, func(*testing.T) Fixture {
		m := new(memory)
		return m.fixture(sendFunc(func(ctx context.Context, batch []emitter.Record) (int, error) {
			if n, err := m.Send(ctx, batch); err != nil {
				return max(n-2, 0), err // what is in flight counts as lost
			}
			return len(batch), nil
		}))
	})
}

type sendFunc func(ctx context.Context, batch []emitter.Record) (int, error)

func (f sendFunc) Send(ctx context.Context, batch []emitter.Record) (int, error) {
	return f(ctx, batch)
}

// faulty are sinks that break the contract, by the check that has to notice.
var faulty = []struct {
	name, check string
	send        func(m *memory, ctx context.Context, batch []emitter.Record) (int, error)
}{
	{"reverses", "Order", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		slices.Reverse(batch)
		defer slices.Reverse(batch)
		return m.Send(ctx, batch)
	}},
	{"drops the last of many", "LargeBatch", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		_, err := m.Send(ctx, batch[:min(len(batch), 500)])
		return len(batch), err
	}},
	{"sends twice", "Order", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		_, _ = m.Send(ctx, batch)
		return m.Send(ctx, batch)
	}},
	{"fails on no records", "EmptyBatch", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		if len(batch) == 0 {
			return 0, errBroken
		}
		return m.Send(ctx, batch)
	}},
	{"cuts long records", "LargeRecord", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		for i := range batch {
			batch[i].Body = batch[i].Body[:min(len(batch[i].Body), 1000)]
		}
		return m.Send(ctx, batch)
	}},
	{"splits at line ends", "HostileBodies", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		for i, r := range batch {
			for line := range strings.Lines(string(r.Body)) {
				if err := m.take(ctx, line); err != nil {
					return i, err
				}
			}
		}
		return len(batch), nil
	}},
	{"swallows an empty body", "HostileBodies", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		for i, r := range batch {
			if len(r.Body) == 0 {
				continue
			}
			if err := m.take(ctx, string(r.Body)); err != nil {
				return i, err
			}
		}
		return len(batch), nil
	}},
	{"counts nothing of a cancelled batch, but no error", "CancelledBefore", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		n, _ := m.Send(ctx, batch)
		return n, nil
	}},
	{"does not look at its context", "CancelledInFlight", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		return m.Send(context.WithoutCancel(ctx), batch)
	}},
	{"counts one more on failure", "Failure", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		n, err := m.Send(ctx, batch)
		return min(n+1, max(len(batch)-1, n)), err
	}},
	{"believes that it was sent", "Failure", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		_, _ = m.Send(ctx, batch)
		return len(batch), nil
	}},
	{"takes an outage for a refusal", "Failure", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		n, err := m.Send(ctx, batch)
		if err != nil {
			err = emitter.Permanent(err)
		}
		return n, err
	}},
	{"changes the bodies", "Order", func(m *memory, ctx context.Context, batch []emitter.Record) (int, error) {
		n, err := m.Send(ctx, batch)
		for _, r := range batch {
			r.Body[0] = '!'
		}
		return n, err
	}},
}

func TestFaultySinksAreFound(t *testing.T) {
	for _, tt := range faulty {
		t.Run(tt.name, func(t *testing.T) {
			m := new(memory)
			sink := sendFunc(func(ctx context.Context, batch []emitter.Record) (int, error) { return tt.send(m, ctx, batch) })
			if failures := failuresOf(t, tt.check, func() Fixture { return m.fixture(sink) }); len(failures) == 0 {
				t.Errorf("%s passes", tt.check)
			}
		})
	}
}

// keeper delivers a batch at the next call, when it is no longer its own.
type keeper struct {
	memory

	kept []emitter.Record
}

func (k *keeper) Send(ctx context.Context, batch []emitter.Record) (int, error) {
	if _, err := k.memory.Send(ctx, k.kept); err != nil {
		return 0, err
	}
	k.kept = nil
	for _, r := range batch {
		k.kept = append(k.kept, emitter.Record{Body: r.Body})
	}
	return len(batch), nil
}

func TestKeptBatchIsFound(t *testing.T) {
	k := new(keeper)
	failures := failuresOf(t, "Order", func() Fixture {
		f := k.fixture(k)
		f.Received = func(int) []string { // as if it was delivered in the background
			_, _ = k.Send(context.Background(), nil)
			return k.got
		}
		return f
	})
	if len(failures) == 0 || !strings.Contains(failures[0], "???") {
		t.Errorf("failures: %q", failures)
	}
}

// onlyOnce is a sink that can be closed once.
type onlyOnce struct {
	memory

	closed bool
}

func (o *onlyOnce) Close() error {
	if o.closed {
		return errors.New("closed already")
	}
	o.closed = true
	return nil
}

func TestSecondCloseThatFailsIsFound(t *testing.T) {
	o := new(onlyOnce)
	if failures := failuresOf(t, "CloseTwice", func() Fixture { return o.fixture(o) }); len(failures) != 1 {
		t.Errorf("failures: %q", failures)
	}
}

func TestGoroutinesThatStayAreFound(t *testing.T) {
	quiet := new(recorder)
	synctest.Test(t, func(*testing.T) { goroutinesEnd(quiet, 1) }) // the test's own
	if len(quiet.failures) != 1 {
		t.Errorf("failures: %q", quiet.failures)
	}
}

// failuresOf runs one check and returns what it has to say, without waiting.
func failuresOf(t *testing.T, name string, f func() Fixture) []string {
	t.Helper()
	i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
	quiet := new(recorder)
	synctest.Test(t, func(*testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			checks[i].run(&harness{t: quiet, f: f()})
		}()
		<-done
	})
	return quiet.failures
}

// recorder is a test that fails for itself alone.
type recorder struct {
	testing.TB

	failures []string
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

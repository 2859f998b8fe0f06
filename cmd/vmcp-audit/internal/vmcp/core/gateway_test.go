package core

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// conn is a session with a back end that does as it is told.
type conn struct {
	upstream.Conn
	call   func() (wire.Raw, error)
	notify func(params wire.Raw)
	close  func()
}

func (c *conn) Call(context.Context, upstream.Request, upstream.Events) (wire.Raw, error) {
	return c.call()
}

func (c *conn) Notify(_ context.Context, _ string, params wire.Raw) error {
	c.notify(params)
	return nil
}

func (c *conn) Broken() bool { return false }

func (c *conn) Close() {
	if c.close != nil {
		c.close()
	}
}

// gateway returns one over back ends that nothing is sent to.
func gateway(names ...string) *Gateway {
	var backends []*upstream.Backend
	for _, name := range names {
		backends = append(backends, upstream.New(upstream.Spec{Name: name}, nil))
	}
	return New(backends, Options{})
}

// linked returns a session that has c with the first back end.
func linked(t *testing.T, g *Gateway, c upstream.Conn) *Session {
	t.Helper()
	s, err := g.newSession(nil, false, upstream.Nobody)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.link(g.members[0])
	if err != nil {
		t.Fatal(err)
	}
	l.put(c)
	return s
}

// TestOrder holds up the first of a client's notifications: the others wait for
// it, and beyond a bound are dropped.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateway("b")
		release := make(chan struct{})
		var got []string // by one goroutine at a time, or the race detector tells
		s := linked(t, g, &conn{notify: func(params wire.Raw) {
			<-release
			got = append(got, string(params))
		}})
		var want []string
		for i := range maxPosts + 10 {
			params := `{"n":` + strconv.Itoa(i) + `}`
			_ = s.Notify("notifications/vendor", wire.Raw(params))
			if synctest.Wait(); i <= maxPosts { // one is on its way
				want = append(want, params)
			}
		}
		close(release)
		synctest.Wait()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		g.Close()
	})
}

// TestChanges hears of many changes while one is looked into: there is one look
// more.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateway("b")
		m := g.members[0]
		release := make(chan struct{})
		looks := 0
		m.stateless = &conn{call: func() (wire.Raw, error) {
			looks++
			<-release
			return wire.Raw(`{"tools":[]}`), nil
		}}
		m.st = state{up: true, modern: &upstream.Welcome{Result: wire.Raw(`{"capabilities":{"tools":{}}}`)}}
		for range 50 {
			m.refetch("notifications/tools/list_changed")
		}
		synctest.Wait()
		for range 50 {
			m.refetch("notifications/tools/list_changed")
		}
		close(release)
		time.Sleep(time.Minute)
		synctest.Wait()
		if looks != 2 {
			t.Errorf("%d looks, want 2", looks)
		}
		g.Close()
	})
}

// TestClose closes a gateway with more sessions than are closed at a time, at
// back ends that do not take leave: none of them holds up the others for ever.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateway("b")
		var all sync.WaitGroup
		for range 3 * maxClosing {
			all.Add(1)
			linked(t, g, &conn{close: func() { all.Done(); all.Wait() }})
		}
		g.Close()
	})
}

// TestRelist lets back ends come up at once: the list that stays has them all.
func TestRelist(t *testing.T) {
	const n = 8
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("b%d", i))
	}
	for range 200 {
		g := gateway(names...)
		var wg sync.WaitGroup
		for _, m := range g.members {
			wg.Go(func() {
				m.mu.Lock()
				m.st.up = true
				m.st.lists[tools] = []wire.Raw{wire.Raw(`{"name":"t"}`)}
				m.mu.Unlock()
				g.relist()
			})
		}
		wg.Wait()
		if got := len(g.known(tools).entries) + len(g.known(tools).refused); got != n {
			t.Fatalf("%d of %d are in the list", got, n)
		}
	}
}

// TestManyTasks hears of more tasks than are kept: the latest are known, and
// nobody takes over one that is.
func TestManyTasks(t *testing.T) {
	g := gateway("a", "b")
	s := linked(t, g, &conn{})
	for i := range maxTasks + 1 {
		s.remember(g.members[0], wire.Raw(`{"task":{"taskId":"`+strconv.Itoa(i)+`"}}`))
	}
	last := strconv.Itoa(maxTasks)
	s.remember(g.members[1], wire.Raw(`{"taskId":"`+last+`"}`))
	if s.tasks.at[last] != g.members[0] || s.tasks.at["0"] != nil || len(s.tasks.at) != maxTasks {
		t.Errorf("%d tasks, the last at %v", len(s.tasks.at), s.tasks.at[last])
	}
	g.Close()
}

// TestOneList lists the same tools for a session as for the gateway itself, and
// then others: a session keeps only what is its own.
func TestOneList(t *testing.T) {
	g := gateway("b")
	m := g.members[0]
	list := `{"tools":[{"name":"a"}]}`
	m.st = state{up: true, legacy: &upstream.Welcome{Result: wire.Raw(`{"capabilities":{"tools":{}}}`)}}
	m.st.lists[tools] = wire.Elements(wire.Get(wire.Raw(list), "tools"))
	g.relist()
	s := linked(t, g, &conn{call: func() (wire.Raw, error) { return wire.Raw(list), nil }})
	for _, own := range []bool{false, true} {
		if own {
			list = `{"tools":[{"name":"a","title":"for you"}]}`
		}
		if _, _, err := s.gather(t.Context(), tools, nil); err != nil {
			t.Fatal(err)
		}
		if got := s.lists[tools] != g.known(tools); got != own || s.lists[tools].find("b_a") == nil {
			t.Errorf("a list of its own: %t, want %t", got, own)
		}
	}
	g.Close()
}

package core

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// How long a list waits for one back end. One that was listed before is known,
// so that the others need not wait for it as long.
const (
	listTimeout  = 10 * time.Second
	knownTimeout = 2 * time.Second
)

var errCursor = wire.NewError(wire.CodeInvalidParams, "unknown cursor: lists have one page", nil)

// list answers a request for a list: all pages of all back ends as one page.
func (s *Session) list(ctx context.Context, k kind, req Request, _ upstream.Events) (wire.Raw, error) {
	if wire.Get(req.Params, "cursor") != nil {
		return nil, errCursor
	}
	c, pages, err := s.gather(ctx, k, &req)
	if err != nil {
		return nil, err
	}
	result := wire.Raw("{}")
	if len(s.g.members) == 1 && pages[0] != nil && wire.Get(pages[0], "nextCursor") == nil {
		result = pages[0] // with whatever else it says
	}
	result = wire.Set(result, listings[k].member, c.array())
	if s.modern {
		result = cacheable(result, pages)
	}
	return result, nil
}

// cacheable adds what revision 2026-07-28 wants: a list of several may be kept
// as long as the shortest of them, and shared if all of them may.
func cacheable(result wire.Raw, pages []wire.Raw) wire.Raw {
	ttl, scope := int64(-1), "public"
	for _, p := range pages {
		n, err := strconv.ParseInt(string(wire.Get(p, "ttlMs")), 10, 64)
		if err != nil {
			n = 0
		}
		if ttl < 0 || n < ttl {
			ttl = n
		}
		if wire.Text(wire.Get(p, "cacheScope")) != "public" {
			scope = "private"
		}
	}
	if len(pages) == 0 {
		scope = "private"
	}
	return complete(result, wire.Raw(strconv.FormatInt(max(ttl, 0), 10)), wire.Quote(scope))
}

// complete adds what revision 2026-07-28 wants of a result that may be kept, as
// far as the back end has not said it.
func complete(result, ttl, scope wire.Raw) wire.Raw {
	for _, one := range []struct {
		key   string
		value wire.Raw
	}{{"resultType", wire.Raw(`"complete"`)}, {"ttlMs", ttl}, {"cacheScope", scope}} {
		if wire.Get(result, one.key) == nil {
			result = wire.Set(result, one.key, one.value)
		}
	}
	return result
}

// gather asks every back end for its list. One that fails keeps the list that
// the gateway knows of it until it is found to be lost: its entries do not come
// and go with every hiccup. pages are the last ones of those that answered.
func (s *Session) gather(ctx context.Context, k kind, req *Request) (*catalogue, []wire.Raw, error) {
	type got struct {
		entries []wire.Raw
		page    wire.Raw
	}
	s.mu.Lock()
	changes := s.changes[k]
	s.mu.Unlock()
	up := s.g.up()
	all := make([]got, len(up))
	if req != nil && s.g.opt.Whole && len(up) < len(s.g.members) {
		return nil, nil, wire.NewError(wire.CodeInternal, "not every back end is there, and lists are not to be given in part", nil)
	}
	var wg sync.WaitGroup
	for i, m := range up {
		st := m.state()
		if !st.can(listings[k].capability) {
			continue
		}
		all[i].entries = st.lists[k]
		wg.Go(func() {
			entries, page, err := s.listOf(ctx, m, k, req, len(st.lists[k]) > 0)
			if err == nil {
				all[i] = got{entries, page}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	lists := make(map[string]*[kinds][]wire.Raw, len(up))
	var pages []wire.Raw
	for i, m := range up {
		one := new([kinds][]wire.Raw)
		one[k] = all[i].entries
		lists[m.Name] = one
		if all[i].page != nil {
			pages = append(pages, all[i].page)
		}
	}
	if len(s.g.members) == 1 && len(pages) == 0 {
		pages = append(pages, nil)
	}
	c := newCatalogue(s.g.opt.Rules, k, lists)
	if known := s.g.known(k); c.same(known) {
		c = known // thousands of sessions need not keep one each
	}
	s.mu.Lock()
	if s.changes[k] == changes { // else it is old already
		s.lists[k] = c
	}
	s.mu.Unlock()
	return c, pages, nil
}

func (s *Session) listOf(ctx context.Context, m *member, k kind, req *Request, known bool) ([]wire.Raw, wire.Raw, error) {
	patience := listTimeout
	if known {
		patience = knownTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	params := wire.Raw(nil)
	r := Request{Method: listings[k].method}
	if req != nil {
		params, r.Header = req.Params, req.Header
	} else if s.modern {
		params = wire.Set(nil, "_meta", m.meta())
	}
	entries, page, err := fetch(k, params, func(params wire.Raw) (wire.Raw, error) {
		r.Params = params
		return s.exchange(ctx, m, r, s.client)
	})
	if err != nil && ctx.Err() != context.Canceled {
		m.doubt()
		s.g.log.Warn("a back end did not list", "backend", m.Name, "method", r.Method, "error", errorText(err))
	}
	return entries, page, err
}

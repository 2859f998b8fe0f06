package core

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const maxTasks = 10000 // of one session that are known

// tasks is where the tasks of a session run, by their ids. Beyond maxTasks the
// one that was heard of first is forgotten.
type tasks struct {
	at    map[string]*member
	order []string
}

func (t *tasks) add(id string, m *member) {
	if _, known := t.at[id]; known {
		return // a back end cannot take over another one's task
	}
	if t.at == nil {
		t.at = make(map[string]*member)
	}
	if len(t.order) >= maxTasks {
		delete(t.at, t.order[0])
		t.order = t.order[1:]
	}
	t.at[id] = m
	t.order = append(t.order, id)
}

// remember notes where a task runs that a result is the handle of.
func (s *Session) remember(m *member, result wire.Raw) {
	id := wire.Text(wire.Get(result, "task", "taskId"))
	if id == "" {
		id = wire.Text(wire.Get(result, "taskId")) // the extension of revision 2026-07-28
	}
	if id == "" {
		return
	}
	id = strings.Clone(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks.add(id, m)
}

// task routes by params.taskId; tasks/list joins the lists.
func (s *Session) task(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	id := wire.Text(wire.Get(req.Params, "taskId"))
	target := emitter.Target{Type: "task", Name: id}
	if len(s.g.members) == 1 {
		return s.relay(ctx, s.g.members[0], req, ev, target, aggregate.RuleNone)
	}
	if req.Method == "tasks/list" {
		return s.listTasks(ctx, req, ev)
	}
	s.mu.Lock()
	m := s.tasks.at[id]
	s.mu.Unlock()
	if m == nil {
		target.Method = req.Method
		s.g.trail.refused(ctx, target, "")
		return nil, wire.NewError(wire.CodeInvalidParams, "unknown task", nil)
	}
	return s.relay(ctx, m, req, ev, target, aggregate.RuleNone)
}

// listTasks joins every page of the lists of all back ends that have tasks.
func (s *Session) listTasks(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	if wire.Get(req.Params, "cursor") != nil {
		return nil, errCursor
	}
	up := s.g.up()
	all := make([][]wire.Raw, len(up))
	var wg sync.WaitGroup
	for i, m := range up {
		if st := m.state(); st.can("tasks", "list") {
			wg.Go(func() { all[i] = s.tasksOf(ctx, m, req, ev) })
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	out := wire.Raw{'['}
	for i, m := range up {
		for _, t := range all[i] {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, t...)
			s.remember(m, t)
		}
	}
	return wire.Set(nil, "tasks", append(out, ']')), nil
}

// tasksOf returns the tasks of one back end; of one that fails there are none.
func (s *Session) tasksOf(ctx context.Context, m *member, req Request, ev upstream.Events) []wire.Raw {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	entries, _, err := pages("tasks", req.Params, func(params wire.Raw) (wire.Raw, error) {
		req.Params = params
		return s.exchange(ctx, m, req, ev)
	})
	if _, said := errors.AsType[*wire.Error](err); err != nil && !said && ctx.Err() != context.Canceled {
		m.doubt()
		s.g.log.Warn("a back end did not list", "backend", m.Name, "method", req.Method, "error", errorText(err))
	}
	return entries
}

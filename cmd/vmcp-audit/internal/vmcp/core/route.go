package core

import (
	"context"
	"slices"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// Call carries out what a client asks for and returns the result. The error is
// a *[wire.Error], or says that nobody waits for an answer any more. A call of
// a legacy client ends with its session or by a cancel, one of a modern client
// with ctx.
func (s *Session) Call(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	if !s.modern {
		s.own(ctx)
		var done func()
		ctx, done = s.under(ctx, req.ID)
		defer done()
	}
	if err := unambiguous(req.Params); err != nil {
		return nil, err
	}
	if k, ok := kindOf(req.Method); ok {
		return s.list(ctx, k, req, ev)
	}
	switch req.Method {
	case "tools/call":
		return s.named(ctx, tools, req, ev)
	case "prompts/get":
		return s.named(ctx, prompts, req, ev)
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return s.resource(ctx, req, ev)
	case "completion/complete":
		return s.complete(ctx, req, ev)
	case "logging/setLevel":
		return s.setLevel(ctx, req, ev)
	}
	if strings.HasPrefix(req.Method, "tasks/") {
		return s.task(ctx, req, ev)
	}
	if len(s.g.members) == 1 {
		return s.relay(ctx, s.g.members[0], req, ev, emitter.Target{}, aggregate.RuleNone)
	}
	return nil, wire.NewError(wire.CodeMethodNotFound, "method not found", nil)
}

// unambiguous refuses parameters of which readers could see different ones.
func unambiguous(params wire.Raw) *wire.Error {
	_, err := wire.Pick(params, "name", "arguments", "uri", "ref", "_meta", "taskId", "level", "cursor", "requestState", "inputResponses", "notifications")
	if err == nil {
		_, err = wire.Pick(wire.Get(params, "ref"), "type", "name", "uri")
	}
	if err == nil {
		_, err = wire.Pick(wire.Get(params, "_meta"), "progressToken", metaVersion, metaClient, metaCapabilities, metaLogLevel)
	}
	if err != nil {
		return wire.NewError(wire.CodeInvalidParams, err.Error(), nil)
	}
	return nil
}

// relay sends a call to a back end, and turns what goes wrong into what the
// client and the trail are told.
func (s *Session) relay(ctx context.Context, m *member, req Request, ev upstream.Events, target emitter.Target, rule aggregate.Rule) (wire.Raw, error) {
	result, err := s.send(ctx, m, req, ev, target, rule)
	return result, s.fault(ctx, m, err)
}

// send tells the trail where a call goes and sends it there. target says what
// it is for; its back end is filled in.
func (s *Session) send(ctx context.Context, m *member, req Request, ev upstream.Events, target emitter.Target, rule aggregate.Rule) (wire.Raw, error) {
	target.Method, target.Server = req.Method, m.server
	if target.Type == "" {
		target.Type = "server"
	}
	tell(ctx, func(n *middleware.Note) { n.SetTarget(target.Server, target.Tool, target.Definition) })
	stored, err := s.g.trail.route(ctx, target, rule)
	if err != nil {
		tell(ctx, func(n *middleware.Note) { n.Fail(emitter.ReasonAuditUnavailable, "") })
		return nil, wire.NewError(wire.CodeInternal, "the audit trail cannot take this call, so it was not run", nil)
	}
	defer stored.wait()
	return s.exchange(ctx, m, req, ev)
}

// named routes a call by params.name.
func (s *Session) named(ctx context.Context, k kind, req Request, ev upstream.Events) (wire.Raw, error) {
	name := wire.Text(wire.Get(req.Params, "name"))
	x, list, err := s.resolve(ctx, k, name)
	if err != nil {
		return nil, err
	}
	target := emitter.Target{Type: map[kind]string{tools: "tool", prompts: "prompt"}[k], Name: name}
	if x == nil {
		target.Method = req.Method
		s.g.trail.refused(ctx, target, list.why(name))
		return nil, wire.NewError(wire.CodeInvalidParams, "unknown "+target.Type+": "+shorten(name), nil)
	}
	target.Tool, target.Definition = x.Executed, digest(list.definition(x))
	m := s.g.member(x.Backend)
	if k == tools && s.g.opt.Authorize != nil {
		if err := s.g.opt.Authorize(ctx, name); err != nil {
			tell(ctx, func(n *middleware.Note) { n.SetTarget(m.server, target.Tool, target.Definition) })
			return toolError(err.Error()), nil
		}
	}
	if x.Executed != name {
		req.Params = wire.Set(req.Params, "name", wire.Quote(x.Executed))
	}
	result, err := s.relay(ctx, m, req, ev, target, x.Rule)
	if err == nil && k == tools {
		s.remember(m, result)
	}
	return result, err
}

const maxShown = 128 // bytes of a name in an error

func shorten(name string) string {
	if len(name) > maxShown {
		name = strings.ToValidUTF8(name[:maxShown], "") + "..."
	}
	return name
}

func toolError(text string) wire.Raw {
	item := wire.Set(wire.Raw(`{"type":"text"}`), "text", wire.Quote(text))
	return slices.Concat(wire.Raw(`{"content":[`), item, wire.Raw(`],"isError":true}`))
}

// resolve returns where a name leads, nil for nowhere: by the lists that the
// client has seen, else by the gateway's own, else by new ones.
func (s *Session) resolve(ctx context.Context, k kind, name string) (*aggregate.Exposed, *catalogue, error) {
	s.mu.Lock()
	list := s.lists[k]
	s.mu.Unlock()
	if list != nil {
		return list.find(name), list, nil
	}
	list = s.g.known(k)
	if x := list.find(name); x != nil {
		return x, list, nil
	}
	list, _, err := s.gather(ctx, k, nil)
	if err != nil {
		return nil, nil, err
	}
	return list.find(name), list, nil
}

// resource routes by params.uri. What no list has, as what a template stands
// for, is asked of each back end in turn: the first that has it answers.
func (s *Session) resource(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	uri := wire.Text(wire.Get(req.Params, "uri"))
	candidates, rule, err := s.followedAt(req.Method, uri), aggregate.RuleNone, error(nil)
	if candidates == nil {
		candidates, rule, err = s.holders(ctx, uri)
	}
	if err != nil {
		return nil, err
	}
	target := emitter.Target{Type: "resource", Name: uri}
	if len(candidates) == 0 {
		target.Method = req.Method
		s.g.trail.refused(ctx, target, "")
		code := wire.CodeNotFound
		if s.modern {
			code = wire.CodeInvalidParams // SEP-2164
		}
		return nil, wire.NewError(code, "resource not found", wire.Set(nil, "uri", wire.Quote(uri)))
	}
	var first error
	for _, m := range candidates {
		result, err := s.subscribed(ctx, m, req, ev, uri, target, rule)
		if err == nil || ctx.Err() != nil {
			return result, err
		}
		if first == nil {
			first = err
		}
	}
	tell(ctx, func(n *middleware.Note) { n.SetTarget(candidates[0].server, "", "") }) // whose answer it is
	return nil, s.fault(ctx, candidates[0], first)
}

// holders returns the back ends that may have a URI, the likeliest first.
func (s *Session) holders(ctx context.Context, uri string) ([]*member, aggregate.Rule, error) {
	x, _, err := s.resolve(ctx, resources, uri)
	if err != nil {
		return nil, "", err
	}
	if x != nil {
		return []*member{s.g.member(x.Backend)}, x.Rule, nil
	}
	var likely, rest []*member
	list := s.g.known(templates)
	for _, m := range s.g.up() {
		st := m.state()
		fits := slices.ContainsFunc(list.entries, func(x aggregate.Exposed) bool {
			literal, _, _ := strings.Cut(x.Name, "{")
			return x.Backend == m.Name && literal != "" && strings.HasPrefix(uri, literal)
		})
		switch {
		case fits:
			likely = append(likely, m)
		case st.can("resources"):
			rest = append(rest, m)
		}
	}
	return append(likely, rest...), aggregate.RuleNone, nil
}

// complete routes by params.ref.
func (s *Session) complete(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	target := emitter.Target{Type: "prompt", Name: wire.Text(wire.Get(req.Params, "ref", "name"))}
	k := prompts
	if uri := wire.Text(wire.Get(req.Params, "ref", "uri")); uri != "" {
		target.Type, target.Name, k = "resource", uri, templates
	}
	x, list, err := s.resolve(ctx, k, target.Name)
	if err != nil {
		return nil, err
	}
	if x == nil && k == templates {
		if x, list, err = s.resolve(ctx, resources, target.Name); err != nil {
			return nil, err
		}
	}
	if x == nil {
		target.Method = req.Method
		s.g.trail.refused(ctx, target, list.why(target.Name))
		return nil, wire.NewError(wire.CodeInvalidParams, "unknown "+target.Type+": "+shorten(target.Name), nil)
	}
	if k == prompts {
		target.Tool = x.Executed
		if x.Executed != x.Name {
			req.Params = wire.SetIn(req.Params, wire.Quote(x.Executed), "ref", "name")
		}
	}
	return s.relay(ctx, s.g.member(x.Backend), req, ev, target, x.Rule)
}

// setLevel is for every back end that logs; for those that the session has no
// session with yet, when it has.
func (s *Session) setLevel(ctx context.Context, req Request, ev upstream.Events) (wire.Raw, error) {
	able := 0
	var first error
	for _, m := range s.g.up() {
		st := m.state()
		if !st.can("logging") {
			continue
		}
		able++
		if st.legacy == nil || !s.has(m) && len(s.g.members) > 1 {
			continue
		}
		if err := s.tellLevel(ctx, m, req, ev); err != nil && first == nil {
			first = err
		}
	}
	if able == 0 {
		return nil, wire.NewError(wire.CodeMethodNotFound, "no back end logs", nil)
	}
	s.mu.Lock()
	s.level = req.Params
	s.mu.Unlock()
	if first != nil {
		return nil, first
	}
	return wire.Raw("{}"), nil
}

// tellLevel gives one back end a bounded time.
func (s *Session) tellLevel(ctx context.Context, m *member, req Request, ev upstream.Events) error {
	within, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	_, err := s.exchange(within, m, req, ev)
	return s.fault(ctx, m, err)
}

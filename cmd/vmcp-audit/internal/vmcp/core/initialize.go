package core

import (
	"context"
	"slices"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// The keys of _meta in revision 2026-07-28.
const (
	metaPrefix       = "io.modelcontextprotocol/"
	metaVersion      = metaPrefix + "protocolVersion"
	metaClient       = metaPrefix + "clientInfo"
	metaCapabilities = metaPrefix + "clientCapabilities"
	metaLogLevel     = metaPrefix + "logLevel"
	metaSubscription = metaPrefix + "subscriptionId"
	metaServer       = metaPrefix + "serverInfo"
)

// Initialize begins the session of a legacy client. client takes what belongs
// to no call of it. No back end is asked: what they have is known.
func (g *Gateway) Initialize(_ context.Context, params wire.Raw, client upstream.Events) (*Session, wire.Raw, error) {
	if _, err := wire.Pick(params, "protocolVersion", "capabilities", "clientInfo"); err != nil {
		return nil, nil, wire.NewError(wire.CodeInvalidParams, err.Error(), nil)
	}
	version := wire.Text(wire.Get(params, "protocolVersion"))
	if version == "" {
		return nil, nil, wire.NewError(wire.CodeInvalidParams, "protocolVersion is missing", nil)
	}
	if !slices.Contains(upstream.Legacy, version) {
		version = upstream.Newest
	}
	hello := wire.Set(params, "protocolVersion", wire.Quote(version))
	if wire.Get(hello, "capabilities") == nil {
		hello = wire.Set(hello, "capabilities", wire.Raw("{}"))
	}
	if wire.Get(hello, "clientInfo") == nil {
		hello = wire.Set(hello, "clientInfo", wire.Raw(`{"name":"unknown","version":""}`))
	}
	s, err := g.newSession(hello, false, client)
	if err != nil {
		return nil, nil, err
	}
	result := wire.Set(g.about(), "protocolVersion", wire.Quote(version))
	return s, wire.Set(result, "serverInfo", g.serverInfo()), nil
}

// Discover answers server/discover.
func (g *Gateway) Discover() wire.Raw {
	versions := wire.Raw(`["` + upstream.Modern)
	for _, v := range slices.Backward(upstream.Legacy) {
		versions = append(append(versions, `","`...), v...)
	}
	result := wire.Set(wire.Raw(`{"resultType":"complete"}`), "supportedVersions", append(versions, `"]`...))
	wire.Members(g.about(), func(key string, value wire.Raw) { result = wire.Set(result, key, value) })
	result = wire.Set(wire.Set(result, "ttlMs", wire.Raw("0")), "cacheScope", wire.Raw(`"private"`))
	return wire.Set(result, "_meta", wire.Set(nil, metaServer, g.serverInfo()))
}

func (g *Gateway) serverInfo() wire.Raw {
	info := wire.Set(nil, "name", wire.Quote(g.opt.Name))
	return wire.Set(info, "version", wire.Quote(g.opt.Version))
}

// about returns what the back ends together can do, and what they say to read
// before. Of one back end it is that one's own word.
func (g *Gateway) about() wire.Raw {
	capabilities := wire.Raw("{}")
	var texts []string
	for _, m := range g.members {
		st := m.state()
		w := st.welcome()
		if w == nil { // it may come later, and then its lists change
			for _, name := range []string{"tools", "prompts", "resources"} {
				capabilities = merge(capabilities, name, wire.Raw("{}"))
			}
			continue
		}
		wire.Members(w.Capability(), func(name string, value wire.Raw) { capabilities = merge(capabilities, name, value) })
		if text := wire.Text(wire.Get(w.Result, "instructions")); text != "" {
			texts = append(texts, heading(len(g.members), m.Name)+text)
		}
	}
	for _, name := range []string{"tools", "prompts", "resources"} {
		if wire.Get(capabilities, name) != nil {
			capabilities = wire.SetIn(capabilities, wire.Raw("true"), name, "listChanged")
		}
	}
	about := wire.Set(nil, "capabilities", capabilities)
	if len(texts) > 0 {
		about = wire.Set(about, "instructions", wire.Quote(strings.Join(texts, "\n\n")))
	}
	return about
}

func heading(members int, name string) string {
	if members == 1 {
		return ""
	}
	return "# " + name + "\n"
}

// merge adds a capability, or the members that it has and others had not.
func merge(capabilities wire.Raw, name string, value wire.Raw) wire.Raw {
	have := wire.Get(capabilities, name)
	if have == nil {
		return wire.Set(capabilities, name, value)
	}
	wire.Members(value, func(key string, v wire.Raw) {
		if old := wire.Get(have, key); old == nil || string(old) == "false" {
			have = wire.Set(have, key, v)
		}
	})
	return wire.Set(capabilities, name, have)
}

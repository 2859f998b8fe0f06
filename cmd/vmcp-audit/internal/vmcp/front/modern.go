package front

import (
	"context"
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/core"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

const metaPrefix = "io.modelcontextprotocol/"

// modernMeta reports whether a request names a revision in its _meta, which the
// older ones do not.
func modernMeta(m wire.Message) bool {
	return wire.Get(m.Params, "_meta", metaPrefix+"protocolVersion") != nil
}

// revision returns the one that a message names, "" for none.
func revision(m wire.Message) string {
	return wire.Text(wire.Get(m.Params, "_meta", metaPrefix+"protocolVersion"))
}

// modern serves a message of revision 2026-07-28, in which each request stands
// for itself. To close its connection is to cancel.
func (f *Front) modern(w http.ResponseWriter, r *http.Request, m wire.Message) {
	if err := checkModern(r.Header, m); err != nil {
		writeJSON(w, http.StatusBadRequest, wire.AppendError(nil, m.ID, err))
		return
	}
	if m.Notification() {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if m.Method == "subscriptions/listen" { // it ends well when the server does
		go func() {
			select {
			case <-f.draining:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	x := newExchange(w, r)
	defer x.abort()
	req := core.Request{ID: m.ID, Method: m.Method, Params: m.Params, Header: r.Header}
	result, err := f.g.Stateless(ctx, r.Header.Get("Authorization"), req, statelessEvents{x})
	if r.Context().Err() != nil {
		return
	}
	status := http.StatusOK
	if said, ok := errors.AsType[*wire.Error](err); ok {
		status = statusOf(said.Code())
	}
	f.answer(x, m, result, err, status)
}

// statusOf returns the HTTP status that revision 2026-07-28 gives to an error.
func statusOf(code int) int {
	switch code {
	case wire.CodeMethodNotFound:
		return http.StatusNotFound
	case wire.CodeParse, wire.CodeInvalidRequest, wire.CodeInvalidParams, wire.CodeHeader, mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, wire.CodeVersion:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// checkModern checks what every request of revision 2026-07-28 must have.
func checkModern(h http.Header, m wire.Message) *wire.Error {
	header := h.Get(mcp.HeaderProtocolVersion)
	meta := wire.Get(m.Params, "_meta")
	claimed := wire.Get(meta, metaPrefix+"protocolVersion")
	version := wire.Text(claimed)
	switch {
	case m.Response():
		return wire.NewError(wire.CodeInvalidRequest, "this revision has no responses of clients", nil)
	case !modernVersion(header), version != "" && header != version:
		return wire.NewError(wire.CodeHeader, "MCP-Protocol-Version does not say what _meta says", nil)
	case m.Notification() && claimed == nil:
		return nil
	case version == "":
		return wire.NewError(wire.CodeInvalidParams, "_meta has no "+metaPrefix+"protocolVersion", nil)
	case m.Notification():
		return nil
	case wire.Get(meta, metaPrefix+"clientCapabilities") == nil:
		return wire.NewError(wire.CodeInvalidParams, "_meta has no "+metaPrefix+"clientCapabilities", nil)
	case version != upstream.Modern:
		data := wire.Set(wire.Raw(`{"supported":["`+upstream.Modern+`"]}`), "requested", wire.Quote(version))
		return wire.NewError(wire.CodeVersion, "unsupported protocol version", data)
	}
	if err := mcp.ValidateStandardHeaders(h.Get, version, mcp.MCPMethod(m.Method), m.Params); err != nil {
		return wire.NewError(wire.CodeHeader, err.Error(), nil)
	}
	return nil
}

// statelessEvents takes what belongs to a request of a modern client.
type statelessEvents struct{ x *exchange }

func (c statelessEvents) Notify(m wire.Message) {
	c.x.event(wire.AppendRequest(nil, nil, m.Method, m.Params))
}

// Ask refuses: in this revision servers ask by their results.
func (c statelessEvents) Ask(context.Context, wire.Message) (wire.Raw, *wire.Error) {
	return nil, wire.NewError(wire.CodeMethodNotFound, "the client takes no requests", nil)
}

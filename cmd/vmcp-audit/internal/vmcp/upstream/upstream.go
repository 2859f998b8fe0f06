// Package upstream speaks to back ends: over streamable HTTP in both eras of
// the protocol, over the older HTTP+SSE, to a command over stdio, and to a
// mark3labs/mcp-go server in this process. Messages pass as the bytes they are.
//
// The wire of the first three is our own: mcp-go's client transports decode
// what a server sends of its own accord, do not bound what they read, and give
// a client 30 s to answer; docs/decisions/0011-own-wire-to-back-ends.md has the
// measures.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// The revisions of the protocol. Modern is stateless, the others are legacy.
const (
	Modern = "2026-07-28"
	Newest = "2025-11-25" // of the legacy ones
)

// Legacy lists the legacy revisions.
var Legacy = []string{"2024-11-05", "2025-03-26", "2025-06-18", Newest}

// Times and bounds.
const (
	// AskTimeout is how long the client of a call may take to answer a question
	// of the back end: people answer some of them.
	AskTimeout = 30 * time.Minute
	// HandshakeTimeout bounds everything up to the end of an initialize.
	HandshakeTimeout = 15 * time.Second

	discoverTimeout = 5 * time.Second // some old servers leave an unknown method unanswered
	closeTimeout    = 5 * time.Second // for a DELETE
	tellTimeout     = 30 * time.Second
	maxAsks         = 64 // questions of one session under way
)

// Events takes what a back end sends of its own accord. It must be safe for
// concurrent use.
type Events interface {
	// Notify takes a notification. It must not block for long.
	Notify(m wire.Message)
	// Ask answers a request, whose id is the back end's. When ctx ends nobody
	// wants the answer any more.
	Ask(ctx context.Context, m wire.Message) (wire.Raw, *wire.Error)
}

// Request is a call to a back end; the id is the connection's.
type Request struct {
	Method string
	Params wire.Raw    // nil for none
	Header http.Header // for transports that have headers
}

// Conn is a session with a back end, or of revision 2026-07-28 a way to it. It
// is safe for concurrent use.
type Conn interface {
	// Call sends a request and returns the result. What the back end sends about
	// it meanwhile goes to ev. The error is a *[wire.Error] if the back end
	// answered with one; see also [NotRun]. When ctx ends the back end is told.
	Call(ctx context.Context, req Request, ev Events) (wire.Raw, error)
	// Notify sends a notification.
	Notify(ctx context.Context, method string, params wire.Raw) error
	// Broken reports whether nothing can be sent any more.
	Broken() bool
	// Close ends the session and waits, for seconds at most, until it has ended.
	Close()
}

// NotRun is the error of a call that the back end cannot have carried out, so
// that it may be sent again.
type NotRun struct{ Err error }

func (e *NotRun) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NotRun) Unwrap() error { return e.Err }

// Causes of a failed call.
var (
	ErrSession = errors.New("the back end does not know the session any more")
	ErrBroken  = errors.New("the connection to the back end has ended")
	ErrAnswer  = errors.New("the back end's answer is no MCP")
	ErrFull    = fmt.Errorf("the back end has %d processes already, one for each session that uses it", MaxCommands)
	ErrHTTP    = errors.New("the back end's answer is no HTTP")
)

// StatusError is an HTTP status without a JSON-RPC answer.
type StatusError int

func (e StatusError) Error() string {
	text := fmt.Sprintf("the back end answered with HTTP status %d", int(e))
	if e >= 300 && e < 400 {
		text += ", and redirects are not followed"
	}
	return text
}

// Cancelled is the cause of a context whose call the client has cancelled; the
// back end is told the reason.
type Cancelled struct{ Reason wire.Raw }

func (c *Cancelled) Error() string { return "cancelled by the client" }

// cancelParams returns the parameters of notifications/cancelled for the end of
// ctx.
func cancelParams(ctx context.Context, id wire.Raw) wire.Raw {
	params := wire.Set(nil, "requestId", id)
	if c, ok := errors.AsType[*Cancelled](context.Cause(ctx)); ok && c.Reason != nil {
		params = wire.Set(params, "reason", c.Reason)
	}
	return params
}

// Hello opens a session.
type Hello struct {
	// Params of the initialize request, as the back end is to see them.
	Params wire.Raw
}

// Welcome is what a back end says of itself.
type Welcome struct {
	Version string   // that the session speaks
	Result  wire.Raw // of initialize, or of server/discover
	Asks    bool     // it can ask its client: there is a session by which the answer finds its question
}

// Capability returns a capability as the back end announced it, nil for none.
func (w *Welcome) Capability(path ...string) wire.Raw {
	return wire.Get(w.Result, append([]string{"capabilities"}, path...)...)
}

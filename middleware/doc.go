// Package middleware turns MCP exchanges over HTTP into audit events.
//
// [HTTP] wraps any handler that speaks MCP: mcp-go's or the official SDK's
// streamable handler, or a reverse proxy. It belongs outermost, so that what
// inner layers refuse is recorded too. Each JSON-RPC request becomes one event,
// recorded before the bytes that end its answer are passed on; a stream becomes
// one at its opening and one at its end. Nothing that passes is changed. Of a
// request at most [PeekLimit] bytes are read before the handler runs; answers
// are scanned as the handler writes them, and neither held back nor kept.
//
// What has no JSON-RPC response (a notification, a refusal in plain text) is
// recorded before its last bytes if its header has a Content-Length, else when
// the handler returns.
//
// The outcome is read from the JSON-RPC response with the request's id,
// however it is cut into writes; never from a prefix or from the HTTP status
// alone. What only inner layers know (who the caller is, what an authorizer
// decided, which back end ran the tool) they tell by the [Note] in the
// request's context.
//
// While nothing can be stored, requests are refused before they run. In strict
// mode ([Options.Strict]) an event of stage `received` is stored before a request
// runs, or it does not. Who proves no identity and is refused over and over has
// one event for many requests ([Options.FloodLimit]).
//
// Not told apart yet: the members of a JSON-RPC batch, the answers of the
// legacy HTTP+SSE transport, and requests that a server sends to its client.
package middleware

package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// exchange is a request and the answer to it, as both are written.
type exchange struct {
	name    string
	request string
	answer  string
	want    []string // events
}

// wire returns the text of a message: head has LF for line ends, and gets a
// Content-Length for a body of which it does not say how it is framed.
func wire(head, body string) string {
	if body != "" && !strings.Contains(head, "Transfer-Encoding") && !strings.Contains(head, "Content-Length") {
		head += fmt.Sprint("\nContent-Length: ", len(body))
	}
	return strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
}

// chunked returns parts in the chunked coding, with trailer lines at its end.
func chunked(trailer string, parts ...string) string {
	var s strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&s, "%x\r\n%s\r\n", len(p), p)
	}
	return s.String() + "0\r\n" + strings.ReplaceAll(trailer, "\n", "\r\n") + "\r\n"
}

const (
	host      = "\nHost: client.test"
	post      = "POST /mcp HTTP/1.1" + host + "\nContent-Type: application/json\nAccept: application/json, text/event-stream"
	inChunks  = "\nTransfer-Encoding: chunked"
	call      = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"m":"x"}}}`
	notice    = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	result    = `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"x"}]}}`
	progress  = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5}}`
	okJSON    = "HTTP/1.1 200 OK\nContent-Type: application/json"
	okSSE     = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nCache-Control: no-cache"
	okText    = "HTTP/1.1 200 OK\nContent-Type: text/plain"
	toolCall  = "mcp_tool_call success 200"
	plainHTTP = "http_request success 200"
)

var (
	plainOK = wire(okText, "fine")
	callOK  = wire(okJSON, result)
)

var exchanges = []exchange{
	{"JSON", wire(post, call), callOK, []string{toolCall}},
	{"JSON in chunks", wire(post+inChunks, chunked("", call[:9], call[9:])), wire(okJSON+inChunks, chunked("", result[:9], result[9:])), []string{toolCall}},
	{"JSON to the connection's end", wire(post, call), wire(okJSON, "") + result, []string{toolCall}},
	{"HTTP/1.0 upstream", wire(post, call), wire("HTTP/1.0 200 OK\nContent-Type: application/json", "") + result, []string{toolCall}},
	{"SSE with progress", wire(post, call), wire(okSSE+inChunks, chunked("", "data: "+progress+"\n\n", ": ping\r\n\r\n", "event: message\ndata: "+result+"\n\n")), []string{toolCall}},
	{"SSE with a byte order mark and odd line ends", wire(post, call), wire(okSSE+inChunks, chunked("", "\xef\xbb\xbfdata: "+progress+"\r\r", "data: "+result[:9], result[9:]+"\r\n\r\n", "tail")), []string{toolCall}},
	{"notification", wire(post, notice), wire("HTTP/1.1 202 Accepted\nContent-Length: 0", ""), []string{"mcp_notification success 202"}},
	{"no content", wire(post, notice), wire("HTTP/1.1 204 No Content", ""), []string{"mcp_notification success 204"}},
	{"tool error", wire(post, call), wire(okJSON, `{"id":7,"result":{"isError":true}}`), []string{"mcp_tool_call failure tool_error 200"}},
	{"no answer", wire(post, call), wire(okJSON+"\nContent-Length: 0", ""), []string{"mcp_tool_call error no_response 200"}},
	{"compressed all the same", wire(post, call), wire(okJSON+"\nContent-Encoding: gzip\nVary: Accept-Encoding", "\x1f\x8b\x08\x00\x01\x02"), []string{toolCall}},
	{"no JSON", wire(post, "\xff\xfe{"), plainOK, []string{plainHTTP}},
	{"empty body", wire(post+"\nContent-Length: 0", ""), plainOK, []string{plainHTTP}},
	{"empty body in chunks", wire(post+inChunks, chunked("")), plainOK, []string{plainHTTP}},
	{"spaces around the message", wire(post, " \r\n"+call+"\r\n \n"), wire(okJSON, "\n "+result+" \n"), []string{toolCall}},
	{"long spaces", wire(post, strings.Repeat(" ", 10000)+call), wire(okJSON, strings.Repeat("\n", 10000)+result), []string{toolCall}},
	{"two messages", wire(post, call+call), wire(okJSON, result+result), []string{toolCall}},
	{"100-continue", wire(post+"\nExpect: 100-continue", call), callOK, []string{toolCall}},

	{"GET", wire("GET /mcp HTTP/1.1"+host, ""), plainOK, []string{plainHTTP}},
	{"GET with a body", wire("GET /mcp HTTP/1.1"+host, "body"), plainOK, []string{plainHTTP}},
	{"GET of a stream", wire("GET /mcp HTTP/1.1"+host+"\nAccept: text/event-stream\nLast-Event-ID: 4", ""), wire(okSSE+inChunks, chunked("", "id: 5\ndata: "+progress+"\n\n")), []string{"sse_connection success 200", "sse_closed success server_closed"}},
	{"HEAD", wire("HEAD /mcp HTTP/1.1"+host, ""), wire(okText+"\nContent-Length: 1234\nETag: \"a\"", ""), []string{plainHTTP}},
	{"HEAD without a length", wire("HEAD /mcp HTTP/1.1"+host, ""), wire(okText, ""), []string{plainHTTP}},
	{"OPTIONS", wire("OPTIONS /mcp HTTP/1.1"+host+"\nOrigin: https://a.test\nAccess-Control-Request-Method: POST", ""), wire("HTTP/1.1 204 No Content\nAccess-Control-Allow-Origin: https://a.test\nAllow: GET, POST", ""), []string{"http_request success 204"}},
	{"DELETE", wire("DELETE /mcp HTTP/1.1"+host+"\nMcp-Session-Id: s", ""), wire("HTTP/1.1 200 OK\nContent-Length: 0", ""), []string{"mcp_session_end success deleted 200"}},
	{"DELETE with a body", wire("DELETE /mcp HTTP/1.1"+host, "body"), plainOK, []string{plainHTTP}},
	{"PUT in chunks", wire("PUT /mcp HTTP/1.1"+host+inChunks, chunked("", "bo", "dy")), plainOK, []string{plainHTTP}},
	{"PATCH", wire("PATCH /mcp HTTP/1.1"+host, "body"), plainOK, []string{plainHTTP}},
	{"TRACE", wire("TRACE /mcp HTTP/1.1"+host, ""), plainOK, []string{plainHTTP}},
	{"unknown verb", wire("M-SEARCH /mcp HTTP/1.1"+host, ""), plainOK, []string{plainHTTP}},
	{"lower-case verb", wire("post /mcp HTTP/1.1"+host, call), plainOK, []string{plainHTTP}},

	{
		"MCP headers", wire(post+"\nMcp-Session-Id: a.b-c\nMCP-Protocol-Version: 2025-11-25\nmcp-method: tools/call\nMcp-Name: =?base64?ZWNobw==?=\nMcp-Param-Region: eu 1\nx-vendor: 1\nX_under: 2", call),
		wire(okJSON+"\nmcp-session-id: a.b-c\nX-Vendor: 1", result),
		[]string{toolCall},
	},
	{
		"values in their order", wire(post+"\nX-A: 2\nX-B: b\nX-A: 1\nx-a: 3, 4\nX-A:\nCookie: b=1; a=2\nCookie: c=3", call),
		wire(okJSON+"\nSet-Cookie: a=1; Path=/\nSet-Cookie: b=2\nX-A: 2\nX-A: 1\nX-A:\nWWW-Authenticate: Basic\nWWW-Authenticate: Bearer resource_metadata=\"x\"", result),
		[]string{toolCall},
	},
	{
		"empty and odd values", wire(post+"\nX-Empty:\nX-Tabs: \ta\tb\t\nX-Bytes: caf\xc3\xa9 \xff\nAuthorization: Bearer  t\nAccept-Language:", call),
		wire(okJSON+"\nX-Empty:\nX-Bytes: caf\xc3\xa9 \xff", result),
		[]string{toolCall},
	},
	{
		"forwarding headers", wire(post+"\nX-Forwarded-For: 203.0.113.9, 10.0.0.1\nX-Forwarded-For: 10.0.0.2\nX-Forwarded-Host: a.test\nX-Forwarded-Proto: https\nX-Forwarded-Port: 443\nForwarded: for=203.0.113.9;host=a.test\nForwarded: for=\"[::1]\"\nX-Real-Ip: 203.0.113.9\nVia: 1.1 a", call),
		wire(okJSON+"\nVia: 1.1 b", result),
		[]string{toolCall},
	},
	{
		"hop-by-hop headers", wire(post+"\nConnection: keep-alive, X-Hop\nConnection: x-hop-2\nX-Hop: 1\nX-Hop-2: 2\nKeep-Alive: timeout=5\nProxy-Connection: keep-alive\nProxy-Authorization: Basic eDp5\nTE: gzip\nX-Stays: 1", call),
		wire(okJSON+"\nConnection: X-Hop\nX-Hop: 1\nKeep-Alive: timeout=5\nProxy-Authenticate: Basic\nX-Stays: 1", result),
		[]string{toolCall},
	},
	{"long values", wire(post+"\nX-Long: "+strings.Repeat("a", 1<<17), call), wire(okJSON+"\nX-Long: "+strings.Repeat("b", 1<<17), result), []string{toolCall}},
	{"agent and encodings", wire(post+"\nUser-Agent: desk/1.0 (x)\nAccept-Encoding: gzip, br\nRange: bytes=0-9", call), wire(okJSON+"\nServer: s\nDate: Thu, 01 Jan 1970 00:00:00 GMT", result), []string{toolCall}},
	{"no type", wire(post, call), wire("HTTP/1.1 200 OK", result), []string{toolCall}},
	{"no type, looks like HTML", wire("GET / HTTP/1.1"+host, ""), wire("HTTP/1.1 200 OK\nX-A: 1", "<html>"), []string{plainHTTP}},
	{"empty type", wire("GET / HTTP/1.1"+host, ""), wire("HTTP/1.1 200 OK\nContent-Type:", "<html>"), []string{plainHTTP}},
	{"no type after early hints", wire("GET / HTTP/1.1"+host, ""), wire("HTTP/1.1 103 Early Hints\nLink: </a>; rel=preload", "") + wire("HTTP/1.1 200 OK", "<html>"), []string{plainHTTP}},
	{"location", wire("GET / HTTP/1.1"+host, ""), wire("HTTP/1.1 307 Temporary Redirect\nLocation: http://127.0.0.1:1/x?a=%zz#f\nContent-Length: 0", ""), []string{"http_request failure redirected 307"}},

	{"early hints", wire(post, call), wire("HTTP/1.1 103 Early Hints\nLink: </a>; rel=preload\nLink: </b>\nX-Hint: 1", "") + wire("HTTP/1.1 102 Processing", "") + wire("HTTP/1.1 199 Odd", "") + callOK, []string{toolCall}},
	{"trailers of the request", wire(post+inChunks+"\nTrailer: X-Sum, X-None", chunked("X-Sum: 1\nX-Sum: 2\n", call)), callOK, []string{toolCall}},
	{"trailers of a request that is not read ahead", wire("PUT / HTTP/1.1"+host+inChunks+"\nTrailer: X-Sum", chunked("X-Sum: 1\n", "body")), plainOK, []string{plainHTTP}},
	{"trailers of the answer", wire(post+"\nTE: trailers\nConnection: TE", call), wire(okJSON+inChunks+"\nTrailer: X-Sum", chunked("X-Sum: 1\n", result)), []string{toolCall}},
	{"trailers of the answer that were not announced", wire(post, call), wire(okJSON+inChunks, chunked("X-Sum: 1\nX-Sum: 2\nX-More: 3\n", result)), []string{toolCall}},
	{"trailers of an empty answer", wire(post, call), wire(okJSON+inChunks+"\nTrailer: X-Sum", chunked("X-Sum: 1\n")), []string{"mcp_tool_call error no_response 200"}},
}

// statuses returns exchanges with answers of every class.
func statuses() []exchange {
	out := []exchange{}
	for code, event := range map[int]string{
		200: "success", 201: "success", 203: "success", 204: "success", 205: "success", 206: "success", 226: "success", 299: "success",
		300: "failure redirected", 301: "failure redirected", 303: "failure redirected", 304: "success", 308: "failure redirected",
		400: "failure bad_request", 401: "denied unauthenticated", 402: "failure bad_request", 403: "denied forbidden",
		404: "failure not_found", 405: "failure method_not_allowed", 406: "failure not_acceptable", 407: "failure bad_request",
		413: "failure too_large", 415: "failure unsupported_media_type", 418: "failure bad_request", 421: "failure bad_request",
		425: "failure bad_request", 429: "denied rate_limited", 451: "failure bad_request", 499: "failure bad_request",
		500: "error http_error", 501: "error http_error", 502: "error http_error", 503: "error http_error", 504: "error http_error",
		511: "error http_error", 599: "error http_error", 999: "error http_error",
	} {
		body := "no"
		if code == 204 || code == 304 {
			body = ""
		}
		head := fmt.Sprintf("HTTP/1.1 %d Some Words\nRetry-After: 3\nETag: \"x\"", code)
		out = append(out, exchange{fmt.Sprint(code), wire("GET /mcp HTTP/1.1"+host, ""), wire(head, body), []string{fmt.Sprint("http_request ", event, " ", code)}})
	}
	return out
}

func all() []exchange { return append(statuses(), exchanges...) }

// each runs f for every exchange.
func each(t *testing.T, f func(t *testing.T, x exchange)) {
	t.Helper()
	for _, x := range all() {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f(t, x)
		})
	}
}

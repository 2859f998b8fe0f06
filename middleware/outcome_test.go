package middleware

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const (
	callEcho = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"m":"x"}}}`
	jsonOK   = `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`
)

var exchanges = []struct {
	name string
	x    exchange
	want string // as trail.lines
}{
	{"success", exchange{body: callEcho, reply: jsonOK}, "mcp_tool_call success echo"},
	{"id last", exchange{body: callEcho, reply: `{"result":{"isError":true},"jsonrpc":"2.0","id":7}`}, "mcp_tool_call failure tool_error echo"},
	{"isError", exchange{body: callEcho, reply: `{"id":7,"result":{"isError":true}}`}, "mcp_tool_call failure tool_error echo"},
	{"isError false", exchange{body: callEcho, reply: `{"id":7,"result":{"isError":false}}`}, "mcp_tool_call success echo"},
	{"isError as text", exchange{body: callEcho, reply: `{"id":7,"result":{"content":[{"text":"\"isError\":true,\"error\":{"}]}}`}, "mcp_tool_call success echo"},
	{"isError deep", exchange{body: callEcho, reply: `{"id":7,"result":{"structuredContent":{"isError":true,"error":{"code":1}}}}`}, "mcp_tool_call success echo"},
	{"isError after much", exchange{body: callEcho, reply: `{"id":7,"result":{"content":[{"text":"` + strings.Repeat(`x\"{`, 300000) + `"}],"isError":true}}`}, "mcp_tool_call failure tool_error echo"},
	{"rpc error", exchange{body: callEcho, reply: `{"id":7,"error":{"code":-32602,"message":"tool not found"}}`}, "mcp_tool_call failure invalid_params echo"},
	{"error code 0", exchange{body: callEcho, reply: `{"id":7,"error":{"code":0,"message":"m"}}`}, "mcp_tool_call failure rpc_error echo"},
	{"error without code", exchange{body: callEcho, reply: `{"id":7,"error":{}}`}, "mcp_tool_call failure rpc_error echo"},
	{"error null", exchange{body: callEcho, reply: `{"id":7,"result":{},"error":null}`}, "mcp_tool_call success echo"},
	{"internal error", exchange{body: callEcho, reply: `{"id":7,"error":{"code":-32603,"message":"m"}}`}, "mcp_tool_call error internal_error echo"},
	{"long error", exchange{body: callEcho, reply: `{"id":7,"error":{"message":"` + strings.Repeat("long ", 2000) + `","code":-32002}}`}, "mcp_tool_call failure resource_not_found echo"},
	{"error on status 400", exchange{body: callEcho, status: 400, reply: `{"id":7,"error":{"code":-32022}}`}, "mcp_tool_call failure unsupported_version echo"},
	{"id null error", exchange{body: callEcho, status: 400, reply: `{"id":null,"error":{"code":-32700}}`}, "mcp_tool_call failure parse_error echo"},
	{"error without id", exchange{body: callEcho, status: 400, reply: `{"error":{"code":-32600}}`}, "mcp_tool_call failure invalid_request echo"},
	{"result without id", exchange{body: callEcho, reply: `{"result":{}}`}, "mcp_tool_call error no_response echo"},
	{"other id", exchange{body: callEcho, reply: `{"id":8,"result":{}}`}, "mcp_tool_call error no_response echo"},
	{"id as a string", exchange{body: callEcho, reply: `{"id":"7","result":{}}`}, "mcp_tool_call error no_response echo"},
	{"id as a float", exchange{body: callEcho, reply: `{"id":7.0,"result":{}}`}, "mcp_tool_call success echo"},
	{"string id escaped otherwise", exchange{body: `{"id":"a\/é","method":"ping"}`, reply: `{"id":"a/\u00e9","result":{}}`}, "mcp_ping success"},
	{"empty string id", exchange{body: `{"id":"","method":"ping"}`, reply: `{"id":"","result":{}}`}, "mcp_ping success"},
	{"duplicate results", exchange{body: callEcho, reply: `{"id":7,"result":{"isError":true},"result":{}}`}, "mcp_tool_call success echo"},
	{"not ended", exchange{body: callEcho, reply: `{"id":7,"result":{}`}, "mcp_tool_call error no_response echo"},
	{"empty", exchange{body: callEcho}, "mcp_tool_call error no_response echo"},
	{"accepted", exchange{body: callEcho, status: 202}, "mcp_tool_call error no_response echo"},
	{"text 400", exchange{body: callEcho, status: 400, reply: "unknown method", with: "Content-Type: text/plain"}, "mcp_tool_call failure bad_request echo"},
	{"text 500", exchange{body: callEcho, status: 500, reply: "boom", with: "Content-Type: text/plain"}, "mcp_tool_call error http_error echo"},
	{"redirect", exchange{body: callEcho, status: 307, with: "Location: /x"}, "mcp_tool_call failure redirected echo"},
	{"401", exchange{body: callEcho, status: 401}, "mcp_tool_call denied unauthenticated echo"},
	{"403 with an rpc error", exchange{body: callEcho, status: 403, reply: `{"id":7,"error":{"code":-32600}}`}, "mcp_tool_call denied forbidden echo"},
	{"429", exchange{body: callEcho, status: 429}, "mcp_tool_call denied rate_limited echo"},
	{"413", exchange{body: callEcho, status: 413}, "mcp_tool_call failure too_large echo"},
	{"406", exchange{body: callEcho, status: 406}, "mcp_tool_call failure not_acceptable echo"},
	{"415", exchange{body: callEcho, status: 415}, "mcp_tool_call failure unsupported_media_type echo"},
	{"404", exchange{body: callEcho, status: 404}, "mcp_tool_call failure not_found echo"},
	{"404 of a session", exchange{header: "Mcp-Session-Id: s", body: callEcho, status: 404}, "mcp_tool_call failure session_not_found echo"},
	{"404 of a session, in JSON-RPC", exchange{header: "Mcp-Session-Id: s", body: callEcho, status: 404, reply: `{"id":7,"error":{"code":-32600}}`}, "mcp_tool_call failure session_not_found echo"},
	{"404 of a method, in a session", exchange{header: "Mcp-Session-Id: s", body: callEcho, status: 404, reply: `{"id":7,"error":{"code":-32601}}`}, "mcp_tool_call failure method_not_found echo"},
	{"gzip", exchange{body: callEcho, reply: "{\x1f\x8b", with: "Content-Encoding: gzip"}, "mcp_tool_call success echo"},

	{"sse", exchange{body: callEcho, reply: "data: " + jsonOK + "\n\n"}, "mcp_tool_call success echo"},
	{"sse isError", exchange{body: callEcho, reply: "data: {\"id\":7,\ndata: \"result\":{\"isError\":true}}\n\n"}, "mcp_tool_call failure tool_error echo"},
	{"sse with more", exchange{body: callEcho, reply: "id: 1\ndata:\n\ndata: {\"method\":\"notifications/progress\",\"params\":{\"error\":{}}}\n\n" +
		"data: {\"id\":7,\"method\":\"sampling/createMessage\"}\n\ndata: {\"id\":7,\"error\":{\"code\":-1}}\n\n"}, "mcp_tool_call failure rpc_error echo"},
	{"sse without response", exchange{body: callEcho, reply: "data: {\"method\":\"notifications/message\"}\n\n"}, "mcp_tool_call error no_response echo"},
	{"input required", exchange{body: callEcho, reply: `{"id":7,"result":{"resultType":"input_required","inputRequests":{}}}`}, "mcp_tool_call pending input_required echo"},
	{"complete", exchange{body: callEcho, reply: `{"id":7,"result":{"resultType":"complete"}}`}, "mcp_tool_call success echo"},
	{"task", exchange{body: callEcho, reply: `{"id":7,"result":{"task":{"taskId":"t"}}}`}, "mcp_tool_call pending task_started echo"},

	{"initialize", exchange{body: `{"id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"}}}`, reply: `{"id":0,"result":{}}`}, "mcp_initialize success"},
	{"discover", exchange{body: `{"id":0,"method":"server/discover"}`, reply: `{"id":0,"result":{}}`}, "mcp_discover success"},
	{"tools/list", exchange{body: `{"id":1,"method":"tools/list"}`, reply: `{"id":1,"result":{"tools":[]}}`}, "mcp_tools_list success"},
	{"resources/list", exchange{body: `{"id":1,"method":"resources/list"}`, reply: `{"id":1,"result":{}}`}, "mcp_resources_list success"},
	{"resources/templates/list", exchange{body: `{"id":1,"method":"resources/templates/list"}`, reply: `{"id":1,"result":{}}`}, "mcp_resource_templates_list success"},
	{"resources/read", exchange{body: `{"id":1,"method":"resources/read","params":{"uri":"file:///a"}}`, reply: `{"id":1,"result":{}}`}, "mcp_resource_read success file:///a"},
	{"resources/subscribe", exchange{body: `{"id":1,"method":"resources/subscribe","params":{"uri":"file:///a"}}`, reply: `{"id":1,"result":{}}`}, "mcp_resource_subscribe success file:///a"},
	{"resources/unsubscribe", exchange{body: `{"id":1,"method":"resources/unsubscribe","params":{"uri":"file:///a"}}`, reply: `{"id":1,"result":{}}`}, "mcp_resource_unsubscribe success file:///a"},
	{"prompts/list", exchange{body: `{"id":1,"method":"prompts/list"}`, reply: `{"id":1,"result":{}}`}, "mcp_prompts_list success"},
	{"prompts/get", exchange{body: `{"id":1,"method":"prompts/get","params":{"name":"p"}}`, reply: `{"id":1,"result":{}}`}, "mcp_prompts_get success p"},
	{"completion of a prompt", exchange{body: `{"id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"}}}`, reply: `{"id":1,"result":{}}`}, "mcp_completion success p"},
	{"completion of a resource", exchange{body: `{"id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"x://{id}"}}}`, reply: `{"id":1,"result":{}}`}, "mcp_completion success x://{id}"},
	{"logging", exchange{body: `{"id":1,"method":"logging/setLevel","params":{"level":"debug"}}`, reply: `{"id":1,"result":{}}`}, "mcp_logging success debug"},
	{"tasks/get", exchange{body: `{"id":1,"method":"tasks/get","params":{"taskId":"t1"}}`, reply: `{"id":1,"result":{"status":"working"}}`}, "mcp_task success t1"},
	{"tasks/list", exchange{body: `{"id":1,"method":"tasks/list"}`, reply: `{"id":1,"result":{}}`}, "mcp_task success"},
	{"unknown method", exchange{body: `{"id":1,"method":"x/y"}`, status: 404, reply: `{"id":1,"error":{"code":-32601}}`}, "mcp_request failure method_not_found"},
	{"initialized", exchange{body: `{"method":"notifications/initialized"}`, status: 202}, "mcp_notification success"},
	{"cancelled", exchange{body: `{"method":"notifications/cancelled","params":{"requestId":"a\"b"}}`, status: 202}, `mcp_notification success "a\"b"`},
	{"roots changed", exchange{body: `{"method":"notifications/roots/list_changed"}`, status: 202}, "mcp_roots_list_changed success"},
	{"unknown notification", exchange{body: `{"method":"notifications/x"}`, status: 202}, "mcp_notification success"},
	{"refused notification", exchange{body: `{"method":"notifications/x"}`, status: 400, reply: `{"id":null,"error":{"code":-32600}}`}, "mcp_notification failure invalid_request"},
	{"call without id", exchange{body: `{"method":"tools/call","params":{"name":"echo"}}`, status: 202}, "mcp_tool_call error no_response echo"},
	{"client response", exchange{body: `{"id":3,"result":{"roots":[]}}`, status: 202}, "mcp_request success"},
	{"batch", exchange{body: `[` + callEcho + `]`, status: 400, reply: `{"id":null,"error":{"code":-32600}}`}, "mcp_request failure bad_request"},

	{"listen refused", exchange{body: `{"id":1,"method":"subscriptions/listen"}`, reply: "data: {\"id\":1,\"error\":{\"code\":-32601}}\n\n"}, "mcp_subscription failure method_not_found"},
	{"get refused", exchange{verb: "GET", header: "Accept: text/event-stream", status: 405}, "sse_connection failure method_not_allowed"},
	{"get with another accept", exchange{verb: "GET", header: "Accept: */*", status: 406}, "http_request failure not_acceptable"},
	{"get that asks for a stream and is given JSON", exchange{verb: "GET", header: "Accept: text/event-stream", reply: "{}"}, "http_request success"},
	{"get of a page", exchange{verb: "GET", reply: "ok", with: "Content-Type: text/plain"}, "http_request success"},
	{"delete", exchange{verb: "DELETE", header: "Mcp-Session-Id: s", status: 204}, "mcp_session_end success deleted"},
	{"delete refused", exchange{verb: "DELETE", header: "Mcp-Session-Id: s", status: 405}, "mcp_session_end failure method_not_allowed"},
	{"delete of something", exchange{verb: "DELETE", status: 404}, "http_request failure not_found"},
	{"options", exchange{verb: "OPTIONS", status: 204}, "http_request success"},
	{"no JSON", exchange{body: `{"id":`, status: 400, reply: `{"id":null,"error":{"code":-32700}}`}, "http_request failure parse_error"},
	{"form", exchange{header: "Content-Type: application/x-www-form-urlencoded", body: "a=b"}, "http_request success"},
	{"JSON that is no JSON-RPC", exchange{body: `{"redirect_uris":[]}`, status: 201, reply: `{"client_id":"x"}`}, "http_request success"},
}

func TestOutcome(t *testing.T) {
	for _, tt := range exchanges {
		t.Run(tt.name, func(t *testing.T) {
			w, tr := tt.x.run(t, Options{})
			if diff := cmp.Diff([]string{tt.want}, tr.lines()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if w.Body.String() != tt.x.reply {
				t.Errorf("the answer was changed: %q", w.Body)
			}
		})
	}
}

// TestEverySplit writes each answer in two pieces, cut at every byte.
func TestEverySplit(t *testing.T) {
	for _, tt := range exchanges {
		if len(tt.x.reply) > 4096 || tt.x.reply == "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			for i := range len(tt.x.reply) + 1 {
				a, tr := record(t, Options{})
				a.Wrap(halves{tt.x, i}).ServeHTTP(httptest.NewRecorder(), tt.x.request())
				if diff := cmp.Diff([]string{tt.want}, tr.lines()); diff != "" {
					t.Fatalf("split at %d: -want +got\n%s", i, diff)
				}
			}
		})
	}
}

// halves gives the answer in two writes.
type halves struct {
	exchange
	at int
}

func (x halves) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.exchange.ServeHTTP(&firstHalf{w, x.at}, r)
	_, _ = io.WriteString(w, x.reply[x.at:])
}

type firstHalf struct {
	http.ResponseWriter
	at int
}

func (w *firstHalf) Write(p []byte) (int, error) { return w.ResponseWriter.Write(p[:w.at]) }

// FuzzOutcome holds the streaming scanner against a reference that
// decodes the whole answer.
func FuzzOutcome(f *testing.F) {
	for _, tt := range exchanges {
		if tt.x.body == callEcho && len(tt.x.reply) < 4096 && !strings.HasPrefix(tt.x.reply, "data") {
			f.Add([]byte(tt.x.reply), uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, reply []byte, size uint8) {
		a, tr := record(t, Options{})
		a.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for piece := range slices.Chunk(reply, int(size)+1) {
				_, _ = w.Write(piece)
			}
		})).ServeHTTP(httptest.NewRecorder(), exchange{body: callEcho}.request())
		if got, want := tr.one(t).Reason, referenceReason(reply); got != want {
			t.Errorf("%q: reason %q, want %q", reply, got, want)
		}
	})
}

// referenceReason decodes the first JSON text as a map does: exact keys, the
// last one wins.
func referenceReason(reply []byte) emitter.Reason {
	var m map[string]json.RawMessage
	if json.NewDecoder(bytes.NewReader(reply)).Decode(&m) != nil || m == nil {
		return emitter.ReasonNoResponse
	}
	_, asks := m["method"]
	result, answers := m["result"]
	rpcError, fails := m["error"]
	fails = fails && string(rpcError) != "null"
	if asks || !answers && !fails {
		return emitter.ReasonNoResponse
	}
	var id any
	_ = json.Unmarshal(m["id"], &id)
	_, isText := id.(string)
	_, isNumber := id.(float64)
	if id != 7.0 && (!fails || isText || isNumber) {
		return emitter.ReasonNoResponse
	}
	if fails {
		var e map[string]json.RawMessage
		_ = json.Unmarshal(rpcError, &e)
		var code float64
		if json.Unmarshal(e["code"], &code) != nil || string(e["code"]) == "null" || code != float64(int64(code)) {
			return emitter.ReasonRPCError
		}
		if code == codeInternalError {
			return emitter.ReasonInternalError
		}
		return reasonOf(emitter.Of(int64(code)))
	}
	var r map[string]json.RawMessage
	_ = json.Unmarshal(result, &r)
	var kind string
	_ = json.Unmarshal(r["resultType"], &kind)
	switch task := bytes.TrimSpace(r["task"]); {
	case string(r["isError"]) == "true":
		return emitter.ReasonToolError
	case kind == "input_required":
		return emitter.ReasonInputRequired
	case kind == "task", len(task) > 0 && task[0] == '{':
		return emitter.ReasonTaskStarted
	}
	return ""
}

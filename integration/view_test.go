package integration

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// exchange is one HTTP request and its answer as a client sent and received
// them: bytes, and nothing that an SDK or vmcp-audit made of them.
type exchange struct {
	Client     string `json:"client"`
	Request    string `json:"request"` // X-Request-Id
	HTTP       string `json:"http"`
	Path       string `json:"path"`
	Session    string `json:"session"` // Mcp-Session-Id of the request
	Version    string `json:"version"` // MCP-Protocol-Version of the request
	Body       string `json:"body"`
	Status     int    `json:"status"` // 0: no answer
	Type       string `json:"type"`   // Content-Type of the answer
	NewSession string `json:"newSession"`
	Answer     string `json:"answer"`
	End        string `json:"end"` // eof, closed by the client, or broken

	parsed *rpc // see sent
}

// step is one call of an SDK's interface and what it came to.
type step struct {
	Client  string `json:"client"`
	Method  string `json:"method"`
	Target  string `json:"target"`
	Outcome string `json:"outcome"` // ok, tool_error, rpc_error, cancelled
}

// view is all that the clients of a test saw.
type view struct {
	exchanges []*exchange
	steps     []step
}

// readView reads what a client in another process saw.
func readView(t testing.TB, path string) view {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var v view
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var kind struct{ Kind string }
		mustDecode(t, lines.Bytes(), &kind)
		if kind.Kind == "step" {
			var s step
			mustDecode(t, lines.Bytes(), &s)
			v.steps = append(v.steps, s)
			continue
		}
		x := new(exchange)
		mustDecode(t, lines.Bytes(), x)
		v.exchanges = append(v.exchanges, x)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return v
}

func mustDecode(t testing.TB, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v: %.200s", err, b)
	}
}

func (v *view) add(w view) {
	v.exchanges = append(v.exchanges, w.exchanges...)
	v.steps = append(v.steps, w.steps...)
}

// rpc is a JSON-RPC message.
type rpc struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name            string          `json:"name"`
		URI             string          `json:"uri"`
		Level           string          `json:"level"`
		TaskID          string          `json:"taskId"`
		RequestID       json.RawMessage `json:"requestId"`
		ProtocolVersion string          `json:"protocolVersion"`
		Ref             struct{ Name, URI string }
		ClientInfo      struct{ Name, Version string }
		Meta            map[string]json.RawMessage `json:"_meta"`
	} `json:"params"`
	Error *struct {
		Code    json.Number `json:"code"`
		Message string      `json:"message"`
	} `json:"error"`
	Result *struct {
		IsError         bool            `json:"isError"`
		ResultType      string          `json:"resultType"`
		Task            json.RawMessage `json:"task"`
		ProtocolVersion string          `json:"protocolVersion"`
		Action          string          `json:"action"`       // of an elicitation
		RequestState    json.RawMessage `json:"requestState"` // to be sent back
	} `json:"result"`

	size int
}

const metaPrefix = "io.modelcontextprotocol/"

func parseRPC(text string) (rpc, bool) {
	var m rpc
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &m) != nil {
		return rpc{}, false
	}
	m.size = len(text)
	return m, true
}

// unanswered reports whether the client went before it learnt anything.
func (x *exchange) unanswered() bool { return x.Status == 0 && x.End != broken }

// sent returns the JSON-RPC message of the request, the zero one for none.
func (x *exchange) sent() rpc {
	if x.parsed == nil {
		m, _ := parseRPC(x.Body)
		x.parsed = &m
	}
	return *x.parsed
}

// messages returns the JSON-RPC messages of an answer, whole ones only.
func (x *exchange) messages() []rpc {
	var out []rpc
	for _, text := range x.texts() {
		if m, ok := parseRPC(text); ok {
			out = append(out, m)
		}
	}
	return out
}

// texts returns the data of an event stream's events, or a body that is none.
func (x *exchange) texts() []string {
	if !strings.HasPrefix(x.Type, "text/event-stream") {
		return []string{x.Answer}
	}
	var out, data []string
	for line := range strings.Lines(x.Answer) {
		line = strings.TrimRight(line, "\r\n")
		if value, ok := strings.CutPrefix(line, "data:"); ok {
			data = append(data, strings.TrimPrefix(value, " "))
		}
		if line == "" && data != nil {
			out = append(out, strings.Join(data, "\n"))
			data = nil
		}
	}
	return out
}

// sessionID returns the session that the exchange belongs to.
func (x *exchange) sessionID() string { return cmp.Or(x.Session, x.NewSession) }

// reply returns the JSON-RPC response to the exchange's own request. One
// without an id is the answer of a server that could not read it.
func (x *exchange) reply(request rpc) (rpc, bool) {
	for _, m := range x.messages() {
		if m.Method != "" || m.Error == nil && m.Result == nil {
			continue
		}
		if m.Error != nil && (m.ID == nil || string(m.ID) == "null") || bytes.Equal(m.ID, request.ID) {
			return m, true
		}
	}
	return rpc{}, false
}

// line says in short what the client saw, for people.
func (x *exchange) line() string {
	request := x.sent()
	request.Method = cmp.Or(request.Method, x.HTTP)
	what := "no answer"
	if reply, ok := x.reply(request); ok {
		what = "result"
		if reply.Error != nil {
			what = "error " + reply.Error.Code.String()
		} else if reply.Result.IsError {
			what = "isError"
		}
	}
	b, _ := json.Marshal(map[string]any{
		"request": x.Request, "method": request.Method, "id": request.ID, "target": targetOf(request),
		"session": x.sessionID(), "status": x.Status, "saw": what, "end": x.End,
	})
	return string(b)
}

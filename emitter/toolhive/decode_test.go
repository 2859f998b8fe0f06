package toolhive

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestDecode reads lines that ToolHive wrote (Apache-2.0) and compares the events
// with those in the file beside them.
func TestDecode(t *testing.T) {
	var got []byte
	for _, line := range realLines(t) {
		e, err := Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		got = append(emitter.AppendEvent(got, e), '\n')
	}
	const golden = "testdata/events.jsonl"
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func realLines(t testing.TB) [][]byte {
	t.Helper()
	page, err := os.ReadFile("testdata/toolhive.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(page), []byte("\n"))
}

// TestNothingIsLost finds every value of a line in its event, whatever has become
// of the names.
func TestNothingIsLost(t *testing.T) {
	odd := []string{
		`{"type":"mcp_tool_call","outcome":"strange","logged_at":"2026-11-22T13:39:50+01:00","later":{"a":[1,2.50]},"target":{"shape":"round","name":` + quoted(strings.Repeat("n", 600)) + `},"source":"none"}`,
		`{"type":"a_new_one","outcome":"denied","logged_at":"2026-11-22T13:39:50.000000Z","source":{"type":"network","value":"no address","extra":{"x":1e400}},"subjects":{"user":"anonymous","user_id":"nobody","team":"red"}}`,
		`{"type":"audit_loss","outcome":"error","logged_at":"2026-11-22T13:39:50.000000Z","delegation":{"chain":[{"iss":"i","sub":"s"}],"truncated":true,"omitted":3},"metadata":{"extra":{"duration_ms":1.5,"response_size_bytes":7}},"data":{"request":"text","response":[1],"more":{}}}`,
		`{"type":"mcp_ping","outcome":"error","logged_at":"2026-11-22T13:39:50.000000Z","delegation":{"chain":["no actor"]},"component":"c\ud800"}`,
	}
	for _, line := range append(realLines(t), bytes.Split([]byte(strings.Join(odd, "\n")), []byte("\n"))...) {
		e, err := Decode(line)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out := emitter.AppendEvent(nil, e)
		have := leaves(t, out)
		for value := range leaves(t, line) {
			if !have[value] && value != `"AUDIT"` && value != `"audit_event"` {
				t.Errorf("%s is lost:\n%s\n%s", value, line, out)
			}
		}
	}
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

// leaves returns the strings, numbers and words of a JSON text.
func leaves(t *testing.T, text []byte) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, in := range v {
				walk(in)
			}
		case []any:
			for _, in := range v {
				walk(in)
			}
		default:
			b, _ := json.Marshal(v)
			all[string(b)] = true
		}
	}
	walk(v)
	return all
}

func line(members string) []byte {
	return []byte(`{"time":"2026-11-22T13:39:50.1Z","level":"AUDIT","msg":"audit_event","audit_id":"a","type":"mcp_tool_call","logged_at":"2026-11-22T13:39:50.1Z","outcome":"success","component":"c",` + members + `}`)
}

func TestOutcome(t *testing.T) {
	tests := []struct {
		typ, outcome, extra string
		want                string
	}{
		{"mcp_tool_call", "success", ``, "mcp_tool_call success "},
		{"mcp_tool_call", "application_error", `"jsonrpc_error_code":-32603`, "mcp_tool_call error internal_error"},
		{"mcp_tool_call", "application_error", `"jsonrpc_error_code":0`, "mcp_tool_call failure rpc_error"},
		{"mcp_tool_call", "application_error", ``, "mcp_tool_call failure rpc_error"},
		{"mcp_prompt_get", "application_error", `"jsonrpc_error_code":-32602`, "mcp_prompts_get failure invalid_params"},
		{"mcp_ping", "failure", ``, "mcp_ping failure bad_request"},
		{"mcp_ping", "denied", ``, "mcp_ping denied "},
		{"mcp_ping", "error", ``, "mcp_ping error http_error"},
		{"mcp_ping", "perhaps", ``, "mcp_ping error other"},
		{"vmcp_workflow_started", "success", ``, "vmcp_composite_workflow pending "},
		{"vmcp_workflow_completed", "success", ``, "vmcp_composite_workflow success "},
		{"vmcp_workflow_timed_out", "failure", ``, "vmcp_composite_workflow failure "},
		{"vmcp_workflow_step_started", "success", ``, "vmcp_composite_step pending "},
		{"vmcp_workflow_step_skipped", "success", ``, "vmcp_composite_step success "},
		{"never_seen", "success", ``, "mcp_request success "},
		{"audit_stop", "success", ``, "mcp_request success "},
	}
	for _, tt := range tests {
		in := fmt.Sprintf(`{"type":%q,"outcome":%q,"logged_at":"2026-11-22T13:39:50Z","metadata":{"extra":{%s}}}`, tt.typ, tt.outcome, tt.extra)
		e, err := Decode([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(e.Type, " ", e.Outcome, " ", e.Reason); got != tt.want {
			t.Errorf("%s: got %s, want %s", in, got, tt.want)
		}
		if e.Severity != emitter.SeverityOf(e) || e.Metadata.Extra.Origin != "toolhive" || e.Component != "toolhive" {
			t.Errorf("%s: %s", in, emitter.AppendEvent(nil, e))
		}
	}
}

// TestReply: a recorded answer that tells of a failure is believed before the
// outcome that ToolHive made of the HTTP status.
func TestReply(t *testing.T) {
	tests := []struct{ typ, outcome, response, want string }{
		{"mcp_tool_call", "success", `{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}`, "failure tool_error"},
		{"mcp_tool_call", "success", `{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}`, "success "},
		{"mcp_tool_call", "success", `"event: message\ndata: {\"method\":\"notifications/progress\"}\n\nevent: message\ndata: {\"result\":{\"isError\":true}}\n\n"`, "failure tool_error"},
		{"mcp_tool_call", "success", `{"error":{"code":-32602,"message":"m"}}`, "failure invalid_params"},
		{"mcp_resource_read", "success", `{"error":{"code":-32603}}`, "error internal_error"},
		{"mcp_resource_read", "success", `{"error":{}}`, "failure rpc_error"},
		{"mcp_resource_read", "success", `{"result":{"isError":true}}`, "success "}, // means nothing there
		{"mcp_tool_call", "success", `"{\"result\":{\"isError\":true,\"cont"`, "success "},
		{"mcp_tool_call", "success", `[7]`, "success "},
		{"mcp_tool_call", "denied", `{"error":{"code":-32603}}`, "denied "},
	}
	for _, tt := range tests {
		e, err := Decode(fmt.Appendf(nil, `{"type":%q,"outcome":%q,"logged_at":"2026-11-22T13:39:50Z","data":{"response":%s}}`, tt.typ, tt.outcome, tt.response))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(e.Outcome, " ", e.Reason); got != tt.want {
			t.Errorf("%s %s: got %s, want %s", tt.typ, tt.response, got, tt.want)
		}
		if said := bytes.Contains(e.Data.Original, []byte(`"outcome":"success"`)); said != (tt.outcome == "success" && e.Outcome != "success") {
			t.Errorf("%s: original %s", tt.response, e.Data.Original)
		}
	}
}

func TestSubjectAndSession(t *testing.T) {
	tests := []struct {
		members string
		want    string // subject, method, session
	}{
		{`"subjects":{"user":"anonymous"}`, "{anonymous anonymous   } anonymous "},
		{`"subjects":{"user":"Anonymous User","user_id":"anonymous"}`, "{anonymous Anonymous User anonymous  } anonymous "},
		{`"subjects":{}`, "{anonymous    } anonymous "},
		{`"subjects":{"user":"anonymous","user_id":"nobody"}`, "{user  nobody  }  "},
		{`"subjects":{"user":"Alice","user_id":"u-1"}`, "{user Alice u-1  }  "},
		{`"subjects":{"user":"Alice"},"source":{"extra":{"session_id":"abc"}}`, "{user Alice   }  sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	}
	for _, tt := range tests {
		e, err := Decode(line(tt.members))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(e.Subjects, " ", e.Auth.Method, " ", e.Source.Extra.SessionID); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.members, got, tt.want)
		}
		if e.Auth.Verified || bytes.Contains(emitter.AppendEvent(nil, e), []byte(`"abc"`)) {
			t.Errorf("%s: %s", tt.members, emitter.AppendEvent(nil, e))
		}
	}
}

// TestID gives a line without an id the same one each time, and another line
// another.
func TestID(t *testing.T) {
	const text = `{"type":"mcp_ping","outcome":"success","logged_at":"2026-11-22T13:39:50Z","n":%d}`
	var ids []string
	for _, n := range []int{1, 1, 2} {
		e, err := Decode(fmt.Appendf(nil, text+"\r\n", n))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.AuditID)
	}
	if ids[0] != ids[1] || ids[0] == ids[2] || ids[0] != "749650b3-8435-8c90-8dfa-c59b97a55108" {
		t.Errorf("ids %v", ids)
	}
}

func TestTooLong(t *testing.T) {
	long := quoted(strings.Repeat("x", emitter.MaxData))
	e, err := Decode(line(`"data":{"request":` + long + `},"more":` + long))
	if err != nil {
		t.Fatal(err)
	}
	for path, v := range map[string]json.RawMessage{"request": e.Data.Request, "original": e.Data.Original} {
		if !bytes.Contains(v, []byte(" bytes, sha256:")) || len(v) > 150 {
			t.Errorf("%s: %.200s", path, v)
		}
	}
	if len(e.Redactions) != 2 || e.Redactions[0] != (emitter.Redaction{Path: "data.request", Rule: "cut"}) {
		t.Errorf("redactions %v", e.Redactions)
	}
}

func TestNoLine(t *testing.T) {
	for _, in := range []string{
		``, `x`, `[]`, `null`, `{}`, `{"type":"t","outcome":"o"}`, `{"type":"t","outcome":"o","logged_at":"yesterday"}`,
		`{"type":"t","outcome":"o","logged_at":"0001-01-01T00:00:00Z"}`, `{"type":7,"outcome":"o","logged_at":"2026-11-22T13:39:50Z"}`,
		`{"schema":"1.0","audit_id":"a","type":"mcp_ping","stage":"completed","logged_at":"2026-01-01T00:00:00Z","outcome":"success","severity":2}`,
	} {
		if e, err := Decode([]byte(in)); err == nil {
			t.Errorf("%s: %v", in, e)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, line := range realLines(f) {
		f.Add(line)
	}
	f.Add(line(`"target":null,"source":[],"delegation":{"chain":{}},"data":{"request":{"id":{}}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := Decode(in)
		if err != nil {
			return
		}
		out := emitter.AppendEvent(nil, e)
		if bytes.ContainsAny(out, "\r\n") {
			t.Fatalf("more than a line: %q", out)
		}
		again, err := emitter.Decode(out)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := emitter.AppendEvent(nil, again); !bytes.Equal(got, out) {
			t.Fatalf("read again:\n%s\n%s", out, got)
		}
	})
}

// TestSchema: what was read follows the published schema.
func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/event-1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range realLines(t) {
		e, err := Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		out := emitter.AppendEvent(nil, e)
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

package middleware_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

type kept []*emitter.Event

func (k *kept) Ready() error { return nil }

func (k *kept) Emit(_ context.Context, e *emitter.Event) error {
	*k = append(*k, e)
	return nil
}

// TestInner lets a handler say more than its answer does: why it has only an
// error, and by which transport the request really came.
func TestInner(t *testing.T) {
	for _, tt := range []struct{ answer, want string }{
		{`{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"m"}}`, "error upstream_unreachable stdio"},
		{`{"jsonrpc":"2.0","id":1,"result":{"isError":true}}`, "failure tool_error stdio"},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, "success  stdio"},
	} {
		var k kept
		h := middleware.HTTP(&k, middleware.Options{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			middleware.NoteFrom(r.Context()).Fail(emitter.ReasonUpstreamDown, "detail")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, tt.answer)
		}))
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`))
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(middleware.Via(r.Context(), "stdio")))
		if e := k[0]; string(e.Outcome)+" "+string(e.Reason)+" "+e.Metadata.Extra.Transport != tt.want {
			t.Errorf("%s: %s %s %s, want %s", tt.answer, e.Outcome, e.Reason, e.Metadata.Extra.Transport, tt.want)
		}
	}
}

func TestClean(t *testing.T) {
	const token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
	e := emitter.NewEvent(emitter.TypeBackendRoute)
	e.Target = emitter.Target{Type: "resource", Name: "https://user:canary@host/x?token=canary", Tool: token}
	e.Metadata.Extra.ErrorMessage = "Bearer " + token
	middleware.Clean(e)
	for _, s := range []string{e.Target.Name, e.Target.Tool, e.Metadata.Extra.ErrorMessage} {
		if strings.Contains(s, "canary") || strings.Contains(s, token) {
			t.Errorf("kept: %s", s)
		}
	}
	var where []string
	for _, r := range e.Redactions {
		where = append(where, r.Path)
	}
	want := []string{"target.name", "target.name", "target.tool", "metadata.extra.error_message"}
	if diff := cmp.Diff(want, where); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

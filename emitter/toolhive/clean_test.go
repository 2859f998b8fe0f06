package toolhive

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestSecrets plants a secret in every corner of a line.
func TestSecrets(t *testing.T) {
	in := line(`"subjects":{"user":"Alice"},"source":{"extra":{"session_id":"hunter2s","user_agent":"x token=hunter2a"}},` +
		`"target":{"type":"resource","name":"https://u:hunter2b@h/?sig=hunter2c","endpoint":"/cb?code=hunter2d"},` +
		`"metadata":{"extra":{"jsonrpc_error_message":"Bearer hunter2e refused"}},` +
		`"data":{"request":{"params":{"arguments":{"password":["hunter2f"],"n":1.50}}},"response":"data: {\"token\":\"hunter2g\"}"},` +
		`"later":{"api_key":{"a":"hunter2h"}}`)
	e, err := Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	out := emitter.AppendEvent(nil, e)
	if bytes.Contains(out, []byte("hunter2")) {
		t.Errorf("in clear: %s", out)
	}
	if want := `{"params":{"arguments":{"password":"[redacted:key]","n":1.50}}}`; string(e.Data.Request) != want {
		t.Errorf("request %s, want %s", e.Data.Request, want)
	}
	if want := "sha256:f721bdefab1681b571bae64f3b8e80a7c89609c77bd35d9f19a6a4a599c124ce"; e.Source.Extra.SessionID != want {
		t.Errorf("session %s, want %s", e.Source.Extra.SessionID, want)
	}
	want := []emitter.Redaction{
		{Path: "source.extra.user_agent", Rule: "pair"},
		{Path: "target.name", Rule: "userinfo"},
		{Path: "target.name", Rule: "uri_param"},
		{Path: "target.endpoint", Rule: "uri_param"},
		{Path: "metadata.extra.jsonrpc_error_message", Rule: "auth_scheme"},
		{Path: "data.request/params/arguments/password", Rule: "key"},
		{Path: "data.response", Rule: "pair"},
		{Path: "later.api_key", Rule: "key"},
	}
	if diff := cmp.Diff(want, e.Redactions); diff != "" {
		t.Errorf("redactions: -want +got\n%s", diff)
	}
}

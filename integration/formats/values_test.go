package formats

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
	"github.com/vmcp-audit/vmcp-audit/integration/receivers"
)

// What a rule looks for, by the names of docs/formats.md. An event goes through a
// receiver into its file, and from there to somebody else's parser.
func TestEventToFileToParser(t *testing.T) {
	full, hostile := formatstest.Full(), formatstest.Hostile()
	full.Severity = emitter.SeverityOf(full)
	for _, tt := range []struct {
		format formats.Name
		begin  string // of the record in the line
		parser string
		want   map[string]string // of full
		never  []string          // what hostile texts try to set
	}{
		{
			formats.NameCEF, "CEF:0|vmcp-audit|", "vector-cef",
			map[string]string{
				"deviceVendor": "vmcp-audit", "deviceProduct": "vmcp-audit", "deviceVersion": "0.3.0", "deviceEventClassId": "mcp_tool_call", "severity": "4",
				"rt": "1793626790678", "externalId": full.AuditID, "outcome": "failure", "reason": "tool_error", "act": "allow",
				"src": "203.0.113.9", "VmcpAuditPeerPort": "51234", "suser": "alice", "suid": "u-1", "sntdom": "acme", "spriv": "admin,a;b",
				"destinationServiceName": "github", "dhost": "mcp.internal", "dpt": "443", "requestMethod": "tools/call",
				"cs1": "github_create_issue", "cs1Label": "target", "cs2": "create_issue", "cs2Label": "tool", "cn1": "12", "cn1Label": "duration ms",
				"cn3": "41", "cn3Label": "seq", "cs6": full.Integrity.Hash, "cs6Label": "hash", "msg": `tool "x" failed`,
			},
			[]string{"src", "a", "x", "forged"},
		},
		{
			formats.NameLEEF, "LEEF:2.0|vmcp-audit|", "vector-leef",
			map[string]string{
				"devTime": "1793626790678", "auditId": full.AuditID, "cat": "failure", "sev": "4", "reason": "tool_error",
				"src": "203.0.113.9", "peerPort": "51234", "usrName": "alice", "accountName": "u-1", "dstHost": "mcp.internal", "dstPort": "443",
				"resource": "github_create_issue", "tool": "create_issue", "durationMs": "12", "seq": "41", "hash": full.Integrity.Hash, "msg": `tool "x" failed`,
			},
			[]string{"src", "a", "x", "g", "forged"},
		},
	} {
		for _, product := range products {
			t.Run(string(tt.format)+" "+string(product), func(t *testing.T) {
				sent := render(t, formats.Options{Format: tt.format, Header: formats.HeaderRFC5424, MaxSize: taken, Host: "gw"}, []*emitter.Event{full, hostile})
				_, file := through(t, product, receivers.Options{}, sent)
				for i, line := range file {
					file[i] = line[max(strings.Index(line, tt.begin), 0):]
				}
				parsed := foreign[map[string]string](t, tt.parser, file)
				got := make(map[string]string)
				for k := range tt.want {
					got[k] = parsed[0][k]
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s\n(-want +got):\n%s", file[0], diff)
				}
				for _, k := range tt.never {
					if v, forged := parsed[1][k]; forged {
						t.Errorf("a text has set %s=%s in\n%s", k, v, file[1])
					}
				}
			})
		}
	}
}

// The same for the structured data, as the receivers parse it.
func TestEventToStructuredData(t *testing.T) {
	full := formatstest.Full()
	full.Severity = emitter.SeverityOf(full)
	want := map[string]string{
		"audit_id": full.AuditID, "type": "mcp_tool_call", "outcome": "failure", "reason": "tool_error", "severity": "4", "seq": "41", "hash": full.Integrity.Hash,
		"src": "203.0.113.9", "user": "alice", "user_id": "u-1", "tenant": "acme", "server": "github", "server_host": "mcp.internal", "server_port": "443",
		"target": "github_create_issue", "tool": "create_issue", "method": "tools/call", "decision": "allow", "policies": "p-1,p-2", "duration_ms": "12",
	}
	for _, product := range products {
		got, _ := through(t, product, receivers.Options{}, render(t, formats.Options{Format: formats.NameRFC5424, MaxSize: taken}, []*emitter.Event{full}))
		params := make(map[string]string)
		for k := range want {
			params[k] = got[0].Params[formats.DefaultSDID+"."+k]
		}
		if diff := cmp.Diff(want, params); diff != "" {
			t.Errorf("%s (-want +got):\n%s", product, diff)
		}
	}
}

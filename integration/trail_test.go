package integration

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
)

// trail is what an audit file says, in its order.
type trail []*emitter.Event

// readTrail reads an audit file, without the audit's own events. Every line must
// be an event in its canonical form, and linked to the one before.
func readTrail(t testing.TB, path string) trail {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		t.Errorf("the last line of the audit file is not ended: %q", b[bytes.LastIndexByte(b, '\n')+1:])
	}
	var tr trail
	for line := range bytes.Lines(b) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		e, err := emitter.Decode(line)
		if err != nil {
			t.Errorf("%v: %s", err, line)
			continue
		}
		if again := emitter.AppendEvent(nil, e); !bytes.Equal(again, line) {
			t.Errorf("event is not canonical\n got %s\nwant %s", line, again)
		}
		if !strings.HasPrefix(string(e.Type), "audit_") {
			tr = append(tr, e)
		}
	}
	var v chain.Verifier
	if _, err := v.Lines(t.Context(), path, bytes.NewReader(b)); err != nil {
		t.Error(err)
	}
	if r := v.Report(); !r.OK() {
		t.Errorf("the chain does not verify: %+v", r)
	}
	return tr
}

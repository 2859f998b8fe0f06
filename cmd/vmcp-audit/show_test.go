package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/admin"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":         "",
		"ä b":      "ä b",
		"a\x1b[2J": `"a\x1b[2J"`,
		"a\x9b2J":  `"a\x9b2J"`, // a command to a terminal that does not know UTF-8
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestStatusOfHostileSpool shows what somebody wrote into the folder.
func TestStatusOfHostileSpool(t *testing.T) {
	const hostile = "\x1b[2J"
	var out bytes.Buffer
	p := &program{stdout: &out}
	err := p.printStatus(&inspect.Status{Dir: hostile, Routes: []inspect.Route{
		{Name: hostile, State: hostile, Reason: hostile, Error: hostile},
	}}, time.Now())
	if err != nil || strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), `"\x1b[2J"`) != 5 {
		t.Errorf("%v, %q", err, out.String())
	}
}

// TestOpenCallsAreBounded has more of them in bytes than are remembered.
func TestOpenCallsAreBounded(t *testing.T) {
	calls := newOpenCalls()
	line := make([]byte, maxOpenBytes/4)
	take := func(id string, stage emitter.Stage) {
		e := &emitter.Event{Stage: stage, AuditID: id}
		if stage == emitter.StageReceived {
			e.Trace.ParentAuditID = id
		}
		calls.take(e, &read{line: line})
	}
	for _, id := range []string{"a", "a", "b", "c", "d", "e"} {
		take(id, emitter.StageReceived)
	}
	if len(calls.list()) != 4 || calls.left != 1 {
		t.Errorf("%d calls, %d left", len(calls.list()), calls.left)
	}
	take("b", emitter.StageCompleted)
	take("never", emitter.StageCompleted)
	take("f", emitter.StageReceived)
	if len(calls.list()) != 4 || calls.left != 1 || calls.bytes != maxOpenBytes {
		t.Errorf("%d calls, %d left, %d bytes", len(calls.list()), calls.left, calls.bytes)
	}
}

// TestAgreed holds that nothing but what was agreed to is done.
func TestAgreed(t *testing.T) {
	dir := t.TempDir()
	if err := writeSpool(dir); err != nil {
		t.Fatal(err)
	}
	p := &program{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	cmd := p.spoolForget()
	cmd.SetContext(t.Context())
	a := act{
		plan: func(ctx context.Context, dir, route string) (*admin.Plan, error) {
			return admin.PlanForget(ctx, dir, route, false)
		},
		do: func(context.Context, *admin.Spool, *admin.Plan) (*admin.Sent, error) {
			t.Error("it was done")
			return nil, nil
		},
	}
	err := p.do(cmd, actOptions{}, dir, "hec", "forget hec: 6 events not delivered\n", a)
	if err == nil || !strings.Contains(err.Error(), "has changed meanwhile; now it would be:\nforget hec: 7 events") {
		t.Errorf("%v", err)
	}
}

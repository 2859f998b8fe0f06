package formats

import (
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func sample() *emitter.Event {
	e := emitter.NewEvent(emitter.TypeToolCall)
	e.Conclude(emitter.OutcomeFailure, emitter.ReasonToolError)
	e.LoggedAt = time.Date(2026, 11, 22, 13, 39, 50, 678166000, time.UTC)
	e.Target.Name, e.Target.Tool = "github_create_issue", "create_issue"
	e.Subjects.User = "alice"
	e.Source.Value = "203.0.113.9"
	e.Metadata.Extra.DurationMS = emitter.Of(12)
	return e
}

func TestCompact(t *testing.T) {
	tests := []struct {
		name   string
		change func(*emitter.Event)
		want   string
	}{
		{"full", func(*emitter.Event) {}, "13:39:50.678 failure mcp_tool_call     github_create_issue->create_issue tool_error 12ms alice@203.0.113.9"},
		{"bare", func(e *emitter.Event) { *e = emitter.Event{Type: "t", Outcome: "o"} }, "00:00:00.000 o       t                 -"},
		{"loss", func(e *emitter.Event) {
			*e = *emitter.NewLoss(emitter.Loss{FirstSeq: 5, LastSeq: 9, Count: 3, Cause: "spool_full"})
		}, "00:00:00.000 error   audit_loss        3 of seqs 5 to 9 spool_full -"},
		{"hostile", func(e *emitter.Event) {
			e.Target.Name, e.Target.Tool = "a\x1b[2J\nb", ""
			e.Subjects.User = "bob@1.2.3.4 x"
			e.Metadata.Extra.ErrorMessage = "say \"hi\"\r"
		}, `13:39:50.678 failure mcp_tool_call     "a\x1b[2J\nb" tool_error 12ms "bob@1.2.3.4 x"@203.0.113.9 "say \"hi\"\r"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := sample()
			tt.change(e)
			if got := string(Compact(nil, e)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func FuzzCompact(f *testing.F) {
	f.Add("a b", "\u202e\u2028\x9b", "\xff\x00")
	f.Fuzz(func(t *testing.T, name, user, message string) {
		e := sample()
		e.Target.Name, e.Subjects.User, e.Metadata.Extra.ErrorMessage = name, user, message
		line := Compact(nil, e)
		if !utf8.Valid(line) {
			t.Fatalf("no UTF-8: %q", line)
		}
		for _, r := range string(line) {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q in %q", r, line)
			}
		}
	})
}

func TestJSONIsTheStoredBytes(t *testing.T) {
	line := `{"schema":"1.0","audit_id":"a","type":"mcp_ping","stage":"completed","logged_at":"2026-01-01T00:00:00.000000Z","outcome":"success","severity":2,"later":1}`
	e, err := emitter.Decode([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(JSON([]byte("x"), e)); got != "x"+line {
		t.Errorf("got %s", got)
	}
	e.Integrity = emitter.Integrity{Stream: "s", Seq: 7, Prev: "p", Hash: "h"}
	placed := line[:len(line)-1] + `,"integrity":{"stream":"s","seq":7,"prev":"p","hash":"h"}}`
	if got := string(JSON([]byte("x"), e)); got != "x"+placed {
		t.Errorf("with its place: %s", got)
	}
	fresh := sample()
	if got, want := string(JSON(nil, fresh)), string(emitter.AppendEvent(nil, fresh)); got != want {
		t.Errorf("an event under construction: %s, want %s", got, want)
	}
}

package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/admin"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// fill makes a spool with n events of 20 kB, in segments of six or so; each of the
// cursors has confirmed so many. The spool is closed.
func fill(t *testing.T, n int, cursors map[string]int) string {
	t.Helper()
	dir := t.TempDir()
	s, err := spool.Open(dir, spool.Options{MaxSize: spool.MinMaxSize, MinFree: -1, Reserved: -1})
	if err != nil {
		t.Fatal(err)
	}
	for name := range cursors {
		confirm(t, s, name, 0)
	}
	for range n {
		e := emitter.NewEvent(emitter.TypeToolCall)
		e.LoggedAt = time.Now().UTC()
		e.Conclude(emitter.OutcomeSuccess, "")
		e.Data.Request = fmt.Appendf(nil, "%q", strings.Repeat("x", 20<<10))
		if _, err := s.Append(t.Context(), spool.Preferred, emitter.AppendEvent(nil, e)); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range cursors {
		confirm(t, s, name, n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func confirm(t *testing.T, s *spool.Spool, name string, n int) {
	t.Helper()
	c, err := s.Cursor(name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n == 0 {
		return
	}
	batch, err := c.Next(t.Context(), spool.Limits{Records: n, Bytes: 1 << 30})
	if err != nil || len(batch) != n {
		t.Fatalf("%d records, %v", len(batch), err)
	}
	c.Confirm(batch[n-1].Seq)
}

func open(t *testing.T, dir string) *admin.Spool {
	t.Helper()
	s, err := admin.Open(dir, emitter.Options{Component: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// events returns what the spool holds, from the seq on.
func events(t *testing.T, dir string, from uint64) (list []*emitter.Event) {
	t.Helper()
	err := inspect.Walk(t.Context(), dir, new(spool.Position), func(_ *spool.Log, rec spool.Record) error {
		e, err := emitter.Decode(rec.Payload)
		if err == nil && rec.Seq >= from {
			list = append(list, e)
		}
		return err
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wantTold holds that the spool ends with two events of the act.
func wantTold(t *testing.T, dir string, outcome emitter.Outcome, plan *admin.Plan) {
	t.Helper()
	all := events(t, dir, 0)
	if len(all) < 2 {
		t.Fatalf("%d events", len(all))
	}
	begin, end := all[len(all)-2], all[len(all)-1]
	for _, e := range []*emitter.Event{begin, end} {
		var told admin.Plan
		if err := json.Unmarshal(e.Data.Request, &told); err != nil {
			t.Fatal(err)
		}
		want := *plan
		want.Dir = ""
		if diff := cmp.Diff(want, told, cmpopts.IgnoreUnexported(admin.Plan{})); diff != "" {
			t.Errorf("told: -want +got\n%s", diff)
		}
		if e.Type != emitter.TypeAuditAdmin || e.Subjects.Type != "user" || e.Subjects.UserID == "" || e.Component != "test" || e.Target.Name != plan.Route {
			t.Errorf("event %s", emitter.AppendEvent(nil, e))
		}
	}
	if begin.Outcome != emitter.OutcomePending || end.Outcome != outcome || end.Trace.ParentAuditID != begin.AuditID {
		t.Errorf("outcomes %s and %s", begin.Outcome, end.Outcome)
	}
}

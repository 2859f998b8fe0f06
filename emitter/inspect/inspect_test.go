package inspect_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
	"github.com/vmcp-audit/vmcp-audit/emitter/inspect"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

var someTime = time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)

func openSpool(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, spool.Options{MaxSize: spool.MinMaxSize, MinFree: -1, Reserved: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// store appends events of a call, of about size bytes each.
func store(t *testing.T, s *spool.Spool, n, size int) {
	t.Helper()
	for range n {
		e := emitter.NewEvent(emitter.TypeToolCall)
		e.Conclude(emitter.OutcomeSuccess, "")
		e.Data.Request = fmt.Appendf(nil, "%q", strings.Repeat("x", size))
		storeEvent(t, s, e)
	}
}

func storeEvent(t *testing.T, s *spool.Spool, e *emitter.Event) {
	t.Helper()
	e.LoggedAt = someTime
	if _, err := s.Append(t.Context(), spool.Preferred, emitter.AppendEvent(nil, e)); err != nil {
		t.Fatal(err)
	}
}

// confirm makes the cursor of that name confirm n records more.
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

func read(t *testing.T, dir string, quota int64) *inspect.Status {
	t.Helper()
	s, err := inspect.Read(t.Context(), dir, quota, time.Now().Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// heard returns an event in which a process speaks of its routes.
func heard(typ emitter.Type, stream string, routes ...emitter.RouteStatus) *emitter.Event {
	e := emitter.NewEvent(typ)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Status = emitter.Status{Stream: stream, Routes: routes}
	return e
}

// TestStatus follows two routes: one is blocked, one is up, and one is of a
// destination that was removed.
func TestStatus(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	for _, name := range []string{"file", "hec", "old"} {
		confirm(t, s, name, 0)
	}
	store(t, s, 2, 100)
	stream := s.Stream().String()
	up := emitter.RouteStatus{Name: "file", State: "up"}
	storeEvent(t, s, heard(emitter.TypeAuditStart, stream, up, emitter.RouteStatus{Name: "hec", State: "up"}))
	fault := heard(emitter.TypeAuditSink, stream, emitter.RouteStatus{Name: "hec", State: "blocked"})
	fault.Conclude(emitter.OutcomeError, emitter.ReasonBlocked)
	fault.Metadata.Extra.DurationMS, fault.Metadata.Extra.ErrorMessage = emitter.Of(5000), "status 403"
	storeEvent(t, s, fault)
	storeEvent(t, s, heard(emitter.TypeAuditHeartbeat, stream, up, emitter.RouteStatus{Name: "hec", State: "blocked"}))
	foreign := heard(emitter.TypeAuditHeartbeat, "another spool", emitter.RouteStatus{Name: "hec", State: "up"})
	storeEvent(t, s, foreign)
	confirm(t, s, "file", 5)
	if err := s.SetAside("dead/hec", "00000000000000000001.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}

	got := read(t, dir, 1<<20)
	want := []inspect.Route{
		{Name: "file", State: inspect.StateUp, Confirmed: 5, Pending: 1, AsOf: someTime},
		{
			Name: "hec", State: inspect.StateBlocked, Pending: 6, AsOf: someTime, DeadLetters: 1, DeadBytes: 2,
			Reason: "destination_refuses", Error: "status 403", Since: someTime.Add(-5 * time.Second),
		},
		{Name: "old", State: inspect.StateUnused, Pending: 6},
	}
	volatile := cmpopts.IgnoreFields(inspect.Route{}, "PendingBytes", "OldestPending")
	if diff := cmp.Diff(want, got.Routes, volatile); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got.Routes[1].OldestPending != got.Oldest || got.Routes[0].OldestPending != got.Newest || got.Oldest.IsZero() {
		t.Errorf("oldest %v, newest %v, routes %+v", got.Oldest, got.Newest, got.Routes)
	}
	if a, b := got.Routes[0].PendingBytes, got.Routes[1].PendingBytes; a <= 0 || b <= 5*a {
		t.Errorf("%d and %d bytes are pending", a, b)
	}
	if got.FirstSeq != 1 || got.LastSeq != 6 || got.Records != 6 || got.Writer.PID != os.Getpid() || !got.Writer.Running {
		t.Errorf("status %+v", got)
	}
	if used := s.Stats().Used; got.Bytes != used {
		t.Errorf("%d bytes, and the writer counts %d", got.Bytes, used)
	}
	if got.SecondsToFull == nil || *got.SecondsToFull <= 0 || got.BytesPerSecond <= 0 {
		t.Errorf("rate %v, full in %v", got.BytesPerSecond, got.SecondsToFull)
	}
	if got := read(t, dir, 0); got.SecondsToFull != nil {
		t.Error("the time to full is known without a quota")
	}

	// The fault is over, then nobody delivers any more.
	storeEvent(t, s, heard(emitter.TypeAuditSink, stream, emitter.RouteStatus{Name: "hec", State: "up"}))
	if r := read(t, dir, 0).Routes[1]; r.State != inspect.StateUp || r.Error != "" || !r.Since.IsZero() {
		t.Errorf("recovered: %+v", r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got = read(t, dir, 0)
	if got.Writer.Running || got.Routes[0].State != inspect.StateStopped {
		t.Errorf("stopped: %+v", got)
	}
}

func TestStatusOfNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := inspect.Read(t.Context(), dir, 0, someTime); !os.IsNotExist(unwrap(err)) {
		t.Errorf("of no spool: %v", err)
	}
	openSpool(t, dir)
	if got := read(t, dir, 0); got.Records != 0 || got.FirstSeq != 0 || got.Routes == nil {
		t.Errorf("of an empty one: %+v", got)
	}
}

func unwrap(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	store(t, s, 16, 20<<10)
	list, err := inspect.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := states(list); got != "kept kept newest" {
		t.Errorf("without a route: %s", got)
	}
	confirm(t, s, "a", 0)
	confirm(t, s, "b", int(list.Segments[1].LastSeq)) // all of two segments
	letter := `{"route":"b","seq":3,"time":"2026-11-22T13:00:00Z","error":"status 400","event":` +
		`{"schema":"1.0","audit_id":"x","type":"mcp_ping","stage":"completed","logged_at":"2026-11-22T13:00:00Z","outcome":"success"}}`
	for name, content := range map[string]string{"3.json": letter, "4.json": "broken", "5.json.new": "half"} {
		if err := s.SetAside("dead/b", name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetAside("quarantine", "0000000001-0000004096.bin", []byte("??")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAside(emitter.AsideLines, "stdin-1.jsonl", []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	if list, err = inspect.List(dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]inspect.AsideLines{{Path: "aside/stdin-1.jsonl", Bytes: 3}}, list.Aside, cmpopts.IgnoreFields(inspect.AsideLines{}, "Last")); diff != "" {
		t.Errorf("lines kept aside: -want +got\n%s", diff)
	}
	if got := states(list); got != "held:a held:a newest" {
		t.Errorf("states %s", got)
	}
	first := list.Segments[0]
	if first.Number != 1 || first.FirstSeq != 1 || first.LastSeq+1 != list.Segments[1].FirstSeq ||
		first.Until != list.Segments[1].Created || first.Created.IsZero() {
		t.Errorf("first segment %+v", first)
	}
	wantLetters := []inspect.DeadLetter{
		{Route: "b", Seq: 3, Time: someTime, Type: emitter.TypePing, ID: "x", Bytes: int64(len(letter)), Error: "status 400", Path: "dead/b/3.json"},
		{Route: "b", Seq: 4, Bytes: 6, Path: "dead/b/4.json"},
	}
	if diff := cmp.Diff(wantLetters, list.DeadLetters, cmpopts.IgnoreFields(inspect.DeadLetter{}, "Unread")); diff != "" {
		t.Errorf("dead letters: -want +got\n%s", diff)
	}
	if list.DeadLetters[1].Unread == "" {
		t.Error("a broken dead letter was read")
	}
	wantAside := []inspect.SetAside{{Path: "quarantine/0000000001-0000004096.bin", Segment: 1, Offset: 4096, Bytes: 2}}
	if diff := cmp.Diff(wantAside, list.Quarantine, cmpopts.IgnoreFields(inspect.SetAside{}, "Found")); diff != "" {
		t.Errorf("quarantine: -want +got\n%s", diff)
	}
}

func states(list *inspect.Listing) string {
	var words []string
	for _, s := range list.Segments {
		word := string(s.State)
		if len(s.HeldBy) > 0 && s.State != inspect.SegmentNewest {
			word += ":" + strings.Join(s.HeldBy, "+")
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	store(t, s, 10, 20<<10)
	tests := []struct {
		name string
		in   inspect.Range
		want []uint64
	}{
		{"all", inspect.Range{}, []uint64{1, 10}},
		{"from", inspect.Range{First: 8}, []uint64{8, 10}},
		{"to", inspect.Range{Last: 3}, []uint64{1, 3}},
		{"between", inspect.Range{First: 4, Last: 4}, []uint64{4, 4}},
		{"behind", inspect.Range{First: 11}, nil},
		{"since", inspect.Range{Since: time.Now().Add(-time.Hour)}, []uint64{1, 10}},
		{"in the future", inspect.Range{Since: time.Now().Add(time.Hour)}, nil},
		{"until", inspect.Range{Until: time.Now().Add(-time.Hour)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			n, err := inspect.Export(t.Context(), dir, tt.in, &out, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			v := &chain.Verifier{}
			if _, err := v.Lines(t.Context(), "export", &out); err != nil {
				t.Fatal(err)
			}
			r := v.Report()
			if len(tt.want) == 0 {
				if n != 0 || len(r.Streams) > 0 {
					t.Errorf("%d records, %+v", n, r)
				}
				return
			}
			if !r.OK() || r.Streams[0].First != tt.want[0] || r.Streams[0].Last != tt.want[1] || n != r.Streams[0].Records {
				t.Errorf("%d records, %+v", n, r)
			}
		})
	}
}

// TestExportBesideDamage holds that only what is damaged in the range counts.
func TestExportBesideDamage(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	store(t, s, 3, 100)
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, names[0], 4200, "damage")
	for _, tt := range []struct {
		in   inspect.Range
		want []string
	}{
		{inspect.Range{}, []string{"1 to 1"}},
		{inspect.Range{Last: 1}, []string{"1 to 1"}},
		{inspect.Range{First: 2}, nil},
		{inspect.Range{First: 2, Last: 2}, nil},
	} {
		var odd []string
		_, err := inspect.Export(t.Context(), dir, tt.in, io.Discard, func(err error) {
			_, seqs, _ := strings.Cut(err.Error(), "seqs ")
			odd = append(odd, seqs)
		})
		if diff := cmp.Diff(tt.want, odd); diff != "" || err != nil {
			t.Errorf("%+v: %v, -want +got\n%s", tt.in, err, diff)
		}
	}
}

// TestCheckWhileWritten holds that a cursor which moves on while we look is not
// taken for one that has confirmed more than there is.
func TestCheckWhileWritten(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	store(t, s, 1, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := s.Cursor("a")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		big := []byte(strings.Repeat("x", 40<<10))
		for range 150 {
			if _, err := s.Append(t.Context(), spool.Preferred, big); err != nil {
				t.Error(err)
				return
			}
			batch, err := c.Next(t.Context(), spool.Limits{Records: 100, Bytes: 1 << 30})
			if err != nil {
				t.Error(err)
				return
			}
			c.Confirm(batch[len(batch)-1].Seq)
			c.Save()
		}
	}()
	for {
		c, err := inspect.Check(t.Context(), dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Findings {
			if strings.Contains(c.Findings[i].Text, "the end is missing") {
				t.Fatal(c.Findings[i].Text)
			}
		}
		select {
		case <-ended:
			return
		default:
		}
	}
}

// TestCheckEmptySegment holds that the end is not missed where all records were
// delivered and removed, and the next one has not come yet.
func TestCheckEmptySegment(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(dir, spool.Options{MaxSize: 64 << 20, MinFree: -1, Reserved: -1})
	if err != nil {
		t.Fatal(err)
	}
	store(t, s, 100, 20<<10)
	confirm(t, s, "a", 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openSpool(t, dir) // with a quota that the only segment fills
	c, err := inspect.Check(t.Context(), dir, 0)
	if err != nil || len(c.Streams) > 0 || c.Found > 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestWalkWhileRemoved removes segments under a reader.
func TestWalkWhileRemoved(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	confirm(t, s, "a", 0)
	store(t, s, 30, 20<<10)
	var at spool.Position
	var got, odd []string
	err := inspect.Walk(t.Context(), dir, &at, func(_ *spool.Log, rec spool.Record) error {
		if len(got) == 0 {
			confirm(t, s, "a", 29)
		}
		got = append(got, fmt.Sprint(rec.Seq))
		return nil
	}, func(err error) { odd = append(odd, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	if len(odd) != 1 || !strings.Contains(odd[0], "were removed before they could be read") || got[0] != "1" || got[len(got)-1] != "30" || len(got) > 25 {
		t.Errorf("read %v, %v", got, odd)
	}
}

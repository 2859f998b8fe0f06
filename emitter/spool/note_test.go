package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func appendNoted(t *testing.T, s *Spool, notes []Note, payloads ...string) {
	t.Helper()
	var b [][]byte
	for _, p := range payloads {
		b = append(b, []byte(p))
	}
	if _, err := s.AppendNoted(context.Background(), Ordinary, notes, b...); err != nil {
		t.Fatal(err)
	}
}

func notesOf(s *Spool) map[string]string {
	m := map[string]string{}
	for _, n := range s.Notes() {
		m[n.Key] = string(n.Value)
	}
	return m
}

// TestNotes: the last value of a key counts, over restarts and crashes, and when
// the segments in which it was written are gone. Cursors and readers see records
// only, in one chain.
func TestNotes(t *testing.T) {
	disk := newMemDisk(1)
	opt := Options{disk: disk, segmentSize: 16 << 10, MinFree: -1}
	s, err := Open("/spool", opt)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Cursor("c")
	if err != nil {
		t.Fatal(err)
	}
	appendNoted(t, s, []Note{{"once", []byte("said")}, {"gone", []byte("soon")}})
	appendNoted(t, s, []Note{{"gone", nil}}, "first")
	const rounds = 40
	for i := range rounds {
		appendNoted(t, s, []Note{{"at", fmt.Append(nil, i)}}, strings.Repeat("x", 2000), strings.Repeat("y", 2000))
		batch, err := c.Next(t.Context(), Limits{Records: 100})
		if err != nil {
			t.Fatal(err)
		}
		c.Confirm(batch[len(batch)-1].Seq)
	}
	if st := s.Stats(); st.First < 10 || st.Last != 2*rounds+1 || st.Appended != 2*rounds+1 {
		t.Errorf("stats %+v", st)
	}
	want := map[string]string{"once": "said", "at": fmt.Sprint(rounds - 1)}
	if diff := cmp.Diff(want, notesOf(s)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, end := range []string{"crash", "close", "close again"} {
		if end == "crash" {
			disk = disk.crash()
		} else if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		opt.disk = disk
		if s, err = Open("/spool", opt); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, notesOf(s)); diff != "" {
			t.Errorf("after %s: -want +got\n%s", end, diff)
		}
		if string(s.Note("once")) != "said" || s.Note("gone") != nil {
			t.Errorf("after %s: %q %q", end, s.Note("once"), s.Note("gone"))
		}
		if s.Stats().Last != 2*rounds+1 || s.Stats().TornTails > 0 {
			t.Errorf("after %s: %+v", end, s.Stats())
		}
	}
	appendNoted(t, s, nil, "last")
	l, err := openLog(disk, "/spool")
	if err != nil {
		t.Fatal(err)
	}
	prev, last := Hash{}, uint64(0)
	for r, err := range l.Records() {
		if err != nil || last > 0 && (r.Seq != last+1 || r.Prev != prev) || r.Gap {
			t.Fatalf("after %d: %+v, %v", last, r, err)
		}
		prev, last = r.Link(l.Stream()), r.Seq
	}
	if last != 2*rounds+2 {
		t.Errorf("the log ends with %d", last)
	}
}

// TestNotesWithTornAppend: of an Append that was cut anywhere neither notes nor
// payloads are there.
func TestNotesWithTornAppend(t *testing.T) {
	disk := newMemDisk(1)
	opt := Options{disk: disk, segmentSize: 16 << 10, MinFree: -1}
	s, err := Open("/spool", opt)
	if err != nil {
		t.Fatal(err)
	}
	appendNoted(t, s, []Note{{"at", []byte("1")}}, "one")
	from := s.current.end
	appendNoted(t, s, []Note{{"at", []byte("2")}}, "two", "three")
	end, name := s.current.end, "/spool/"+s.current.name
	for cut := from; cut <= end; cut++ {
		torn := disk.clone()
		f := torn.names[name]
		for i := cut; i < end; i++ {
			f.live[i], f.durable[i] = 0, 0
		}
		opt.disk = torn
		s, err := Open("/spool", opt)
		if err != nil {
			t.Fatal(err)
		}
		want, last := "1", uint64(1)
		if cut == end {
			want, last = "2", 3
		}
		found := uint64(0)
		l, err := openLog(torn, "/spool")
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range l.Records() {
			if err == nil && !r.Gap {
				found = r.Seq
			}
		}
		if got := string(s.Note("at")); got != want || found != last {
			t.Errorf("cut at %d of %d to %d: the note is %q and the last record %d, want %q and %d", cut, from, end, got, found, want, last)
		}
	}
}

// TestNotesAreBounded: what does not fit is refused, and nothing is stored.
func TestNotesAreBounded(t *testing.T) {
	s, err := Open(t.TempDir(), Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	big := make([]byte, MaxNotes/2)
	appendNoted(t, s, []Note{{"a", big}})
	for name, notes := range map[string][]Note{
		"too many": {{"b", big}}, "too large": {{"a", make([]byte, MaxNotes)}}, "no key": {{"", nil}}, "long key": {{strings.Repeat("k", 256), nil}},
	} {
		_, err := s.AppendNoted(context.Background(), Ordinary, notes, []byte("x"))
		if err == nil || strings.HasPrefix(name, "too") != errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	appendNoted(t, s, []Note{{"a", nil}, {"b", big}}, "x")
	if st := s.Stats(); st.Last != 1 || len(s.Notes()) != 1 {
		t.Errorf("%+v", st)
	}
}

// TestRefuseKeepsWhatTheDiskDid: with Refuse a write that failed loses nothing;
// the trail says which seqs are missing, and that none of them was given.
func TestRefuseKeepsWhatTheDiskDid(t *testing.T) {
	disk := newMemDisk(1)
	s, err := Open("/spool", Options{disk: disk, MinFree: -1, Full: Refuse})
	if err != nil {
		t.Fatal(err)
	}
	appendNoted(t, s, []Note{{"at", []byte("1")}}, "one")
	disk.failWith(func(op string, _ int) error {
		if op == "write" || op == "create" {
			return errInjected
		}
		return nil
	})
	if _, err := s.AppendNoted(context.Background(), Ordinary, []Note{{"at", []byte("2")}}, []byte("two")); !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
	disk.failWith(nil)
	if got := string(s.Note("at")); got != "1" {
		t.Errorf("note %q", got)
	}
	s.fault.again = s.fault.since
	appendNoted(t, s, []Note{{"at", []byte("2")}}, "two")
	l, err := openLog(disk, "/spool")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range l.Records() {
		if _, torn := errors.AsType[*DamageError](err); torn {
			continue
		}
		got = append(got, fmt.Sprintf("%d %s", r.Seq, r.Payload))
	}
	want := []string{"1 one", `3 {"first_seq":2,"last_seq":2,"count":0,"cause":"returned"}`, "4 two"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if st := s.Stats(); st.Dropped > 0 || st.Refused != 1 || string(s.Note("at")) != "2" {
		t.Errorf("%+v", st)
	}
}

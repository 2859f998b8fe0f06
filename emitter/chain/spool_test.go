package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

// gapEvent is what the spool's gap records say.
func gapEvent(g spool.Gap) []byte {
	e := emitter.NewLoss(emitter.Loss{FirstSeq: g.First, LastSeq: g.Last, Count: g.Count, Cause: string(g.Cause), Routes: g.Cursors})
	e.LoggedAt = someTime
	return emitter.AppendEvent(nil, e)
}

func openSpool(t *testing.T, dir string, opt spool.Options) *spool.Spool {
	t.Helper()
	opt.MinFree = -1
	s, err := spool.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func store(t *testing.T, s *spool.Spool, n, size int) (err error) {
	t.Helper()
	for i := range n {
		e := eventOf(fmt.Sprint("stored ", i))
		e.Metadata.Extra.ErrorMessage = strings.Repeat("ä", size/2)
		if _, err = s.Append(t.Context(), spool.Preferred, emitter.AppendEvent(nil, e)); err != nil && !errors.Is(err, spool.ErrFull) {
			t.Fatal(err)
		}
	}
	return err
}

func checkSpool(t *testing.T, dir string) *Report {
	t.Helper()
	l, err := spool.OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{}
	if err := v.Spool(t.Context(), "spool", l); err != nil {
		t.Fatal(err)
	}
	return v.Report()
}

// deliver writes what a cursor has not read yet to lines, as the JSON route does.
func deliver(t *testing.T, s *spool.Spool, c *spool.Cursor) string {
	t.Helper()
	var b []byte
	for c.Confirmed() < s.Stats().Last {
		batch, err := c.Next(t.Context(), spool.Limits{Records: 100, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			e, err := emitter.Decode(batch[i].Payload)
			if err != nil {
				t.Fatal(err)
			}
			e.Integrity = emitter.IntegrityOf(s.Stream(), &batch[i])
			b = append(formats.JSON(b, e), '\n')
		}
		c.Confirm(batch[len(batch)-1].Seq)
	}
	return string(b)
}

// TestSpoolAndDelivery fills a spool until it drops events, delivers, and
// verifies what stands in the spool and what came out of it.
func TestSpoolAndDelivery(t *testing.T) {
	dir := t.TempDir()
	opt := spool.Options{MaxSize: spool.MinMaxSize, Gap: gapEvent}
	s := openSpool(t, dir, opt)
	c, err := s.Cursor("file")
	if err != nil {
		t.Fatal(err)
	}
	if err := store(t, s, 2000, 500); !errors.Is(err, spool.ErrFull) {
		t.Fatalf("the spool is not full: %v", err)
	}
	file := deliver(t, s, c)
	if err := store(t, s, 3, 500); err != nil {
		t.Fatal(err)
	}
	wantFound(t, checkSpool(t, dir)) // in use
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSpool(t, dir, opt)
	if c, err = s.Cursor("file"); err != nil {
		t.Fatal(err)
	}
	if err := store(t, s, 3, 500); err != nil {
		t.Fatal(err)
	}
	file += deliver(t, s, c)
	whole, inSpool := check(t, &Verifier{}, file), checkSpool(t, dir)
	wantFound(t, whole)
	wantFound(t, inSpool)
	if len(whole.Gaps) != 1 || whole.Gaps[0].Cause != string(spool.CauseFull) || whole.Gaps[0].Missing < 100 {
		t.Errorf("gaps %+v", whole.Gaps)
	}
	if whole.Streams[0].Head != inSpool.Streams[0].Head || whole.Streams[0].Last != s.Stats().Last {
		t.Errorf("the file ends with %+v, the spool with %+v", whole.Streams[0], inSpool.Streams[0])
	}
}

// newSpool returns the folder of a closed spool of several segments.
func newSpool(t *testing.T, opt spool.Options) (dir string, segments []string) {
	t.Helper()
	dir = t.TempDir()
	opt.MaxSize = spool.MinMaxSize
	s := openSpool(t, dir, opt)
	store(t, s, 500, 500)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	return dir, segments
}

func TestSpoolChanged(t *testing.T) {
	dir, segments := newSpool(t, spool.Options{})
	b, err := os.ReadFile(segments[1])
	if err != nil {
		t.Fatal(err)
	}
	at := 4096 + bytes.Index(b[4096:], []byte("success"))
	b[at] ^= 1
	if err := os.WriteFile(segments[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := checkSpool(t, dir)
	if len(r.Problems) != 1 || r.Problems[0].Kind != Changed || r.Problems[0].First != r.Problems[0].Last ||
		r.Problems[0].At.Name != filepath.Join("spool", filepath.Base(segments[1])) {
		t.Errorf("problems %v", r.Problems)
	}
	// A cursor that finds it tells it in the spool: then it is a named gap.
	s := openSpool(t, dir, spool.Options{MaxSize: 2 * spool.MinMaxSize, Gap: gapEvent})
	if _, err := s.Cursor("slow"); err != nil { // holds what is there
		t.Fatal(err)
	}
	c, err := s.Cursor("file")
	if err != nil {
		t.Fatal(err)
	}
	file := deliver(t, s, c)
	wantFound(t, check(t, &Verifier{}, file))
	r = checkSpool(t, dir)
	wantFound(t, r)
	if len(r.Gaps) != 1 || r.Gaps[0].Cause != string(spool.CauseDamaged) {
		t.Errorf("gaps %+v", r.Gaps)
	}
}

func TestSpoolWithoutASegment(t *testing.T) {
	dir, segments := newSpool(t, spool.Options{})
	if err := os.Remove(segments[1]); err != nil {
		t.Fatal(err)
	}
	r := checkSpool(t, dir)
	if len(r.Problems) != 1 || r.Problems[0].Kind != Lost {
		t.Errorf("a segment in the middle: %v", r.Problems)
	}
	if err := os.Remove(segments[0]); err != nil {
		t.Fatal(err)
	}
	r = checkSpool(t, dir)
	wantFound(t, r) // that is what removing delivered ones looks like
	if r.Streams[0].First == 1 {
		t.Errorf("the beginning: %+v", r.Streams[0])
	}
}

// TestSpoolOwnGapRecords verifies gap records that are no events.
func TestSpoolOwnGapRecords(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, spool.Options{MaxSize: spool.MinMaxSize})
	c, err := s.Cursor("file")
	if err != nil {
		t.Fatal(err)
	}
	store(t, s, 2000, 500)
	batch, err := c.Next(t.Context(), spool.Limits{Records: 1000, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c.Confirm(batch[len(batch)-1].Seq)
	if err := store(t, s, 3, 500); err != nil {
		t.Fatal(err)
	}
	r := checkSpool(t, dir)
	wantFound(t, r)
	if diff := cmp.Diff(string(spool.CauseFull), r.Gaps[0].Cause); diff != "" {
		t.Error(diff)
	}
}

// TestSpoolTorn cuts off the last write, as a crash does.
func TestSpoolTorn(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, spool.Options{})
	store(t, s, 5, 100)
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(b, "\x00"))
	copied := t.TempDir()
	if err := os.WriteFile(filepath.Join(copied, filepath.Base(segments[0])), slices.Concat(b[:end-30], make([]byte, len(b)-end+30)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := checkSpool(t, copied)
	wantFound(t, r)
	if r.Streams[0].Last != 4 {
		t.Errorf("stream %+v", r.Streams[0])
	}

	s = openSpool(t, copied, spool.Options{}) // goes on far ahead, and says so
	store(t, s, 3, 100)
	r = checkSpool(t, copied)
	wantFound(t, r)
	if len(r.Gaps) != 1 || r.Gaps[0].Cause != string(spool.CauseTorn) || r.Gaps[0].Missing > 10 || r.Gaps[0].Last < 1000 {
		t.Errorf("gaps %+v", r.Gaps)
	}
}

func TestSpoolEnds(t *testing.T) {
	dir, _ := newSpool(t, spool.Options{})
	l, err := spool.OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := new(Verifier).Spool(ctx, "spool", l); !errors.Is(err, context.Canceled) {
		t.Errorf("Spool: %v", err)
	}
	if _, err := new(Verifier).Lines(ctx, "a", strings.NewReader("x\n")); !errors.Is(err, context.Canceled) {
		t.Errorf("Lines: %v", err)
	}
}

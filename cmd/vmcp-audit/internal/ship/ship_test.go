package ship

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryKindOfLine(t *testing.T) {
	b := newBench(t)
	good, crlf := line("a"), strings.TrimSuffix(line("bb"), "\n")+"\r\n"
	long := strings.Repeat("x", MaxLine+10) + "\n"
	bad, binary, half := "{\"type\":1}\n", "\"\xff\"\n", `{"schema":"1.0",`
	b.append(b.log, good+"\n \r\n"+crlf+bad+line("ccc")+binary+long+line("dddd")+half)
	st := b.ship()
	b.want("a", "bb", "ccc", "dddd")
	at := func(before ...string) int64 { return int64(len(strings.Join(before, ""))) }
	want := []Aside{
		{Input: b.log, Offset: at(good, "\n \r\n", crlf), Line: 5, Reason: "decode ToolHive line: no type", Text: strings.TrimSpace(bad)},
		{Input: b.log, Offset: at(good, "\n \r\n", crlf, bad, line("ccc")), Line: 7, Reason: "invalid UTF-8", Raw: []byte("\"\xff\"")},
	}
	from := at(good, "\n \r\n", crlf, bad, line("ccc"), binary)
	const tooLong = "line is longer than 1049088 bytes"
	want = append(want,
		Aside{Input: b.log, Offset: from, Line: 8, Part: true, Reason: tooLong, Text: long[:MaxLine]},
		Aside{Input: b.log, Offset: from + MaxLine, Line: 8, Part: true, Reason: tooLong, Text: "xxxxxxxxxx"},
		Aside{Input: b.log, Offset: from + at(long, line("dddd")), Line: 10, Reason: "the last line has no end and is no event", Text: half})
	if diff := cmp.Diff(want, b.kept()); diff != "" {
		t.Errorf("-want +got\n%.2000s", diff)
	}
	if st.Lines != 9 || st.Events != 4 || st.Aside != 5 || st.Lost != 0 || st.Waits {
		t.Errorf("%+v", st)
	}
	if again := b.ship(); again.Lines+again.Events+again.Aside > 0 {
		t.Errorf("again: %+v", again)
	}
}

// TestLastLine: a last line without an end is taken if it is an event, and not
// again when its end comes.
func TestLastLine(t *testing.T) {
	b := newBench(t)
	b.append(b.log, line("a")+strings.TrimSuffix(line("b"), "\n"))
	b.ship()
	b.append(b.log, "\n"+line("c"))
	b.ship()
	b.want("a", "b", "c")
}

// TestRotatedWhileDown: whatever happened between two runs, the second one goes
// on where the first one ended.
func TestRotatedWhileDown(t *testing.T) {
	for name, tt := range map[string]struct {
		rotate func(b *bench)
		want   []string
	}{
		"renamed":                 {func(b *bench) { b.rename(b.log, b.log+".1"); b.append(b.log, line("new")) }, []string{"a", "late", "new"}},
		"renamed, no new one yet": {func(b *bench) { b.rename(b.log, b.log+".1") }, []string{"a", "late"}},
		"renamed with a date": {
			func(b *bench) { b.rename(b.log, b.log+"-20261122"); b.append(b.log, line("new")) }, []string{"a", "late", "new"},
		},
		"renamed as lumberjack does": {
			func(b *bench) {
				b.rename(b.log, filepath.Join(b.dir, "audit-2026-11-22T15-00-00.000.log"))
				b.append(b.log, line("new"))
			}, []string{"a", "late", "new"},
		},
		"renamed and compressed": {
			func(b *bench) { b.rename(b.log, b.log+".1"); b.zip(b.log + ".1"); b.append(b.log, line("new")) }, []string{"a", "late", "new"},
		},
		"copied and cut":             {func(b *bench) { b.copyCut(b.log + ".1"); b.append(b.log, line("new")) }, []string{"a", "late", "new"}},
		"copied, cut and compressed": {func(b *bench) { b.copyCut(b.log + ".1"); b.zip(b.log + ".1"); b.append(b.log, line("new")) }, []string{"a", "late", "new"}},
		"rotated twice": {func(b *bench) {
			b.rename(b.log, b.log+".2")
			b.append(b.log+".1", line("between"))
			b.append(b.log, line("new"))
		}, []string{"a", "late", "between", "new"}},
		"rotated twice and compressed": {func(b *bench) {
			b.rename(b.log, b.log+".2")
			b.zip(b.log + ".2")
			b.append(b.log+".1", line("between"))
			b.zip(b.log + ".1")
			b.append(b.log, line("new"))
		}, []string{"a", "late", "between", "new"}},
		"a copy beside it": {func(b *bench) {
			text, _ := os.ReadFile(b.log)
			b.append(b.log+".1", string(text))
			b.append(b.log, line("new"))
		}, []string{"a", "late", "new"}},
		"cut": {
			func(b *bench) { b.must(nil, os.Truncate(b.log, 0)); b.append(b.log, line("new")) },
			[]string{"a", fmt.Sprintf("input_lost audit.log cut or gone behind offset %d, line 1", len(line("a"))), "new"},
		},
		"gone": {
			func(b *bench) { b.must(nil, os.Remove(b.log)); b.append(b.log, line("new")) },
			[]string{"a", fmt.Sprintf("input_lost audit.log cut or gone behind offset %d, line 1", len(line("a"))), "new"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.append(b.log+".9", line("old")) // from before the first run: not asked for
			past := time.Now().Add(-time.Hour)
			b.must(nil, os.Chtimes(b.log+".9", past, past))
			b.append(b.log, line("a"))
			b.ship()
			b.append(b.log, line("late"))
			tt.rotate(b)
			b.ship()
			b.ship()
			b.want(tt.want...)
		})
	}
}

// TestInputs: patterns, files that are compressed from the beginning, and what is
// no file.
func TestInputs(t *testing.T) {
	b := newBench(t)
	b.append(filepath.Join(b.dir, "1.jsonl"), line("one"))
	b.append(filepath.Join(b.dir, "2.jsonl"), line("two"))
	b.append(filepath.Join(b.dir, "3.jsonl"), line("three"))
	b.zip(filepath.Join(b.dir, "3.jsonl"))
	b.ship(filepath.Join(b.dir, "*.jsonl*"), filepath.Join(b.dir, "1.jsonl"))
	b.append(filepath.Join(b.dir, "4.jsonl"), line("four"))
	b.ship(filepath.Join(b.dir, "*.jsonl*"))
	b.want("one", "two", "three", "four")
	for name, input := range map[string]string{"missing": filepath.Join(b.dir, "none"), "no match": filepath.Join(b.dir, "x*"), "folder": b.dir, "device": os.DevNull} {
		sp, em := b.open()
		if err := New(em, sp, b.options(input)).Run(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
		b.must(nil, sp.Close())
	}
}

func TestFollow(t *testing.T) {
	b := newBench(t)
	s, stop := b.follow() // the file comes later
	b.append(b.log, line("a")+line("b")[:20])
	b.until(s, 1)
	b.append(b.log, line("b")[20:])
	b.until(s, 2)
	f, err := os.OpenFile(b.log, os.O_APPEND|os.O_WRONLY, 0)
	b.must(f, err)
	b.rename(b.log, b.log+".1")
	b.append(b.log, line("c"))
	b.until(s, 3)
	b.must(f.WriteString(line("late"))) // by a writer that has not noticed
	b.must(nil, f.Close())
	b.until(s, 4)
	b.append(b.log, line("d"))
	b.until(s, 5)
	b.copyCut(b.log + ".2")
	b.append(b.log, line("e"))
	b.until(s, 6)
	stop()
	s, stop = b.follow()
	b.append(b.log, line("f"))
	b.until(s, 1)
	stop()
	b.want("a", "b", "c", "late", "d", "e", "f")
}

// TestDrain: a rotated file that does not grow any more is let go, and then its last
// line needs no end.
func TestDrain(t *testing.T) {
	b := newBench(t)
	b.append(b.log, line("a")+strings.TrimSpace(line("b")))
	sp, em := b.open()
	opt := b.options()
	opt.Follow, opt.drain = true, time.Millisecond
	s, stop := b.start(sp, em, opt)
	b.until(s, 1)
	b.rename(b.log, b.log+".1")
	b.until(s, 2)
	b.append(b.log, line("c"))
	b.until(s, 3)
	stop()
	b.want("a", "b", "c")
}

// TestUnreadableGeneration: a rotated file that nobody knew and that cannot be read
// is told of, and what is short is read.
func TestUnreadableGeneration(t *testing.T) {
	b := newBench(t)
	b.append(b.log, line("a"))
	b.ship()
	b.append(b.log+".1", "short\n")
	b.ship()
	if kept := b.kept(); len(kept) != 1 || kept[0].Input != b.log+".1" {
		t.Errorf("kept aside: %+v", kept)
	}
	b.append(b.log+".2.gz", "no gzip")
	sp, em := b.open()
	if err := New(em, sp, b.options(b.log)).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "audit.log.2.gz: ") {
		t.Errorf("error %v", err)
	}
	b.must(nil, sp.Close())
	s, stop := b.follow()
	for end := time.Now().Add(longest); s.Stats().Lost == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never told")
		}
	}
	b.append(b.log, line("b"))
	b.until(s, 1)
	stop()
	b.want("a", "input_lost audit.log.2.gz cannot be read: unexpected EOF", "b")
	if n := strings.Count(b.said.String(), "a rotated input cannot be read"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestStdin: what comes is stored at once, and a last line without an end too.
func TestStdin(t *testing.T) {
	b := newBench(t)
	sp, em := b.open()
	r, w := io.Pipe()
	opt := b.options(Stdin)
	opt.Stdin = r
	s := New(em, sp, opt)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	b.must(io.WriteString(w, line("a")+line("b")[:9]))
	b.until(s, 1)
	b.must(io.WriteString(w, line("b")[9:]+"bad\n"+strings.TrimSpace(line("c"))))
	b.must(nil, w.Close())
	b.must(nil, <-ended)
	b.must(nil, sp.Close())
	b.want("a", "b", "c")
	if kept := b.kept(); len(kept) != 1 || kept[0].Line != 3 || kept[0].Text != "bad" || kept[0].Input != Stdin {
		t.Errorf("%+v", kept)
	}
}

// TestWaitsWhenFull: with no room in the spool reading waits, and goes on when
// there is some. Nothing is dropped.
func TestWaitsWhenFull(t *testing.T) {
	b := newBench(t)
	b.size = 1 << 20
	const total = 12_000
	var text strings.Builder
	var want []string
	for i := range total {
		want = append(want, fmt.Sprintf("id-%d", i))
		text.WriteString(line(want[i]))
	}
	b.append(b.log, text.String())
	sp, em := b.open()
	c, err := sp.Cursor("hold")
	b.must(c, err)
	s := New(em, sp, b.options())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	for end := time.Now().Add(longest); !s.Stats().Waits; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not wait")
		}
	}
	if st := s.Stats(); st.Events == 0 || st.Events == total {
		t.Fatalf("%+v", st)
	}
	var got []string
	for len(got) < total {
		batch, err := c.Next(t.Context(), spool.Limits{Records: 1000})
		b.must(nil, err)
		for _, r := range batch {
			if r.Gap {
				t.Errorf("gap %s", r.Payload)
			}
			e, err := emitter.Decode(r.Payload)
			b.must(nil, err)
			got = append(got, e.AuditID)
		}
		c.Confirm(batch[len(batch)-1].Seq)
	}
	b.must(nil, <-ended)
	b.must(nil, c.Close())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%.500s", diff)
	}
	if st := sp.Stats(); st.Dropped > 0 || st.Refused == 0 || s.Stats().Waits {
		t.Errorf("%+v", st)
	}
	b.must(nil, sp.Close())
}

// TestAsideStays: no file of lines kept aside takes the place of an older one, though
// it is of a line at the same offset.
func TestAsideStays(t *testing.T) {
	b := newBench(t)
	for _, text := range []string{"one\n", "two\n"} {
		b.append(b.log, text)
		b.ship()
		b.must(nil, os.Remove(b.log))
		b.append(b.log+".other", line("a"))
		b.ship(b.log + "*") // which finds it gone
		b.must(nil, os.Remove(b.log+".other"))
		sp, em := b.open()
		opt := b.options(Stdin)
		opt.Stdin = strings.NewReader(text)
		b.must(nil, New(em, sp, opt).Run(t.Context()))
		b.must(nil, sp.Close())
	}
	texts := map[string]int{}
	for _, a := range b.kept() {
		texts[a.Text]++
	}
	if diff := cmp.Diff(map[string]int{"one": 2, "two": 2}, texts); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestForgets: of files that a pattern named, and that are gone, nothing stays in
// the spool, so that their number has no end.
func TestForgets(t *testing.T) {
	b := newBench(t)
	pattern := filepath.Join(b.dir, "*.jsonl")
	for _, id := range []string{"a", "b", "c"} {
		path := filepath.Join(b.dir, id+".jsonl")
		b.append(path, line(id))
		b.ship(pattern)
		sp, _ := b.open()
		if notes := sp.Notes(); len(notes) != 1 {
			t.Errorf("%s: %d notes", id, len(notes))
		}
		b.must(nil, sp.Close())
		b.must(nil, os.Remove(path))
	}
	b.want("a", "b", "c")
}

// TestGrowingLines: lines whose events are much larger than they are, by their
// escapes, still fit in a commit.
func TestGrowingLines(t *testing.T) {
	b := newBench(t)
	var want []string
	for i := range 150 {
		id := fmt.Sprintf("id-%d", i)
		want = append(want, id)
		b.append(b.log, strings.Replace(line("abc"), `"abc"`, `"`+id+`","x":"`+strings.Repeat("\x7f", 10_000)+`"`, 1))
	}
	huge := strings.Repeat("\x7f", 65_000)
	b.append(b.log, strings.Replace(line("abc"), `"abc"`, `"huge","x":"`+huge+`","data":{"request":"`+huge+`","response":"`+huge+`"}`, 1))
	b.ship()
	b.want(append(want, "huge")...)
}

// TestBuffers: many files need one buffer.
func TestBuffers(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.append(filepath.Join(b.dir, fmt.Sprint(i, ".jsonl")), line("a"))
	}
	sp, em := b.open()
	s := New(em, sp, b.options(filepath.Join(b.dir, "*.jsonl")))
	b.must(nil, s.look(t.Context()))
	b.must(s.readAll(t.Context()))
	for _, src := range s.sources {
		if src.split.buf != nil {
			t.Errorf("%s holds a buffer", src.c.path)
		}
	}
	s.closeAll()
	b.must(nil, sp.Close())
}

// TestAsideWaits: where lines cannot be kept aside for now, reading waits.
func TestAsideWaits(t *testing.T) {
	b := newBench(t)
	b.append(b.log, "bad\n"+line("a"))
	sp, em := b.open()
	blocked := filepath.Join(b.dir, "spool", emitter.AsideLines)
	b.must(nil, os.WriteFile(blocked, nil, 0o600))
	s := New(em, sp, b.options())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	for end := time.Now().Add(longest); !s.Stats().Waits; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not wait")
		}
	}
	b.must(nil, os.Remove(blocked))
	b.must(nil, <-ended)
	b.must(nil, sp.Close())
	b.want("a")
	if kept := b.kept(); len(kept) != 1 {
		t.Errorf("%+v", kept)
	}
}

func TestIsGeneration(t *testing.T) {
	for name, want := range map[string]bool{
		"audit.log.1": true, "audit.log.12.gz": true, "audit.log-20261122": true, "audit.log-20261122-1200.gz": true,
		"audit.log.2026-11-22": true, "audit-2026-11-22T15-00-00.000.log": true, "audit-2026-11-22T15-00-00.000.log.gz": true,
		"audit.log": false, "audit.log.bak": false, "audit.log.gz": false, "audit.log.1.xz": false, "audit.log~": false,
		"audit2.log": false, "other.log.1": false, "audit.1.log": true, "audit-.log": false, "audit": false,
	} {
		if got := isGeneration("audit.log", name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if isGeneration("audit", "audit1") || !isGeneration("audit", "audit.1") || isGeneration("audit", "audit") {
		t.Error("a name without a suffix")
	}
}

// FuzzSplitter: pieces and their places make up what was read, however it came.
func FuzzSplitter(f *testing.F) {
	f.Add("a\n\nb", 1)
	f.Add("a\r\n", 3)
	f.Fuzz(func(t *testing.T, text string, n int) {
		var s splitter
		in := strings.NewReader(text)
		n = max(1, n%100)
		var got strings.Builder
		line := int64(0)
		take := func(p piece) {
			for int64(got.Len()) < p.offset {
				got.WriteByte('\n')
			}
			if line++; p.line != line || p.offset != int64(got.Len()) || bytes.ContainsRune(p.text, '\n') {
				t.Fatalf("%+v after %q", p, got.String())
			}
			got.Write(p.text)
		}
		for end := false; !end; {
			_, err := s.fill(io.LimitReader(in, int64(n)))
			end = err != nil && in.Len() == 0
			for p, ok := s.next(); ok; p, ok = s.next() {
				take(p)
			}
		}
		if p, ok := s.rest(); ok {
			take(p)
		}
		for got.Len() < len(text) {
			got.WriteByte('\n')
		}
		if got.String() != text {
			t.Fatalf("%q became %q", text, got.String())
		}
	})
}

// TestStdinStops: with Follow the end of the context is no error.
func TestStdinStops(t *testing.T) {
	b := newBench(t)
	sp, em := b.open()
	r, w := io.Pipe()
	opt := b.options(Stdin)
	opt.Stdin, opt.Follow = r, true
	s := New(em, sp, opt)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.must(io.WriteString(w, line("a")))
	b.until(s, 1)
	cancel()
	b.must(nil, <-ended)
	b.must(nil, w.Close()) // which ends the read that goes on
	b.must(nil, sp.Close())
	b.want("a")
}

// TestLongestLine: a line of the greatest length is one, wherever reads end.
func TestLongestLine(t *testing.T) {
	for _, n := range []int{MaxLine, MaxLine + 1} {
		var s splitter
		in := strings.NewReader(strings.Repeat("x", n) + "\n")
		var got []piece
		for _, size := range []int64{MaxLine, 1, 1} {
			_, _ = s.fill(io.LimitReader(in, size))
			for p, ok := s.next(); ok; p, ok = s.next() {
				got = append(got, p)
			}
		}
		if long := n > MaxLine; len(got) == 0 || got[0].long != long {
			t.Errorf("%d bytes: %d pieces", n, len(got))
		}
	}
}

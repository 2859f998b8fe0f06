package chain

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// trail is a chain under construction, and its lines.
type trail struct {
	stream spool.Stream
	seq    uint64
	head   spool.Hash
	lines  []string
}

// newTrail returns the trail of the stream id with n events.
func newTrail(id byte, n int) *trail {
	t := &trail{stream: spool.Stream{15: id}}
	for range n {
		t.event()
	}
	return t
}

var someTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func eventOf(id string) *emitter.Event {
	e := emitter.NewEvent(emitter.TypePing)
	e.AuditID, e.LoggedAt = id, someTime
	e.Conclude(emitter.OutcomeSuccess, "")
	return e
}

// event adds the next event.
func (t *trail) event() {
	t.add(string(emitter.AppendEvent(nil, eventOf(fmt.Sprintf("%d-%d", t.stream[15], t.seq+1)))))
}

// loss adds an event that tells of a loss.
func (t *trail) loss(first, last, count uint64, cause spool.Cause, routes ...string) {
	e := emitter.NewLoss(emitter.Loss{FirstSeq: first, LastSeq: last, Count: count, Cause: string(cause), Routes: routes})
	e.AuditID, e.LoggedAt = "loss", someTime
	t.add(string(emitter.AppendEvent(nil, e)))
}

func (t *trail) add(payload string) {
	t.seq++
	r := spool.Record{Seq: t.seq, Prev: t.head, Payload: []byte(payload)}
	in := emitter.IntegrityOf(t.stream, &r)
	t.head = r.Link(t.stream)
	t.lines = append(t.lines, string(emitter.AppendIntegrity(nil, r.Payload, &in)))
}

// burn gives seqs to events that are never stored.
func (t *trail) burn(n uint64) { t.seq += n }

// text returns lines as a file has them.
func text(lines ...string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// check verifies files, which are called a, b and so on.
func check(t testing.TB, v *Verifier, files ...string) *Report {
	t.Helper()
	for i, f := range files {
		if _, err := v.Lines(t.Context(), string(rune('a'+i)), strings.NewReader(f)); err != nil {
			t.Fatal(err)
		}
	}
	return v.Report()
}

// found returns the problems of a report, short.
func found(r *Report) []string {
	var out []string
	for _, p := range r.Problems {
		s := fmt.Sprintf("%s %s", p.At, p.Kind)
		if p.First > 0 {
			s += " " + strings.TrimPrefix(strings.TrimPrefix(seqs(p.First, p.Last), "seqs "), "seq ")
		}
		out = append(out, s)
	}
	return out
}

func wantFound(t *testing.T, r *Report, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, found(r)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if r.Failed != len(want) {
		t.Errorf("%d problems counted, want %d", r.Failed, len(want))
	}
	if r.OK() != (len(want) == 0) {
		t.Errorf("OK() is %v", r.OK())
	}
}

func without(lines []string, i int) []string {
	return append(append([]string(nil), lines[:i]...), lines[i+1:]...)
}

func inserted(lines []string, i int, line string) []string {
	return append(append(append([]string(nil), lines[:i]...), line), lines[i:]...)
}

func TestUntouched(t *testing.T) {
	tr := newTrail(1, 6)
	r := check(t, &Verifier{}, text(tr.lines...))
	wantFound(t, r)
	want := []Stream{{ID: tr.stream.String(), First: 1, Last: 6, Head: tr.head.String(), Records: 6}}
	if diff := cmp.Diff(want, r.Streams); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestEveryFlippedBit changes each bit of a trail, line ends too.
func TestEveryFlippedBit(t *testing.T) {
	tr := newTrail(1, 2)
	tr.add("{}")
	tr.burn(2)
	tr.loss(4, 5, 2, spool.CauseFull)
	tr.event()
	whole := []byte(text(tr.lines...))
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			line := bytes.Count(whole[:i], []byte{'\n'}) + 1
			r := check(t, &Verifier{}, string(b))
			if r.Failed == 0 {
				t.Fatalf("byte %d (%q) to %q: not found", i, whole[i], b[i])
			}
			if at := r.Problems[0].At; at.Line < int64(line) || at.Line > int64(line)+1 {
				t.Fatalf("byte %d (%q) to %q, in line %d: found at %s", i, whole[i], b[i], line, at)
			}
		}
	}
}

func TestTampering(t *testing.T) {
	tr := newTrail(1, 6)
	l := tr.lines
	other := newTrail(1, 2)
	other.add(`{"forged":true}`)
	foreign := string(emitter.AppendEvent(nil, eventOf("foreign")))
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"two taken out", without(without(l, 2), 2), []string{"a:3 lost 3 to 4"}},
		{"two swapped", []string{l[0], l[2], l[1], l[3], l[4], l[5]}, []string{"a:3 moved 2"}},
		{"first moved to the end", []string{l[1], l[2], l[3], l[0]}, []string{"a:4 moved 1"}},
		{"last moved to the front", []string{l[3], l[0], l[1], l[2], l[4]}, []string{"a:2 moved 1 to 3"}},
		{"reversed", []string{l[2], l[1], l[0]}, []string{"a:2 moved 2", "a:3 moved 1"}},
		{"event put in", inserted(l, 3, foreign), []string{"a:4 added"}},
		{"events put in", inserted(inserted(l, 3, foreign), 3, foreign), []string{"a:4 added"}},
		{"text put in", inserted(l, 3, "# rotated"), []string{"a:4 added"}},
		{"forged record in the place of another", []string{l[0], l[1], other.lines[2], l[3]}, []string{"a:4 relinked 4"}},
		{"forged record before another", inserted(l, 2, other.lines[2]), []string{"a:4 added 3", "a:5 relinked 4"}},
		{"forged record behind another", inserted(l, 3, other.lines[2]), []string{"a:4 added 3"}},
		{"all hashes cut off", []string{foreign, foreign}, []string{"a:1 added"}},
		{"first in the trail names one before", []string{l[1]}, nil},
		{"none", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(t, &Verifier{}, text(tt.lines...))
			if tt.lines == nil {
				if r.OK() {
					t.Error("nothing is fine")
				}
				return
			}
			wantFound(t, r, tt.want...)
		})
	}
}

func TestEachLine(t *testing.T) {
	tr := newTrail(1, 6)
	for i := range tr.lines {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			var want []string
			if i > 0 && i < 5 { // the ends cannot be seen
				want = []string{fmt.Sprintf("a:%d lost %d", i+1, i+1)}
			}
			wantFound(t, check(t, &Verifier{}, text(without(tr.lines, i)...)), want...)
			for j := range i + 1 {
				r := check(t, &Verifier{}, text(inserted(tr.lines, i+1, tr.lines[j])...))
				wantFound(t, r)
				if r.Streams[0].Duplicates != 1 || r.Streams[0].Records != 6 {
					t.Errorf("line %d again: %+v", j+1, r.Streams[0])
				}
			}
		})
	}
}

// TestForgedHash changes a record and computes its hash anew.
func TestForgedHash(t *testing.T) {
	tr := newTrail(1, 3)
	forged := newTrail(1, 1)
	forged.add(`{"forged":true}`)
	lines := []string{tr.lines[0], forged.lines[1], tr.lines[2]}
	wantFound(t, check(t, &Verifier{}, text(lines...)), "a:3 relinked 3")
	wantFound(t, check(t, &Verifier{}, text(lines[:2]...))) // nothing behind it
	v := &Verifier{}
	hash := tr.hashAt(t, 1)
	v.Expect(2, hash)
	wantFound(t, check(t, v, text(lines[:2]...)), " expected 2")
}

// hashAt returns the hash of a line.
func (t *trail) hashAt(tb testing.TB, i int) spool.Hash {
	payload, in, ok := emitter.SplitIntegrity([]byte(t.lines[i]))
	if !ok {
		tb.Fatal("no record")
	}
	return recordOf(payload, &in).Hash
}

func TestExpect(t *testing.T) {
	tr := newTrail(1, 5)
	rewritten := &trail{stream: tr.stream}
	for i := range 5 {
		rewritten.add(fmt.Sprintf(`{"rewritten":%d}`, i))
	}
	wantFound(t, check(t, &Verifier{}, text(rewritten.lines...))) // there is no key
	for name, lines := range map[string][]string{"rewritten": rewritten.lines, "cut": tr.lines[:4]} {
		v := &Verifier{}
		v.Expect(4, tr.hashAt(t, 3))
		v.Expect(5, tr.hashAt(t, 4))
		r := check(t, v, text(lines...))
		want := []string{" expected 5"}
		if name == "rewritten" {
			want = []string{" expected 4", " expected 5"}
		}
		wantFound(t, r, want...)
	}
	v := &Verifier{}
	v.Expect(5, tr.head)
	wantFound(t, check(t, v, text(tr.lines...)))
}

func TestFilesAreOneTrail(t *testing.T) {
	tr := newTrail(1, 9)
	a, b, c := text(tr.lines[:3]...), text(tr.lines[3:6]...), text(tr.lines[6:]...)
	wantFound(t, check(t, &Verifier{}, a, b, "", c))
	r := check(t, &Verifier{}, b, c)
	wantFound(t, r)
	if s := r.Streams[0]; s.First != 4 || s.Records != 6 {
		t.Errorf("a rotated trail: %+v", s)
	}
	wantFound(t, check(t, &Verifier{}, c, b, a), "b:1 moved 4 to 6", "c:1 moved 1 to 3")
	wantFound(t, check(t, &Verifier{}, a, c), "b:1 lost 4 to 6")
	wantFound(t, check(t, &Verifier{}, a, b, a, b, c)) // delivered again
}

func TestStreamsAreApart(t *testing.T) {
	one, two := newTrail(1, 4), newTrail(2, 4)
	var lines []string
	for i := range 4 {
		lines = append(lines, one.lines[i], two.lines[i])
	}
	r := check(t, &Verifier{}, text(lines...))
	wantFound(t, r)
	if len(r.Streams) != 2 || r.Streams[1].Head != two.head.String() {
		t.Errorf("streams %+v", r.Streams)
	}
	wantFound(t, check(t, &Verifier{}, text(without(lines, 2)...)), "a:4 lost 2")
}

// TestTorn holds that what a crash leaves is no problem, and nothing else is
// taken for it.
func TestTorn(t *testing.T) {
	tr := newTrail(1, 3)
	l := tr.lines
	for _, tt := range []struct {
		name string
		text string
		torn int
		want []string
	}{
		{"cut off at the end", text(l[:2]...) + l[2][:40], 1, nil},
		{"only its line end missing", text(l...)[:len(text(l...))-1], 0, nil},
		{"cut off, then whole", text(l[0], l[1][:50], l[1], l[2]), 1, nil},
		{"a blank line", text(l[0], "", l[1], "", l[2]), 0, nil},
		{"cut off, then another", text(l[0], l[1][:250], l[2]), 0, []string{"a:2 added", "a:3 lost 2"}},
		{"cut off twice", text(l[0], l[1][:50], l[1][:60], l[1], l[2]), 2, nil},
		{"cut off, with its line end", text(l[0], l[1], l[2][:50]), 0, []string{"a:3 added"}},
		{"one byte more at the end", text(l...) + "x", 0, []string{"a:4 added"}},
		{"the last line end changed", text(l[:2]...) + l[2] + " ", 0, []string{"a:3 added"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := check(t, &Verifier{}, tt.text)
			wantFound(t, r, tt.want...)
			if len(r.Torn) != tt.torn {
				t.Errorf("torn: %v, want %d", r.Torn, tt.torn)
			}
		})
	}
}

func TestLongLines(t *testing.T) {
	tr := newTrail(1, 1)
	tr.add(`{"long":"` + strings.Repeat("x", spool.MaxPayload-11) + `"}`)
	tr.event()
	wantFound(t, check(t, &Verifier{}, text(tr.lines...)))
	long := strings.Repeat("x", MaxLine)
	wantFound(t, check(t, &Verifier{}, text(tr.lines[0], long, tr.lines[1])), "a:2 added")
	wantFound(t, check(t, &Verifier{}, text(tr.lines[0])+long+long), "a:2 added")
}

// TestLimit holds that the first problems are the ones that are listed.
func TestLimit(t *testing.T) {
	tr := newTrail(1, 100)
	var lines []string
	for i, l := range tr.lines {
		switch i % 3 {
		case 0:
			lines = append(lines, l)
		case 1:
			lines = append(lines, l, "no event")
		}
	}
	v := &Verifier{Limit: 3}
	r := check(t, v, text(lines...))
	if diff := cmp.Diff([]string{"a:3 added", "a:4 lost 3", "a:6 added"}, found(r)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if r.Failed != 33+33 {
		t.Errorf("%d problems", r.Failed)
	}
}

func FuzzLines(f *testing.F) {
	tr := newTrail(1, 3)
	tr.burn(3)
	tr.loss(4, 6, 3, spool.CauseFull)
	tr.event()
	l := tr.lines
	f.Add([]byte(text(l...)), 0)
	f.Add([]byte(text(l[0], l[2], l[1], l[3][:40], l[4], l[0])+"{"), 300)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		v := &Verifier{Limit: 2}
		v.Expect(2, spool.Hash{1})
		r := check(t, v, string(b[:cut]), string(b[cut:]))
		if r.Failed < len(r.Problems) || len(r.Problems) > 2 || r.Failed == 0 {
			t.Errorf("%d problems, %d listed", r.Failed, len(r.Problems))
		}
	})
}

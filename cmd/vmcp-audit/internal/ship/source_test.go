package ship

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines returns n lines whose ids begin with name.
func lines(name string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(name + strings.Repeat("x", i%7)))
	}
	return b.String()
}

// TestFileWrittenAnew: a file that is cut and grows beyond what was read of it, at
// the worst moments, is never read on from the old offset.
func TestFileWrittenAnew(t *testing.T) {
	b := newBench(t)
	anew := func(text string) { b.must(nil, os.WriteFile(b.log, []byte(text), 0o600)) }
	first, second := lines("first-", 20), lines("second-", 40)
	find := func() *candidate {
		t.Helper()
		found := candidates([]string{b.log})
		if len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		return found[0]
	}

	t.Run("before it is opened again", func(t *testing.T) {
		anew(first)
		p := &position{Offset: 500, Size: 400, Head: digest([]byte(first)[:400])}
		c := find()
		if !c.holds(p) {
			t.Fatal("the file is not recognised")
		}
		anew(second)
		if _, err := openSource(p, c); !errors.Is(err, errCut) {
			t.Errorf("opened: %v", err)
		}
		anew(first[:450])
		if _, err := openSource(p, c); !errors.Is(err, errCut) {
			t.Errorf("opened a shorter one: %v", err)
		}
	})
	t.Run("between two reads of one that was empty", func(t *testing.T) {
		anew("")
		c := find()
		var ps positions
		s, err := openSource(ps.add(c), c)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		anew(first)
		if more, err := s.fill(); !more || err != nil {
			t.Fatal(more, err)
		}
		anew(second)
		s.mark()
		if more, err := s.fill(); more || !errors.Is(err, errCut) {
			t.Errorf("read on: %v, %v", more, err)
		}
	})
}

// TestCopyOfUnread: what a rotation made of a file before anything was read of it
// is that file, and not one more.
func TestCopyOfUnread(t *testing.T) {
	copied := func(b *bench) {
		text, err := os.ReadFile(b.log)
		b.must(nil, err)
		b.append(b.log+".1", string(text))
	}
	for name, tt := range map[string]struct {
		rotate, later func(b *bench) // later: when the folder was looked through, and still nothing was read
	}{
		"renamed and compressed": {func(b *bench) { b.rename(b.log, b.log+".1"); b.zip(b.log + ".1") }, func(*bench) {}},
		"copied":                 {copied, func(*bench) {}},
		"copied and cut":         {copied, func(b *bench) { b.must(nil, os.Truncate(b.log, 0)) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.append(b.log, "")
			sp, em := b.open()
			opt := b.options()
			opt.Follow = true
			s := New(em, sp, opt)
			defer s.closeAll()
			b.must(nil, s.look(t.Context()))
			b.append(b.log, line("a")+line("b"))
			tt.rotate(b)
			b.must(nil, s.look(t.Context()))
			tt.later(b)
			b.append(b.log, line("c"))
			for s.Stats().Events < 3 {
				b.must(s.readAll(t.Context()))
				b.must(nil, s.look(t.Context()))
			}
			b.must(s.readAll(t.Context()))
			b.must(nil, sp.Close())
			got := b.stored()
			slices.Sort(got)
			if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

package ship

import (
	"errors"
	"os"
	"strings"
	"testing"
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

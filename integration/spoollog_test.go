package integration

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// said is what a spoolChild has said.
type said struct {
	mu       sync.Mutex // guards what follows while the child lives
	acked    map[uint64]string
	failures []string // kinds
	lines    []string // all but those of acked
	stats    spool.Stats
	changed  chan struct{} // has room for one
}

// startSpoolChild starts the test binary as a spoolChild, below the program that
// before names, if any.
func startSpoolChild(t *testing.T, before []string, what, dir string, n int) (*process, *said) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &said{acked: map[uint64]string{}, changed: make(chan struct{}, 1)}
	args := append(before, self, what, dir, strconv.Itoa(n))
	return start(t, []string{spoolChildEnv + "=1", "GORACE=atexit_sleep_ms=0"}, s.hear, args[0], args[1:]...), s
}

func (s *said) hear(line string) {
	line, whole := strings.CutSuffix(line, "\n")
	if !whole {
		return // it was killed before it had said that
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "ok":
		seq, name, _ := strings.Cut(rest, " ")
		n, _ := strconv.ParseUint(seq, 10, 64)
		s.acked[n] = name
	case "fail":
		kind, _, _ := strings.Cut(rest, " ")
		s.failures = append(s.failures, kind)
	case "stats":
		rest = nullFault(rest)
		if err := json.Unmarshal([]byte(rest), &s.stats); err != nil {
			line += err.Error()
		}
	}
	if word != "ok" {
		s.lines = append(s.lines, line)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// nullFault takes the error out of stats as JSON: an error has no other form.
func nullFault(stats string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(stats), &m) == nil {
		delete(m, "Fault")
	}
	b, _ := json.Marshal(m)
	return string(b)
}

// waitFor waits until n Appends are acknowledged, however slow the disk is.
func (s *said) waitFor(t *testing.T, p *process, n int) {
	t.Helper()
	late := time.After(patience)
	for last := 0; ; {
		s.mu.Lock()
		got := len(s.acked)
		s.mu.Unlock()
		if got >= n {
			return
		}
		if got > last {
			last, late = got, time.After(patience)
		}
		select {
		case <-s.changed:
		case <-p.ended:
			t.Fatalf("the writer ended after %d of %d Appends:\n%s", got, n, strings.Join(s.lines, "\n"))
		case <-late:
			t.Fatalf("%d of %d Appends, and no more for %s", got, n, patience)
		}
	}
}

// readSpool returns the payloads in the spool in dir by seq. It fails unless the
// records are linked and each hole in their seqs is told by a gap record.
func readSpool(t *testing.T, dir string) map[uint64]string {
	t.Helper()
	l, err := spool.OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	there := map[uint64]string{}
	var holes, gaps []spool.Gap
	var last uint64
	var link spool.Hash
	for r, err := range l.Records() {
		if err != nil {
			t.Error(err)
			continue
		}
		if r.Seq <= last || r.Prev != link {
			t.Errorf("seq %d after %d: before it stands %s, want %s", r.Seq, last, r.Prev, link)
		}
		if r.Seq > last+1 {
			holes = append(holes, spool.Gap{First: last + 1, Last: r.Seq - 1})
		}
		last, link = r.Seq, r.Link(l.Stream())
		if !r.Gap {
			there[r.Seq] = string(r.Payload)
			continue
		}
		var g spool.Gap
		if err := json.Unmarshal(r.Payload, &g); err != nil {
			t.Error(err)
		}
		gaps = append(gaps, g)
	}
	for _, h := range holes {
		if !told(gaps, h) {
			t.Errorf("no gap record tells that %d to %d are missing: %+v", h.First, h.Last, gaps)
		}
	}
	return there
}

func told(gaps []spool.Gap, hole spool.Gap) bool {
	for _, g := range gaps {
		if g.First <= hole.First && g.Last >= hole.Last {
			return true
		}
	}
	return false
}

// missing returns the seqs of what was acknowledged and is not there.
func missing(acked, there map[uint64]string) (seqs []uint64) {
	for seq, name := range acked {
		if !strings.HasPrefix(there[seq], name+" ") {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// goesOn fails unless a spool that is opened again, on a disk that is well, shows
// a cursor what is there and stores.
func goesOn(t *testing.T, dir string, there map[uint64]string) {
	t.Helper()
	s, err := spool.Open(dir, spool.Options{MaxSize: 200 << 20, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	end, err := s.Append(t.Context(), spool.Ordinary, []byte("the end"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Cursor("reader")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read := 0
	for last := uint64(0); last < end; {
		batch, err := c.Next(t.Context(), spool.Limits{Records: 1000, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range batch {
			if last = r.Seq; r.Gap || r.Seq == end {
				continue
			}
			read++
			if there[r.Seq] != string(r.Payload) {
				t.Errorf("seq %d: a cursor reads %.40q, it was %.40q", r.Seq, r.Payload, there[r.Seq])
			}
		}
	}
	if read != len(there) {
		t.Errorf("a cursor reads %d records, there are %d", read, len(there))
	}
	if st := s.Stats(); st.Damaged > 0 || errors.Is(st.Fault, spool.ErrBroken) {
		t.Errorf("opened again: %+v", st)
	}
}

package delivery

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// kills is how often the process is killed before it may end by itself.
const kills = 12

// TestDeliverySurvives kills the process that emits and delivers, time and again,
// while the far end misbehaves. In the end every event that Emit had stored is
// indexed, in order, and the chain verifies.
func TestDeliverySurvives(t *testing.T) {
	t.Logf("seed %d", *seed)
	for _, acks := range []bool{false, true} {
		total := 200_000
		if acks {
			total /= 2 // a Send takes a quarter of a second, to ask for the first time
		}
		switch {
		case testing.Short():
			total /= 10
		case raceDetector:
			total /= 4
		}
		t.Run(fmt.Sprint("acks ", acks), func(t *testing.T) {
			t.Parallel()
			s := &survivor{t: t, far: startFar(t, acks), dir: t.TempDir(), rng: rand.New(rand.NewPCG(*seed, 2)), acked: map[string]bool{}}
			s.run(total)
		})
	}
}

// survivor is the near end, seen from outside.
type survivor struct {
	t   *testing.T
	far *far
	dir string
	rng *rand.Rand

	mayTwice int // events that the kills may have indexed once more

	mu    sync.Mutex      // guards what follows
	acked map[string]bool // what Emit has stored, by its audit_id
	done  bool            // the present process has emitted all it was told to
}

func (s *survivor) run(total int) {
	began := time.Now()
	for i := range kills {
		p := s.start(total*(i+1)/(kills+1) - s.ackedCount())
		s.untilKill(total * (i + 1) / (kills + 1))
		p.end(s.t, true)
		s.mayTwice += s.unmarked()
	}
	p := s.start(total - s.ackedCount())
	s.until("all is emitted", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.done
	})
	s.until("all is indexed", func() bool { return s.far.indexedCount() >= s.ackedCount() && s.missing() == 0 })
	took := time.Since(began)
	p.end(s.t, false)
	s.check(took)
}

// unmarked returns how many events are indexed of which the killed process has left
// no mark: so many come again. They are bounded by what is in flight at once.
func (s *survivor) unmarked() int {
	s.t.Helper()
	s.until("all connections are over, and what was in them is indexed", s.far.idle)
	mark := savedMark(s.t, filepath.Join(s.dir, "cursors", route+".cursor"))
	s.far.mu.Lock()
	defer s.far.mu.Unlock()
	s.far.closeEpochs()
	n := 0
	for _, seq := range s.far.ids {
		if seq > mark {
			n++
		}
	}
	if n > window+markEvery {
		s.t.Errorf("%d events are indexed and not marked, of at most %d", n, window+markEvery)
	}
	return n
}

// savedMark reads the newest slot of a cursor's file, as docs/spool.md draws it.
func savedMark(t *testing.T, path string) (seq uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newest := uint64(0)
	for at := 0; at+64 <= len(b); at += 4096 {
		slot := b[at : at+64]
		generation := binary.LittleEndian.Uint64(slot[16:])
		if bytes.HasPrefix(slot, []byte("vmcpmark")) && generation > newest {
			newest, seq = generation, binary.LittleEndian.Uint64(slot[24:])
		}
	}
	return seq
}

// untilKill waits for the moment of the next kill: while events are stored, while
// they are delivered, or when the process has been sent elsewhere.
func (s *survivor) untilKill(acked int) {
	deadline := time.Now().Add(10 * time.Second)
	wait := func(ready func() bool) {
		for !ready() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
	}
	switch s.rng.IntN(3) {
	case 0:
		from := s.ackedCount()
		enough := from + s.rng.IntN(max(1, acked-from))
		wait(func() bool { return s.ackedCount() >= enough })
	case 1:
		from := s.far.indexedCount()
		enough := from + s.rng.IntN(max(1, acked-from))
		wait(func() bool { return s.far.indexedCount() >= enough })
	case 2:
		s.far.mu.Lock()
		s.far.redirect = true
		s.far.mu.Unlock()
		select {
		case <-s.far.redirected:
		case <-time.After(time.Until(deadline)):
		}
		time.Sleep(time.Duration(s.rng.IntN(300)) * time.Millisecond)
	}
}

func (s *survivor) until(what string, ready func() bool) {
	s.t.Helper()
	const patience = 3 * time.Minute // without any progress
	last, deadline := 0, time.Now().Add(patience)
	for ; !ready(); time.Sleep(20 * time.Millisecond) {
		if n := s.far.indexedCount() + s.ackedCount(); n != last {
			last, deadline = n, time.Now().Add(patience)
		}
		if time.Now().After(deadline) {
			list, _ := s.far.faults()
			s.t.Errorf("waited in vain until %s: %d acknowledged, %d missing; %s", what, s.ackedCount(), s.missing(), list)
			_ = s.far.trail.Close()
			s.t.Fatalf("indexed: %+v", <-s.far.report)
		}
	}
}

func (s *survivor) ackedCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// missing returns how many events that Emit had stored are not indexed.
func (s *survivor) missing() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.far.mu.Lock()
	defer s.far.mu.Unlock()
	for id := range s.acked {
		if _, ok := s.far.ids[id]; !ok {
			n++
		}
	}
	return n
}

func (s *survivor) check(took time.Duration) {
	t, f := s.t, s.far
	list, faults := f.faults()
	bound := s.mayTwice + f.bound()
	_ = f.trail.Close()
	report := <-f.report
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Logf("%d events acknowledged, %d indexed, %d times indexed again of at most %d (%d by kills), in %v (%.0f a second)",
		len(s.acked), len(f.ids), f.duplicates, bound, s.mayTwice, took.Round(time.Millisecond), float64(len(f.ids))/took.Seconds())
	t.Logf("%d kills, %d faults: %s", kills, faults, list)
	for _, w := range f.wrong {
		t.Error(w)
	}
	if f.duplicates > bound {
		t.Errorf("%d events were indexed again, of at most %d", f.duplicates, bound)
	}
	if faults < 3 {
		t.Errorf("%d faults are no test", faults)
	}
	if f.followed {
		t.Error("a redirect was followed")
	}
	if !report.OK() || len(report.Streams) != 1 || report.Streams[0].First != 1 || report.Streams[0].Records != uint64(len(f.ids)) {
		t.Errorf("what was indexed does not verify: %+v", report)
	}
}

// process is one life of the near end.
type process struct {
	cmd    *exec.Cmd
	in     io.Closer
	read   sync.WaitGroup
	stderr bytes.Buffer
}

// start starts a process that emits count events.
func (s *survivor) start(count int) *process {
	s.t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	s.far.mu.Lock()
	addr := s.far.addr
	s.far.mu.Unlock()
	p.cmd.Env = []string{
		envDir + "=" + s.dir, envURL + "=http://" + addr, envToken + "=" + s.far.tokenFile,
		envAcks + "=" + fmt.Sprint(s.far.acks), envCount + "=" + fmt.Sprint(count),
	}
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	p.in, s.done = in, false
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if p.cmd.ProcessState == nil { // the test has failed
			_ = p.cmd.Process.Kill()
			p.read.Wait()
			_ = p.cmd.Wait()
			s.t.Logf("the last process said\n%s", p.stderr.String())
		}
	})
	p.read.Go(func() { s.listen(out) })
	return p
}

// listen takes note of what the process says.
func (s *survivor) listen(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.mu.Lock()
		if id := lines.Text(); id == "done" {
			s.done = true
		} else {
			s.acked[id] = true
		}
		s.mu.Unlock()
	}
}

// end kills the process or has it end by itself, and looks at what it said.
func (p *process) end(t *testing.T, kill bool) {
	t.Helper()
	if kill {
		_ = p.cmd.Process.Kill()
	} else {
		_ = p.in.Close()
	}
	p.read.Wait()
	err := p.cmd.Wait()
	said := p.stderr.String()
	if kill != (err != nil) || kill && err.Error() != "signal: killed" || strings.Contains(said, "DATA RACE") || strings.Contains(said, "child: ") {
		t.Errorf("the process ended with %v (killed: %v) and said\n%s", err, kill, said)
	}
	if strings.Contains(said, "5c0ffee5") {
		t.Errorf("the token is in the log:\n%s", said)
	}
	if !kill {
		t.Logf("the last process said\n%s", said)
	}
}

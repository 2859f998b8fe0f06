package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// What "make ship" sets.
const (
	shipLinesEnv = "SHIP_LINES"
	shipKillsEnv = "SHIP_KILLS"
	shipSeedEnv  = "SHIP_SEED"
)

func number(t *testing.T, env string, fallback uint64) uint64 {
	text := os.Getenv(env)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// TestShipSurvives follows a file that is written, renamed, copied and cut, and
// compressed, with a process that is killed time and again: every line is in the
// spool exactly once, and at the destination at least once.
func TestShipSurvives(t *testing.T) {
	seed := number(t, shipSeedEnv, rand.Uint64())
	t.Logf("%s=%d", shipSeedEnv, seed)
	s := &shipTest{
		t: t, total: number(t, shipLinesEnv, 20_000), kills: number(t, shipKillsEnv, 4), dir: t.TempDir(),
		rng: rand.New(rand.NewPCG(seed, 1)), arrived: map[string]int{},
	}
	s.spool = filepath.Join(s.dir, "spool")
	s.log = filepath.Join(s.dir, "audit.log")
	s.hold()
	far := httptest.NewServer(hectest.New(hectest.Options{CountOnly: true, Indexed: s.indexed}))
	defer far.Close()
	env := []string{
		"VMCP_AUDIT_SPOOL_DIR=" + s.spool, "VMCP_AUDIT_SPOOL_MAX_SIZE=20GiB", "VMCP_AUDIT_HEC_URL=" + far.URL,
		"VMCP_AUDIT_HEC_TOKEN=" + hectest.Token, "VMCP_AUDIT_HEC_ACK=off", "VMCP_AUDIT_FLUSH_TIMEOUT=1m", "GORACE=atexit_sleep_ms=0",
	}
	if bin := os.Getenv("SHIP_BINARY"); bin != "" {
		binary = bin
	}
	began := time.Now()
	written := make(chan struct{})
	rng := rand.New(rand.NewPCG(s.rng.Uint64(), 2)) // of the writer
	go func() { defer close(written); s.write(rng) }()
	for i := range s.kills {
		p := start(t, env, nil, binary, "ship", "--follow", s.log)
		at := s.total*i/s.kills + s.rng.Uint64N(s.total/s.kills)
		s.until("lines for the next kill are written", p, func() bool { return s.written.Load() >= at })
		time.Sleep(time.Duration(s.rng.IntN(400)) * time.Millisecond) // any moment will do
		_ = p.cmd.Process.Kill()
		<-p.ended
		s.wellBehaved(p)
	}
	p := start(t, env, nil, binary, "ship", "--follow", s.log)
	<-written
	s.until("every line has arrived", p, func() bool { return s.distinct.Load() >= s.total })
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	s.wellBehaved(p)
	s.check(time.Since(began))
}

type shipTest struct {
	t            *testing.T
	total, kills uint64
	dir, log     string
	spool        string
	rng          *rand.Rand // of the kills

	written  atomic.Uint64
	distinct atomic.Uint64

	mu      sync.Mutex // guards what follows
	arrived map[string]int
}

// hold makes the spool keep everything, as a destination that never answers does.
func (s *shipTest) hold() {
	sp, err := spool.Open(s.spool, spool.Options{MaxSize: 20 << 30})
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := sp.Cursor("hold")
	if err != nil {
		s.t.Fatal(err)
	}
	first := emitter.AppendEvent(nil, emitter.NewEvent(emitter.TypeAuditAdmin))
	if _, err := sp.Append(s.t.Context(), spool.Ordinary, first); err != nil {
		s.t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := sp.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shipTest) until(what string, p *process, ready func() bool) {
	s.t.Helper()
	last, deadline := uint64(0), time.Now().Add(2*patience)
	for ; !ready(); time.Sleep(5 * time.Millisecond) {
		if n := s.written.Load() + s.distinct.Load(); n != last {
			last, deadline = n, time.Now().Add(2*patience)
		}
		if time.Now().After(deadline) || !p.alive() {
			s.t.Fatalf("waited in vain until %s: %d of %d lines written, %d arrived; ship said\n%s",
				what, s.written.Load(), s.total, s.distinct.Load(), p.output())
		}
	}
}

func (s *shipTest) wellBehaved(p *process) {
	s.t.Helper()
	for line := range strings.Lines(p.output()) {
		torn := strings.Contains(line, `"cause":"torn_tail"`) // a kill leaves one now and then, and its lines are read again
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, `"level":"ERROR"`) && !torn || strings.Contains(line, "panic") {
			s.t.Errorf("ship said\n%s", p.output())
			return
		}
	}
}

// lineOf returns line i: canonical, or as ToolHive writes it.
func lineOf(i uint64) []byte {
	id := fmt.Sprintf("line-%d", i)
	if i%3 == 0 {
		return fmt.Appendf(nil, `{"time":"2026-11-22T13:39:50.678166169Z","level":"AUDIT","msg":"audit_event","audit_id":%q,"type":"mcp_tool_call","logged_at":"2026-11-22T13:39:50.678146559Z","outcome":"success","component":"lab-vmcp","source":{"type":"network","value":"203.0.113.9","extra":{"user_agent":"node"}},"subjects":{"user":"alice"},"target":{"endpoint":"/mcp","method":"tools/call","name":"search","type":"tool"},"metadata":{"extra":{"duration_ms":5,"transport":"http"}}}`+"\n", id)
	}
	e := emitter.NewEvent(emitter.TypeToolCall)
	e.AuditID = id
	e.LoggedAt = time.Now()
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Source.Value = "192.0.2.7"
	e.Target.Name = strings.Repeat("x", int(i%200))
	return append(emitter.AppendEvent(nil, e), '\n')
}

// write writes all lines, some at a time and some in two halves, and rotates the
// file now and then. It waits where the destination is far behind: else the kills
// would come when all is written.
func (s *shipTest) write(rng *rand.Rand) {
	f := s.create()
	rotations, every := 0, s.total/(3*s.kills+1)
	for next := every; s.written.Load() < s.total; {
		var some []byte
		n := min(1+rng.Uint64N(200), s.total-s.written.Load())
		for range n {
			some = append(some, lineOf(s.written.Add(1))...)
		}
		cut := rng.IntN(len(some))
		s.must(f.Write(some[:cut]))
		s.must(f.Write(some[cut:]))
		if s.written.Load() >= next {
			s.wait(func() bool { return s.distinct.Load() > 0 }) // what was rotated before ship ever looked, nobody asked for
			next += every
			f = s.rotate(f, rotations)
			rotations++
		}
		if !s.wait(func() bool { return s.written.Load() <= s.distinct.Load()+s.total/s.kills }) {
			return
		}
	}
	_ = f.Close()
	s.t.Logf("%d rotations", rotations)
}

// wait waits for ready, and reports whether the test goes on.
func (s *shipTest) wait(ready func() bool) bool {
	for !ready() {
		select {
		case <-s.t.Context().Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

func (s *shipTest) must(_ any, err error) {
	if err != nil {
		s.t.Error(err)
	}
}

func (s *shipTest) create() *os.File {
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	s.must(nil, err)
	return f
}

// rotate does one of three things that a rotation may do. Nothing is written
// meanwhile: what is between copying and cutting is lost, whoever reads.
func (s *shipTest) rotate(f *os.File, n int) *os.File {
	for k := n; k >= 1; k-- {
		for _, suffix := range []string{"", ".gz"} {
			from := fmt.Sprint(s.log, ".", k, suffix)
			if _, err := os.Stat(from); err == nil {
				s.must(nil, os.Rename(from, fmt.Sprint(s.log, ".", k+1, suffix)))
			}
		}
	}
	switch n % 3 {
	case 0:
		s.must(nil, os.Rename(s.log, s.log+".1"))
		_ = f.Close()
		f = s.create()
		s.compress(s.log + ".2") // not the newest one
	case 1:
		s.copy(s.log+".1", false)
		s.must(nil, f.Truncate(0))
	case 2:
		s.must(nil, os.Rename(s.log, s.log+".1"))
		_ = f.Close()
		f = s.create()
		s.compress(s.log + ".1")
	}
	return f
}

func (s *shipTest) copy(to string, zip bool) {
	from, err := os.Open(strings.TrimSuffix(to, ".gz"))
	if !zip {
		from, err = os.Open(s.log)
	}
	if err != nil {
		s.t.Error(err)
		return
	}
	defer from.Close()
	f, err := os.Create(to)
	if err != nil {
		s.t.Error(err)
		return
	}
	var w io.WriteCloser = f
	if zip {
		w = gzip.NewWriter(f)
	}
	s.must(io.Copy(w, from))
	s.must(nil, w.Close())
	if zip {
		s.must(nil, f.Close())
	}
}

func (s *shipTest) compress(path string) {
	if _, err := os.Stat(path); err == nil {
		s.copy(path+".gz", true)
		s.must(nil, os.Remove(path))
	}
}

// idIn returns the audit_id of an event, and whether it is of a line.
func idIn(body []byte) (string, bool) {
	_, rest, _ := bytes.Cut(body, []byte(`"audit_id":"`))
	id, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(id), bytes.HasPrefix(id, []byte("line-"))
}

func (s *shipTest) indexed(e hectest.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := idIn(e.Body); ok {
		if s.arrived[id]++; s.arrived[id] == 1 {
			s.distinct.Add(1)
		}
	}
}

// check counts what is in the spool, and at the destination.
func (s *shipTest) check(took time.Duration) {
	log, err := spool.OpenLog(s.spool)
	if err != nil {
		s.t.Fatal(err)
	}
	stored, lost := map[string]int{}, 0
	for r, err := range log.Records() {
		if err != nil {
			s.t.Error(err)
			continue
		}
		if id, ok := idIn(r.Payload); ok {
			stored[id]++
		} else if bytes.Contains(r.Payload, []byte(`"type":"audit_loss"`)) && !bytes.Contains(r.Payload, []byte(`"cause":"torn_tail"`)) {
			lost++
		}
	}
	again, wrong := 0, 0
	for i := uint64(1); i <= s.total; i++ {
		id := fmt.Sprint("line-", i)
		if stored[id] != 1 || s.arrived[id] < 1 {
			if wrong++; wrong < 10 {
				s.t.Errorf("%s is %d times in the spool and came %d times", id, stored[id], s.arrived[id])
			}
		}
		again += s.arrived[id] - 1
	}
	if wrong > 0 || lost > 0 || len(stored) != int(s.total) {
		s.t.Errorf("%d lines are wrong, %d losses are told, %d lines are in the spool", wrong, lost, len(stored))
	}
	if aside, _ := filepath.Glob(filepath.Join(s.spool, "aside", "*")); len(aside) > 0 {
		s.t.Errorf("lines were kept aside: %v", aside)
	}
	s.t.Logf("%d lines, %d kills: each once in the spool, %d came twice, in %v", s.total, s.kills, again, took.Round(time.Millisecond))
}

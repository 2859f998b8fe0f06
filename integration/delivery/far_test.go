package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

// far is the far end: a collector on a real connection that misbehaves now and
// then. Of what is indexed it keeps the ids, and has the chain verified.
type far struct {
	t         *testing.T
	acks      bool
	addr      string
	tokenFile string
	c         *hectest.Collector
	restarts  sync.WaitGroup
	trail     *io.PipeWriter // indexed bodies, on their way to the verifier
	report    chan *chain.Report

	redirected chan struct{} // a redirect that was asked for has been answered

	mu       sync.Mutex // guards all below
	srv      *http.Server
	away     bool                // it is about to come back
	conns    map[string]struct{} // that are open, by the client's address
	over     map[string]struct{} // that were
	rng      *rand.Rand
	ledger   map[string]int  // how often each fault happened
	mayTwice int             // events that these faults may have indexed once more
	channels map[string]bool // of the present process: one for each epoch of acknowledgements
	epochs   int             // that have ended otherwise than by a kill
	calm     bool            // the next request is served well
	told     bool            // an acknowledgement came true since the last fault of acknowledgements
	redirect bool            // the next request with events is redirected
	followed bool            // somebody came to where a redirect leads
	tokens   int

	ids        map[string]uint64 // seq of each audit_id
	highest    uint64
	duplicates int
	wrong      []string // the first things that must not be
}

func startFar(t *testing.T, acks bool) *far {
	t.Helper()
	r, w := io.Pipe()
	f := &far{
		t: t, acks: acks, trail: w, report: make(chan *chain.Report, 1), redirected: make(chan struct{}, 1),
		tokenFile: filepath.Join(t.TempDir(), "token"),
		rng:       rand.New(rand.NewPCG(*seed, 1)), ledger: map[string]int{}, channels: map[string]bool{}, ids: map[string]uint64{},
		conns: map[string]struct{}{}, over: map[string]struct{}{},
	}
	f.c = hectest.New(hectest.Options{Acks: acks, CountOnly: true, Indexed: f.indexed})
	f.rotate()
	go func() {
		v := new(chain.Verifier)
		if _, err := v.Lines(context.Background(), "indexed", r); err != nil {
			t.Error(err)
		}
		f.report <- v.Report()
	}()
	f.listen(freeAddress(t))
	t.Cleanup(func() {
		f.restarts.Wait()
		_ = f.srv.Close()
		_ = w.Close()
	})
	return f
}

// listen begins to serve.
func (f *far) listen(addr string) {
	l, err := net.Listen("tcp", addr)
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); l, err = net.Listen("tcp", addr) {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		f.t.Error(err)
		return
	}
	srv := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute, ConnState: f.connState}
	f.mu.Lock()
	f.addr, f.srv, f.away = l.Addr().String(), srv, false
	f.mu.Unlock()
	go func() { _ = srv.Serve(l) }()
}

// connState takes note of connections.
func (f *far) connState(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch addr := c.RemoteAddr().String(); state {
	case http.StateNew:
		f.conns[addr] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(f.conns, addr)
		f.over[addr] = struct{}{}
	default:
	}
}

// idle reports whether there is no connection, and none that waits to be accepted:
// they are accepted in turn, so that one more shows it.
func (f *far) idle() bool {
	f.mu.Lock()
	addr, away := f.addr, f.away
	clear(f.over)
	f.mu.Unlock()
	if away {
		return false
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	last := c.LocalAddr().String()
	_ = c.Close()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		_, over := f.over[last]
		open := len(f.conns)
		f.mu.Unlock()
		if over {
			return open == 0
		}
	}
	return false
}

// restart cuts all connections, forgets the channels and comes back a little
// later; f.mu is held.
func (f *far) restart() {
	f.away = true
	away := time.Duration(50+f.rng.IntN(250)) * time.Millisecond
	srv := f.srv
	f.restarts.Go(func() {
		_ = srv.Close()
		f.c.Restart()
		time.Sleep(away)
		f.listen(f.addr)
	})
}

// rotate makes another token the valid one, first in the file.
func (f *far) rotate() {
	f.tokens++
	token := fmt.Sprintf("5c0ffee5-0000-4000-8000-%012d", f.tokens)
	if err := os.WriteFile(f.tokenFile+".new", []byte(token+"\n"), 0o600); err != nil {
		f.t.Error(err)
	}
	if err := os.Rename(f.tokenFile+".new", f.tokenFile); err != nil {
		f.t.Error(err)
	}
	f.c.SetToken(token)
}

// indexed takes note of an event.
func (f *far) indexed(e hectest.Event) {
	_, in, ok := emitter.SplitIntegrity(e.Body)
	_, rest, _ := bytes.Cut(e.Body, []byte(`"audit_id":"`))
	id, _, found := bytes.Cut(rest, []byte{'"'})
	f.mu.Lock()
	seq, again := f.ids[string(id)]
	switch {
	case !ok || !found:
		f.complain("no event: %s", e.Body)
	case again && seq != in.Seq:
		f.complain("%s has the seqs %d and %d", id, seq, in.Seq)
	case again:
		f.duplicates++
	case in.Seq <= f.highest:
		f.complain("seq %d came for the first time behind %d", in.Seq, f.highest)
	default:
		f.ids[string(id)], f.highest = in.Seq, in.Seq
	}
	f.mu.Unlock()
	_, _ = f.trail.Write(append(e.Body, '\n'))
}

func (f *far) complain(format string, args ...any) {
	if len(f.wrong) < 10 {
		f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
	}
}

// indexedCount returns how many different events are indexed.
func (f *far) indexedCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ids)
}

// ServeHTTP answers a request well or badly.
func (f *far) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	isEvent, isAck := strings.HasSuffix(r.URL.Path, "/event"), strings.HasSuffix(r.URL.Path, "/ack")
	f.mu.Lock()
	f.channels[r.Header.Get("X-Splunk-Request-Channel")] = true
	f.followed = f.followed || !isEvent && !isAck
	var fault string
	switch {
	case isEvent:
		fault = f.faultOfEvents()
	case isAck:
		fault = f.faultOfAcks()
	}
	if fault != "" {
		f.ledger[fault]++
	}
	f.mu.Unlock()
	spy := &spy{ResponseWriter: w}
	if fault == "acknowledgement lost" {
		spy.ResponseWriter = nowhere{}
	}
	f.c.ServeHTTP(spy, r)
	f.mu.Lock()
	f.told = f.told || isAck && spy.told && fault != "acknowledgement lost"
	if isEvent && fault == "" && (r.Context().Err() != nil || time.Since(began) > answerTime/2) { // or it may have gone
		f.ledger["client went away"]++
		f.mayTwice += request
	}
	f.mu.Unlock()
	if fault == "acknowledgement lost" {
		panic(http.ErrAbortHandler)
	}
}

// spy sees whether an acknowledgement is told.
type spy struct {
	http.ResponseWriter
	told bool
}

func (s *spy) Write(p []byte) (int, error) {
	s.told = s.told || bytes.Contains(p, []byte("true"))
	return s.ResponseWriter.Write(p)
}

// nowhere is an answer that nobody gets.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

// eventFault is a fault of a request with events. twice is how many events it
// may have indexed although they will be sent again.
type eventFault struct {
	name  string
	twice int
	make  func(f *far) hectest.Fault
}

var eventFaults = []eventFault{
	{"busy", 0, func(*far) hectest.Fault { return hectest.Busy() }},
	{"too many", 0, func(f *far) hectest.Fault { return hectest.RetryAfter(fmt.Sprint(f.rng.IntN(2))) }},
	{"login page", 0, func(*far) hectest.Fault { return hectest.HTML(http.StatusOK) }},
	{"cut before", 0, func(*far) hectest.Fault { return hectest.CutBefore() }},
	{"cut after", request, func(*far) hectest.Fault { return hectest.CutAfter() }},
	{"cut after", request, func(*far) hectest.Fault { return hectest.CutAfter() }},
	{"half", request, func(f *far) hectest.Fault { return hectest.Half(1 + f.rng.IntN(request-1)) }},
	{"hang before", 0, func(*far) hectest.Fault { return hectest.Hang() }},
	{"hang after", request, func(*far) hectest.Fault { return hectest.Fault{Index: -1, Hang: true} }},
	{"token rotated", 0, func(f *far) hectest.Fault {
		fault := hectest.Code(http.StatusForbidden, 4, "Invalid token")
		fault.Do, f.calm = f.rotate, true
		return fault
	}},
	{"restart", request, func(f *far) hectest.Fault {
		f.restart()
		f.told = false
		return hectest.CutAfter()
	}},
}

// faultOfEvents arms the collector with a fault, or with none; f.mu is held.
func (f *far) faultOfEvents() string {
	switch {
	case f.calm:
		f.calm = false
		return ""
	case f.redirect:
		f.redirect = false
		f.c.Fail(hectest.Redirect(http.StatusFound, "http://"+f.addr+"/login"))
		f.redirected <- struct{}{}
		return "redirect"
	case f.rng.IntN(7) > 0:
		return ""
	}
	e := eventFaults[f.rng.IntN(len(eventFaults))]
	if e.name == "restart" && (f.away || f.acks && !f.told) {
		return "" // twice in a row would be a collector whose acknowledgements do not work
	}
	f.mayTwice += e.twice
	f.c.Fail(e.make(f))
	return e.name
}

// faultOfAcks does the same for a question for acknowledgements. What these
// faults index twice is counted by the epochs that they end.
func (f *far) faultOfAcks() string {
	if !f.told || f.away || f.rng.IntN(4) > 0 {
		return ""
	}
	f.told = false
	later := hectest.Fault{Path: "/ack", Status: http.StatusOK, Body: `{"acks":{}}`}
	switch f.rng.IntN(6) {
	case 0:
		busy := hectest.Busy()
		busy.Path = "/ack"
		f.c.Fail(busy)
		return "acknowledgement busy"
	case 1:
		f.c.Fail(later)
		return "acknowledgement late"
	case 2:
		later.Do = f.c.ForgetAcks
		f.c.Fail(later)
		return "acknowledgements forgotten"
	case 3:
		f.c.NeverAck(true)
		time.AfterFunc(ackTimeout+500*time.Millisecond, func() { f.c.NeverAck(false) })
		return "acknowledgement too late"
	case 4:
		f.restart()
		f.c.Fail(hectest.Fault{Path: "/ack"})
		return "restart"
	}
	return "acknowledgement lost"
}

// closeEpochs counts the epochs that a process, which has ended, ended itself;
// f.mu is held.
func (f *far) closeEpochs() {
	if f.acks {
		f.epochs += max(0, len(f.channels)-1)
	}
	clear(f.channels)
}

// bound returns how many events the faults may have indexed more than once: what
// was indexed and not said, and one Send for each epoch that ended.
func (f *far) bound() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeEpochs()
	return f.mayTwice + f.epochs*window
}

// faults lists what has happened.
func (f *far) faults() (list string, sum int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var words []string
	for _, name := range slices.Sorted(maps.Keys(f.ledger)) {
		words = append(words, fmt.Sprint(f.ledger[name], " ", name))
		sum += f.ledger[name]
	}
	return strings.Join(words, ", "), sum
}

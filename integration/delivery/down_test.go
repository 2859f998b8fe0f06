package delivery

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
	"github.com/vmcp-audit/vmcp-audit/emitter/file"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// mostHeap bounds what a backlog may add to the heap, in bytes. As events in
// memory it would be a hundred million.
const mostHeap = 32 << 20

// TestOneDestinationDown has one of two destinations down: the other gets
// everything as if it were alone, and the one that was down gets it all when it
// is back.
func TestOneDestinationDown(t *testing.T) {
	total := 100_000
	if testing.Short() || raceDetector {
		total /= 10
	}
	alone := newPair(t, "")
	base := alone.fill(total)
	alone.stop()

	addr := freeAddress(t) // nobody there
	p := newPair(t, "http://"+addr)
	before := heap()
	took := p.fill(total)
	grown := int64(heap()) - int64(before)
	t.Logf("%d events to the file: %v alone, %v beside a destination that is down: ratio %.2f; heap in use %+d KiB",
		total, base.Round(time.Millisecond), took.Round(time.Millisecond), took.Seconds()/base.Seconds(), grown>>10)
	if grown > mostHeap {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	p.until("it was tried to reach the one that is down", func() bool { return p.em.Stats().Routes[1].Failures > 0 })
	st := p.em.Stats().Routes[1]
	if st.State != emitter.RouteRetrying || st.Pending < uint64(total) || st.Sent > 0 || st.Failures == 0 || st.LastError == "" || st.Down.IsZero() {
		t.Errorf("stats of the one that is down: %+v", st)
	}
	p.comesBack(addr)
	p.stop()
}

// pair is an emitter with a file, and a collector at url if that is not empty.
type pair struct {
	t    *testing.T
	dir  string
	sp   *spool.Spool
	em   *emitter.Emitter
	quit context.CancelFunc
	done chan error
}

func newPair(t *testing.T, url string) *pair {
	t.Helper()
	p := &pair{t: t, dir: t.TempDir(), done: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	out, err := file.Open(filepath.Join(p.dir, "audit.jsonl"), file.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	routes := []emitter.Route{{Name: "file", Sink: out}}
	if url != "" {
		sink, err := hec.New(url, hec.Options{Token: func() (string, error) { return hectest.Token, nil }, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sink.Close() })
		routes = append(routes, emitter.Route{Name: "splunk", Sink: sink})
	}
	p.sp, err = spool.Open(filepath.Join(p.dir, "spool"), spool.Options{MinFree: -1, Log: log, Gap: emitter.GapPayload(emitter.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.sp.Close() })
	if p.em, err = emitter.New(p.sp, emitter.Options{Log: log}, routes...); err != nil {
		t.Fatal(err)
	}
	ctx, quit := context.WithCancel(context.Background())
	p.quit = quit
	go func() { p.done <- p.em.Run(ctx) }()
	return p
}

// fill emits total events and returns how long it took until the file had them.
func (p *pair) fill(total int) time.Duration {
	p.t.Helper()
	began := time.Now()
	var stored atomic.Int64
	emitAll(p.em, total, func(string) { stored.Add(1) })
	p.until("the file has everything", func() bool { return p.em.Stats().Routes[0].Pending == 0 })
	if stored.Load() != int64(total) {
		p.t.Errorf("%d events stored, want %d", stored.Load(), total)
	}
	return time.Since(began)
}

func (p *pair) until(what string, ready func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ready(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("waited in vain until %s: %+v", what, p.em.Stats())
		}
	}
}

// comesBack starts the collector and waits until it has everything, in order.
func (p *pair) comesBack(addr string) {
	t := p.t
	t.Helper()
	r, w := io.Pipe()
	v, verified := new(chain.Verifier), make(chan error, 1)
	go func() {
		_, err := v.Lines(context.Background(), "indexed", r)
		verified <- err
	}()
	c := hectest.New(hectest.Options{CountOnly: true, Indexed: func(e hectest.Event) { _, _ = w.Write(append(e.Body, '\n')) }})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	began := time.Now()
	go func() { _ = srv.Serve(l) }()
	var st emitter.RouteStats
	p.until("the destination that was down has everything", func() bool {
		st = p.em.Stats().Routes[1]
		return st.Pending == 0 && st.State == emitter.RouteUp
	})
	t.Logf("it is back: %d events in %v", c.Count(), time.Since(began).Round(time.Millisecond))
	_ = srv.Close()
	_ = w.Close()
	if err := <-verified; err != nil {
		t.Fatal(err)
	}
	if report := v.Report(); !report.OK() || report.Streams[0].First != 1 || report.Streams[0].Duplicates > 0 {
		t.Errorf("what it got does not verify: %+v, %+v", report, st)
	}
}

func (p *pair) stop() {
	p.t.Helper()
	p.quit()
	if err := <-p.done; err != nil {
		p.t.Error(err)
	}
	b, err := os.ReadFile(filepath.Join(p.dir, "audit.jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	v := new(chain.Verifier)
	n, err := v.Lines(context.Background(), "audit.jsonl", bytes.NewReader(b))
	if report := v.Report(); err != nil || !report.OK() || report.Streams[0].First != 1 || report.Streams[0].Duplicates > 0 || uint64(n) != report.Streams[0].Records {
		p.t.Errorf("the file does not verify: %v, %+v", err, report)
	}
}

// heap returns the bytes of the heap in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

package ship

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// longest bounds every wait; only a fault makes a test wait that long.
const longest = 5 * time.Minute

// bench is a folder with a log, and the spool that it is shipped to.
type bench struct {
	t    *testing.T
	dir  string
	log  string
	size int64 // of the spool
	said bytes.Buffer
}

func newBench(t *testing.T) *bench {
	dir := t.TempDir()
	return &bench{t: t, dir: dir, log: filepath.Join(dir, "audit.log")}
}

// line returns a line with its end; every third one is ToolHive's.
func line(id string) string {
	if len(id)%3 == 0 {
		return `{"type":"mcp_ping","logged_at":"2026-11-22T13:39:50.678146559Z","outcome":"success","audit_id":"` + id + `"}` + "\n"
	}
	return `{"schema":"1.0","audit_id":"` + id + `","type":"mcp_ping","stage":"completed","logged_at":"2026-01-02T03:04:05.000000Z","outcome":"success"}` + "\n"
}

func (b *bench) must(_ any, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) append(path, text string) {
	b.t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	b.must(f, err)
	b.must(f.WriteString(text))
	b.must(nil, f.Close())
}

func (b *bench) rename(from, to string) { b.t.Helper(); b.must(nil, os.Rename(from, to)) }

func (b *bench) zip(path string) {
	b.t.Helper()
	text, err := os.ReadFile(path)
	b.must(nil, err)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	b.must(z.Write(text))
	b.must(nil, z.Close())
	b.must(nil, os.WriteFile(path+".gz", out.Bytes(), 0o600))
	b.must(nil, os.Remove(path))
}

// copyCut is what copytruncate does.
func (b *bench) copyCut(to string) {
	b.t.Helper()
	text, err := os.ReadFile(b.log)
	b.must(nil, err)
	b.must(nil, os.WriteFile(to, text, 0o600))
	b.must(nil, os.Truncate(b.log, 0))
}

// open opens the spool, with a cursor that keeps everything.
func (b *bench) open() (*spool.Spool, *emitter.Emitter) {
	b.t.Helper()
	sp, err := spool.Open(filepath.Join(b.dir, "spool"), spool.Options{MaxSize: b.size, MinFree: -1, Full: spool.Refuse, Gap: emitter.GapPayload(emitter.Options{})})
	b.must(sp, err)
	c, err := sp.Cursor("hold")
	b.must(c, err)
	b.must(nil, c.Close())
	em, err := emitter.New(sp, emitter.Options{})
	b.must(em, err)
	return sp, em
}

func (b *bench) options(inputs ...string) Options {
	if len(inputs) == 0 {
		inputs = []string{b.log}
	}
	return Options{
		Inputs: inputs, Log: slog.New(slog.NewTextHandler(io.MultiWriter(&b.said, b.t.Output()), nil)),
		poll: 2 * time.Millisecond, drain: time.Hour, patience: 20 * time.Millisecond,
	}
}

// ship runs without Follow and returns what was counted.
func (b *bench) ship(inputs ...string) Stats {
	b.t.Helper()
	sp, em := b.open()
	s := New(em, sp, b.options(inputs...))
	b.must(nil, s.Run(b.t.Context()))
	b.must(nil, sp.Close())
	return s.Stats()
}

// stored returns the ids of the events in the spool, in order; of losses their
// cause and place.
func (b *bench) stored() (ids []string) {
	b.t.Helper()
	l, err := spool.OpenLog(filepath.Join(b.dir, "spool"))
	b.must(l, err)
	for r, err := range l.Records() {
		b.must(nil, err)
		e, err := emitter.Decode(r.Payload)
		b.must(nil, err)
		if e.Type == emitter.TypeAuditLoss {
			e.AuditID = e.Loss.Cause + " " + filepath.Base(e.Target.Name) + " " + e.Metadata.Extra.ErrorMessage
		}
		ids = append(ids, e.AuditID)
	}
	return ids
}

func (b *bench) want(ids ...string) {
	b.t.Helper()
	if diff := cmp.Diff(ids, b.stored()); diff != "" {
		b.t.Errorf("-want +got\n%s", diff)
	}
}

// kept returns what was kept aside.
func (b *bench) kept() (all []Aside) {
	b.t.Helper()
	paths, err := filepath.Glob(filepath.Join(b.dir, "spool", emitter.AsideLines, "*.jsonl"))
	b.must(paths, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		b.must(nil, err)
		for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
			var a Aside
			b.must(nil, dec.Decode(&a))
			if a.Time.IsZero() {
				b.t.Error("no time")
			}
			a.Time = time.Time{}
			all = append(all, a)
		}
	}
	return all
}

// follow runs with Follow until stop is called.
func (b *bench) follow() (s *Shipper, stop func()) {
	b.t.Helper()
	sp, em := b.open()
	opt := b.options()
	opt.Follow = true
	return b.start(sp, em, opt)
}

// start runs until stop is called.
func (b *bench) start(sp *spool.Spool, em *emitter.Emitter, opt Options) (s *Shipper, stop func()) {
	b.t.Helper()
	s = New(em, sp, opt)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() {
		b.t.Helper()
		cancel()
		b.must(nil, <-ended)
		b.must(nil, sp.Close())
	}
}

func (b *bench) until(s *Shipper, events uint64) {
	b.t.Helper()
	for end := time.Now().Add(longest); s.Stats().Events < events; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain for %d events: %+v", events, s.Stats())
		}
	}
}

package delivery

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

var seed = flag.Uint64("seed", 1, "of the faults and kills")

// raceDetector says that it is on: the far end is ten times slower then.
var raceDetector bool

// What the child is told by its environment.
const (
	envDir   = "DELIVERY_DIR" // set: this process is the child
	envURL   = "DELIVERY_URL"
	envToken = "DELIVERY_TOKEN_FILE"
	envAcks  = "DELIVERY_ACKS"
	envCount = "DELIVERY_COUNT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The child's sizes, by which duplicates are bounded.
const (
	route      = "splunk"
	emitters   = 128
	request    = 1000 // events of one request
	window     = 4000 // events of one Send
	markEvery  = 1000 // a mark is saved when so many more are confirmed
	ackTimeout = 1500 * time.Millisecond
	answerTime = 3 * time.Second // a request may take so long
)

// child emits events, says on stdout the id of each that Emit has stored, and
// delivers, until its standard input ends or it is killed.
func child(dir string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	sp, err := spool.Open(dir, spool.Options{MaxSize: 512 << 20, MinFree: -1, Gap: emitter.GapPayload(emitter.Options{}), Log: log})
	if err != nil {
		return err
	}
	opt := hec.Options{TokenFile: os.Getenv(envToken), Ack: hec.AckOff, AckTimeout: ackTimeout, Timeout: answerTime, MaxEvents: request, Log: log}
	if os.Getenv(envAcks) == "true" {
		opt.Ack = hec.AckOn
	}
	sink, err := hec.New(os.Getenv(envURL), opt)
	if err != nil {
		return err
	}
	em, err := emitter.New(sp, emitter.Options{Log: log}, emitter.Route{Name: route, Sink: sink, BatchRecords: window, BatchBytes: 64 << 20})
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(os.Getenv(envCount))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- em.Run(ctx) }()
	emitAll(em, count, func(id string) { fmt.Fprintln(os.Stdout, id) })
	fmt.Fprintln(os.Stdout, "done")
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	err = cmp.Or(<-ended, sp.Close())
	stats, _ := json.Marshal(em.Stats().Routes)
	log.Info("end", "routes", string(stats), "hec", fmt.Sprintf("%+v", sink.Stats()))
	return err
}

// freeAddress returns an address on which nobody listens, with a port below those
// that the system gives away, so that it stays free while nobody does.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+mathrand.IntN(12000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// emitAll emits count events from several goroutines and calls stored with the
// id of each, once it is on disk.
func emitAll(em *emitter.Emitter, count int, stored func(id string)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range emitters {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(count); i = next.Add(1) {
				e := event(int(i))
				if err := em.Emit(context.Background(), e); err != nil {
					fmt.Fprintln(os.Stderr, "child: emit:", err)
					os.Exit(1)
				}
				stored(e.AuditID)
			}
		})
	}
	wg.Wait()
}

// event returns an event as a tool call makes it.
func event(i int) *emitter.Event {
	e := emitter.NewEvent(emitter.TypeToolCall)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Source = emitter.Source{Type: "network", Value: "192.0.2.7", Peer: "192.0.2.7", Port: 40000 + i%20000}
	e.Source.Extra.UserAgent = "example-client/1.2.3"
	e.Source.Extra.RequestID = rand.Text()
	e.Target.Type, e.Target.Name = "tool", "search "+strconv.Itoa(i)
	e.Target.Method = "tools/call"
	e.Client.NameClaimed, e.Client.VersionClaimed = "example-client", "1.2.3"
	e.Metadata.Extra.DurationMS = emitter.Of(int64(i % 300))
	return e
}

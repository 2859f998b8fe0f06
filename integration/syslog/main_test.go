package syslog

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/emitter/syslog"
	"github.com/vmcp-audit/vmcp-audit/integration/receivers"
)

// patience is the longest wait for anything: what takes longer has failed.
const patience = 3 * time.Minute

var events = flag.Int("events", 3000, "events for each receiver")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// padding makes a message about as long as that of a tool call.
var padding = strings.Repeat("x", 500)

// brief is a message with the number of its event; the audit's own have none.
func brief(dst []byte, e *emitter.Event) []byte {
	number := ""
	if e.Type == emitter.TypeToolCall {
		number = e.Target.Name
	}
	return fmt.Appendf(dst, "<134>1 %s gw vmcp-audit - - - event %s %s", e.LoggedAt.Format("2006-01-02T15:04:05.000000Z"), number, padding)
}

// trail is an emitter with one route, to a receiver.
type trail struct {
	*emitter.Emitter

	sink *syslog.Sink
	stop func()
}

func newTrail(t *testing.T, to syslog.Address, opt syslog.Options) *trail {
	t.Helper()
	sp, err := spool.Open(t.TempDir(), spool.Options{MaxSize: 512 << 20, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	opt.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	sink, err := syslog.New(to, opt)
	if err != nil {
		t.Fatal(err)
	}
	em, err := emitter.New(sp, emitter.Options{Log: opt.Log, FlushTimeout: patience}, emitter.Route{Name: "syslog", Format: brief, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- em.Run(ctx) }()
	done := false
	tr := &trail{Emitter: em, sink: sink}
	tr.stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
		if err := sp.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(tr.stop)
	return tr
}

// emit emits the events from from up to to.
func (tr *trail) emit(t *testing.T, from, to int) {
	t.Helper()
	const batch = 100
	for from < to {
		var all []*emitter.Event
		for ; from < to && len(all) < batch; from++ {
			e := emitter.NewEvent(emitter.TypeToolCall)
			e.Conclude(emitter.OutcomeSuccess, "")
			e.Target.Name = strconv.Itoa(from)
			all = append(all, e)
		}
		if err := tr.EmitAll(context.Background(), all...); err != nil {
			t.Error(err)
			return
		}
	}
}

// numbers returns the numbers of the events in messages, as they came, without
// those of the audit's own, which have none.
func numbers(t *testing.T, messages []receivers.Message) (all []int) {
	t.Helper()
	for _, m := range messages {
		text := strings.TrimPrefix(m.Msg, "\ufeff")
		rest, ok := strings.CutPrefix(text, "event ")
		number, pad, _ := strings.Cut(rest, " ")
		if number == "" && ok {
			continue
		}
		n, err := strconv.Atoi(number)
		if !ok || err != nil || pad != padding {
			t.Errorf("no message of ours: %.100q", m.Msg)
			continue
		}
		all = append(all, n)
	}
	return all
}

// count tells how many of the events up to n are missing in numbers, how many came
// again, and whether each came first after those before it.
func count(numbers []int, n int) (missing, again int, ordered bool) {
	seen := make([]bool, n)
	next, ordered := 0, true
	for _, i := range numbers {
		if i < 0 || i >= n {
			return n, again, false
		}
		if seen[i] {
			again++
			continue
		}
		seen[i] = true
		ordered = ordered && i >= next
		next = i + 1
	}
	for _, s := range seen {
		if !s {
			missing++
		}
	}
	return missing, again, ordered
}

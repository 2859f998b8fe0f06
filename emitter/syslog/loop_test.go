package syslog

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// TestReceiverThatClosesAllTheTime delivers, from the spool, to a receiver that
// closes each connection after a few messages, and resets it where there are more.
func TestReceiverThatClosesAllTheTime(t *testing.T) {
	p := newPeer(t, "tcp", FramingOctet, func(p *peer) { p.after = 7 })
	sp, err := spool.Open(t.TempDir(), spool.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	s := newSink(t, p.at(), Options{Framing: FramingOctet, SettleTime: DefaultSettleTime})
	number := func(dst []byte, e *emitter.Event) []byte { return fmt.Appendf(dst, "<134>1 %s", e.Target.Name) }
	em, err := emitter.New(sp, emitter.Options{FlushTimeout: 2 * patience, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, emitter.Route{Name: "m", Format: number, Sink: s})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 200 {
		e := emitter.NewEvent(emitter.TypeToolCall)
		e.Conclude(emitter.OutcomeSuccess, "")
		e.Target.Name = fmt.Sprint(i)
		if err := em.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		want = append(want, "<134>1 "+e.Target.Name)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- em.Run(ctx) }()
	for end := time.Now().Add(2 * patience); em.Stats().Routes[0].Sent < 200 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	p.set(func() { p.after = 0 }) // for the last events
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var got []string
	for _, m := range p.received() {
		if !seen[m] && len(got) < len(want) && m != "<134>1 " && m != "<134>1 m" { // the audit's own events
			got = append(got, m)
		}
		seen[m] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if st := em.Stats().Routes[0]; st.Pending != 0 || len(p.received()) > 2*len(want) {
		t.Errorf("%d arrived, %+v, %+v", len(p.received()), st, s.Stats())
	}
}

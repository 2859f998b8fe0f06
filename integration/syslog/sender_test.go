package syslog

import (
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/syslog"
)

// sender is a sink without a delivery loop.
type sender struct {
	*syslog.Sink

	seq uint64
}

func newSender(t *testing.T, to syslog.Address, opt syslog.Options) *sender {
	t.Helper()
	opt.SettleTime = 2 * patience // nothing settles before the receiver has said what it has against it
	sink, err := syslog.New(to, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return &sender{Sink: sink}
}

// deliver sends bodies one by one; what is refused for good is left out.
func (s *sender) deliver(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		s.seq++
		if _, err := s.Send(t.Context(), []emitter.Record{{Seq: s.seq, Body: []byte(body)}}); err != nil && !emitter.IsPermanent(err) {
			t.Fatal(err)
		}
	}
}

func (s *sender) settle(t *testing.T) {
	t.Helper()
	if _, err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// fails sends a message and returns the error that comes of it, at once or when
// the receiver has had a look at it.
func (s *sender) fails(t *testing.T) error {
	t.Helper()
	_, err := s.Send(t.Context(), []emitter.Record{{Seq: 1, Body: []byte("<134>1 - gw vmcp-audit - - - message")}})
	for end := time.Now().Add(patience); err == nil; time.Sleep(time.Millisecond) {
		if _, err = s.Settled(); err == nil && time.Now().After(end) {
			t.Fatal("nothing fails")
		}
	}
	return err
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

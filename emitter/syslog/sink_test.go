package syslog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// TestOneConnection sends many batches over one connection, which settle by time.
func TestOneConnection(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, nil)
	s := newSink(t, p.at(), Options{SettleTime: time.Millisecond})
	for i := range 50 {
		mustSend(t, s, numbered(10*i+1, 10*i+10))
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		seq, err := s.Settled()
		if err != nil || time.Now().After(end) {
			t.Fatalf("settled up to %d, %v", seq, err)
		}
		if seq == 500 {
			break
		}
	}
	if diff := cmp.Diff(messages(500), p.wait(500)); diff != "" || s.Stats().Connections != 1 {
		t.Errorf("%d connections; -want +got\n%s", s.Stats().Connections, diff)
	}
}

// TestNotSettledBeforeItsTime keeps what was just written in doubt.
func TestNotSettledBeforeItsTime(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, nil)
	s := newSink(t, p.at(), Options{SettleTime: time.Hour})
	mustSend(t, s, numbered(1, 10))
	p.wait(10)
	if seq, err := s.Settled(); seq != 0 || err != nil {
		t.Errorf("settled up to %d, %v", seq, err)
	}
}

// TestWindow settles what has a window behind it, at once.
func TestWindow(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, nil)
	s := newSink(t, p.at(), Options{SettleTime: time.Hour, Window: 1})
	mustSend(t, s, numbered(1, 10))
	mustSend(t, s, numbered(11, 20))
	p.wait(20)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		seq, err := s.Settled()
		if seq == 10 && err == nil {
			break
		}
		if err != nil || seq > 10 || time.Now().After(end) {
			t.Fatalf("settled up to %d, %v", seq, err)
		}
	}
}

// TestReceiverCloses has a receiver that closes when something is in doubt: the
// sink says so, and takes it again on another connection.
func TestReceiverCloses(t *testing.T) {
	for _, framing := range []Framing{FramingOctet, FramingLF} {
		p := newPeer(t, "tcp", framing, func(p *peer) { p.after = 3 })
		s := newSink(t, p.at(), Options{Framing: framing})
		mustSend(t, s, numbered(1, 3))
		wantError(t, loses(t, s), "plain", "the receiver closed the connection")
		mustSend(t, s, numbered(1, 3))
		err := loses(t, s)
		wantError(t, err, "plain", "again before anything counted as delivered")
		if !strings.Contains(err.Error(), framingHint[framing]) {
			t.Errorf("no hint: %v", err)
		}
		// It closes of its own accord before we do: that shows nothing.
		mustSend(t, s, numbered(1, 3))
		<-s.session.ended
		if seq, err := s.Settle(t.Context()); seq != 0 || err == nil {
			t.Errorf("Settle = %d, %v", seq, err)
		}
		mustSend(t, s, numbered(1, 2)) // fewer than it closes at
		mustSettle(t, s, 2, receiptRead)
		if st := s.Stats(); st.Connections != 4 || st.Broken != 3 {
			t.Errorf("%+v", st)
		}
	}
}

// TestIdleConnectionThatWasClosed is replaced without a word.
func TestIdleConnectionThatWasClosed(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, nil)
	s := newSink(t, p.at(), Options{SettleTime: time.Nanosecond})
	mustSend(t, s, numbered(1, 1))
	p.wait(1)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if seq, err := s.Settled(); seq == 1 && err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing settles")
		}
	}
	p.fail()()
	select {
	case <-s.session.ended:
	case <-time.After(patience):
		t.Fatal("the end is not noticed")
	}
	mustSend(t, s, numbered(2, 2))
	if diff := cmp.Diff(messages(2), p.wait(2)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if st := s.Stats(); st.Connections != 2 || st.Broken != 0 {
		t.Errorf("%+v", st)
	}
}

// TestReceiverThatDoesNotRead is given up when nothing goes on, and nothing that
// it has not got counts.
func TestReceiverThatDoesNotRead(t *testing.T) {
	stalls := make(chan struct{})
	defer close(stalls)
	p := newPeer(t, "tcp", FramingLF, func(p *peer) { p.stalls = stalls })
	s := newSink(t, p.at(), Options{Timeout: 100 * time.Millisecond, SettleTime: time.Millisecond, MaxSize: 1 << 20})
	long := []byte("<134>" + strings.Repeat("x", 1<<20-5))
	var err error
	seq := uint64(0)
	for ; err == nil; seq++ {
		if seq > 100 {
			t.Fatal("100 MiB were written to a receiver that does not read")
		}
		_, err = s.Send(t.Context(), []emitter.Record{{Seq: seq + 1, Body: long}})
	}
	wantError(t, err, "plain", "")
	if settled, _ := s.Settled(); settled >= seq || len(p.received()) > 0 {
		t.Errorf("settled up to %d of %d, the receiver got %d", settled, seq, len(p.received()))
	}
}

// TestReceiverClosesInTheMiddleOfAWrite has a receiver that closes before it has
// read what is written at once: the records count as handed over, by which the
// route sees that it has to send fewer.
func TestReceiverClosesInTheMiddleOfAWrite(t *testing.T) {
	p := newPeer(t, "unix", FramingLF, func(p *peer) { p.after = 1 })
	s := newSink(t, p.at(), Options{MaxSize: 1 << 20})
	batch := numbered(1, 3)
	batch[1].Body = []byte("<134>" + strings.Repeat("x", 1<<20-5)) // more than a socket buffers
	n, err := s.Send(t.Context(), batch)
	wantError(t, err, "plain", "the connection broke")
	if seq, err := s.Settled(); n != 2 || seq != 0 || err != nil {
		t.Errorf("%d handed over, settled up to %d, %v", n, seq, err)
	}
}

// TestReceiverThatHoldsOn does not close when we do.
func TestReceiverThatHoldsOn(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, func(p *peer) { p.holds = true })
	s := newSink(t, p.at(), Options{SettleTime: 50 * time.Millisecond})
	mustSend(t, s, numbered(1, 3))
	mustSettle(t, s, 3, receiptHas)
}

// TestReceiverThatHasNotRead resets the connection at an orderly end: nothing
// settles.
func TestReceiverThatHasNotRead(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, func(p *peer) { p.after = 2 })
	s := newSink(t, p.at(), Options{})
	long := strings.Repeat("x", 8000) // more than the receiver's buffer reads at once
	var batch []emitter.Record
	for i := range 20 {
		batch = append(batch, emitter.Record{Seq: uint64(i + 1), Body: []byte(fmt.Sprint("m", i, long))})
	}
	_, err := s.Send(t.Context(), batch) // the reset may come so early
	if err == nil {
		_, err = s.Settle(t.Context())
	}
	wantError(t, err, "plain", "")
	if seq, err := s.Settled(); seq != 0 || err != nil {
		t.Errorf("Settled = %d, %v", seq, err)
	}
}

func TestSettleEndsWithItsContext(t *testing.T) {
	p := newPeer(t, "tcp", FramingLF, func(p *peer) { p.holds = true })
	s := newSink(t, p.at(), Options{SettleTime: time.Hour})
	mustSend(t, s, numbered(1, 3))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if seq, err := s.Settle(ctx); seq != 0 || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "has not closed the connection in time") {
		t.Errorf("Settle = %d, %v", seq, err)
	}
}

func TestNobodyThere(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ network, host string }{
		{"tcp", "127.0.0.1:1"},
		{"tls", "127.0.0.1:1"},
		{"unix", filepath.Join(dir, "none")},
		{"unixgram", filepath.Join(dir, "none")},
	} {
		s := newSink(t, Address{tt.network, tt.host}, Options{})
		_, err := s.Send(t.Context(), numbered(1, 1))
		wantError(t, err, "plain", "syslog "+tt.network+"://"+tt.host+": ")
	}
}

// TestWrongKindOfSocket names the right one.
func TestWrongKindOfSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listenPacket(t, "unixgram", path)
	_, err := newSink(t, Address{"unix", path}, Options{}).Send(t.Context(), numbered(1, 1))
	wantError(t, err, "blocked", "begins with unixgram://")
	p := newPeer(t, "unix", FramingLF, nil)
	_, err = newSink(t, Address{"unixgram", p.at().Host}, Options{}).Send(t.Context(), numbered(1, 1))
	wantError(t, err, "blocked", "begins with unix://")
}

// TestUDP sends one datagram for each message.
func TestUDP(t *testing.T) {
	d := listenPacket(t, "udp", "127.0.0.1:0")
	to := Address{"udp", d.c.LocalAddr().String()}
	s := newSink(t, to, Options{SettleTime: 10 * time.Millisecond})
	mustSend(t, s, numbered(1, 20))
	mustSettle(t, s, 20, receiptQuiet)
	if diff := cmp.Diff(messages(20), d.wait(20)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	_, err := s.Send(t.Context(), []emitter.Record{{Seq: 21, Body: make([]byte, DefaultMaxDatagram+1)}})
	wantError(t, err, "permanent", "1025 bytes, more than 1024")
}

// TestUDPThatIsRefused is noticed, and counted.
func TestUDPThatIsRefused(t *testing.T) {
	s := newSink(t, Address{"udp", "127.0.0.1:1"}, Options{SettleTime: time.Hour})
	_, err := s.Send(t.Context(), numbered(1, 1))
	if err == nil {
		err = loses(t, s)
	}
	wantError(t, err, "plain", "nobody takes the datagrams")
	if !errors.Is(err, syscall.ECONNREFUSED) || s.Stats().Refused != 1 || s.settled != 0 {
		t.Errorf("%v, %+v, settled %d", err, s.Stats(), s.settled)
	}
}

// TestWhatCannotBeFramed is refused, and those around it arrive.
func TestWhatCannotBeFramed(t *testing.T) {
	for _, tt := range []struct {
		framing Framing
		body    string
		text    string // empty: it is taken
	}{
		{FramingLF, "", "empty"},
		{FramingLF, "<1>a\nb", "line end"},
		{FramingLF, "\n", "line end"},
		{FramingLF, "12 <1>a", "begins with a digit"},
		{FramingLF, "<1>a\r\x00b", ""},
		{FramingLF, strings.Repeat("x", DefaultMaxSize), ""},
		{FramingLF, strings.Repeat("x", DefaultMaxSize+1), "8193 bytes, more than 8192"},
		{FramingOctet, "", "empty"},
		{FramingOctet, "<1>a\nb\n", ""},
		{FramingOctet, "12 <1>a", ""},
		{FramingOctet, strings.Repeat("x", DefaultMaxSize+1), "8193 bytes, more than 8192"},
	} {
		t.Run(fmt.Sprintf("%d %.10q", tt.framing, tt.body), func(t *testing.T) {
			p := newPeer(t, "tcp", tt.framing, nil)
			s := newSink(t, p.at(), Options{Framing: tt.framing})
			batch := numbered(1, 3)
			batch[1].Body = []byte(tt.body)
			n, err := s.Send(t.Context(), batch)
			want := []string{message(1), tt.body, message(3)}
			if tt.text != "" {
				if n != 1 {
					t.Fatalf("Send = %d, %v", n, err)
				}
				wantError(t, err, "permanent", tt.text)
				mustSend(t, s, batch[2:])
				want = []string{message(1), message(3)}
			} else if n != 3 || err != nil {
				t.Fatalf("Send = %d, %v", n, err)
			}
			mustSettle(t, s, 3, receiptRead)
			if diff := cmp.Diff(want, p.received()); diff != "" || s.Stats().Connections != 1 {
				t.Errorf("%d connections; -want +got\n%s", s.Stats().Connections, diff)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	for _, tt := range []struct{ text, want, problem string }{
		{"udp://siem.example", "udp://siem.example:514", ""},
		{"tcp://siem.example:601", "tcp://siem.example:601", ""},
		{"tls://[2001:db8::1]", "tls://[2001:db8::1]:6514", ""},
		{"tls://siem.example/", "tls://siem.example:6514", ""},
		{"unix:///run/log", "unix:///run/log", ""},
		{"unixgram:///dev/log", "unixgram:///dev/log", ""},
		{"siem.example:514", "", "is not an address"},
		{"http://siem.example", "", "does not begin with"},
		{"127.0.0.1:514", "", "is not an address"},
		{"tcp:siem.example", "", "is not an address"},
		{"tcp://", "", "names no host"},
		{"tcp://:514", "", "names no host"},
		{"tcp://siem.example:0", "", "port"},
		{"tcp://siem.example:70000", "", "port"},
		{"tcp://siem.example/path", "", "has a path"},
		{"tcp://siem.example?x", "", "query"},
		{"tcp://siem.example#x", "", "fragment"},
		{"tcp://canary:canary@siem.example", "", "password"},
		{"unix://run/log", "", "names no socket"},
		{"unix://", "", "names no socket"},
		{"tcp://a b", "", "is not an address"},
	} {
		var a Address
		err := a.UnmarshalText([]byte(tt.text))
		if a.String() != tt.want || (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s: %s, %v; want %s, %s", tt.text, a, err, tt.want, tt.problem)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		to   Address
		opt  Options
		text string
	}{
		{Address{}, Options{}, "no address"},
		{Address{"tcp", "x:1"}, Options{MaxSize: LargestMaxSize + 1}, "1048577 is more than 1048576"},
		{Address{"udp", "x:1"}, Options{MaxSize: LargestDatagram + 1}, "65508 is more than 65507"},
		{Address{"tcp", "x:1"}, Options{Window: -1}, "negative"},
		{Address{"tcp", "x:1"}, Options{Framing: 7}, "unknown framing"},
		{Address{"tcp", "x:1"}, Options{CAFile: "x"}, "tls:// alone"},
	} {
		if _, err := New(tt.to, tt.opt); err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%+v: %v, want %s", tt.opt, err, tt.text)
		}
	}
}

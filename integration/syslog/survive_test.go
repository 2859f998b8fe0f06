package syslog

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter/syslog"
	"github.com/vmcp-audit/vmcp-audit/integration/receivers"
)

// kind is a receiver with the settings that go with it.
type kind struct {
	name    string
	product receivers.Product
	network string
	framing syslog.Framing
	mutual  bool
	// steady is what makes the receiver write what it has read, instead of
	// keeping it in memory, where a kill loses it.
	steady string
}

// direct has rsyslog write each message before it reads the next ones.
const direct = `main_queue(queue.type="direct")`

var kinds = []kind{
	{"rsyslog TCP octet", receivers.Rsyslog, "tcp", syslog.FramingOctet, false, direct},
	{"rsyslog TCP lines", receivers.Rsyslog, "tcp", syslog.FramingLF, false, direct},
	{"rsyslog mutual TLS", receivers.Rsyslog, "tls", syslog.FramingOctet, true, direct},
	{"syslog-ng TCP octet", receivers.SyslogNG, "tcp", syslog.FramingOctet, false, ""},
	{"syslog-ng TCP lines", receivers.SyslogNG, "tcp", syslog.FramingLF, false, ""},
	{"syslog-ng TLS", receivers.SyslogNG, "tls", syslog.FramingOctet, false, ""},
}

// start starts the receiver and returns how it is reached.
func (k kind) start(t *testing.T) (*receivers.Receiver, syslog.Address, syslog.Options) {
	t.Helper()
	opt := receivers.Options{Transport: receivers.Transport(k.network), Global: k.steady}
	if k.framing == syslog.FramingLF {
		opt.Framing = receivers.LF
	}
	// With more than it takes to notice a fault on a loaded machine, time alone
	// settles nothing that the receiver has not read.
	send := syslog.Options{Framing: k.framing, SettleTime: patience}
	if k.network == "tls" {
		ca := receivers.NewCA(t)
		opt.TLS.Cert = ca.Server()
		send.CAFile = ca.File
		if k.mutual {
			client := ca.Client("gateway")
			opt.TLS.ClientCA, opt.TLS.Peers = ca.File, []string{"gateway"}
			send.CertFile, send.KeyFile = client.CertFile, client.KeyFile
		}
	}
	r := receivers.Start(t, k.product, opt)
	return r, syslog.Address{Network: k.network, Host: r.Addr}, send
}

// TestReceiverFails stops, stalls and kills a real receiver under load: nothing is
// missing, and what comes twice is within what the documents say.
func TestReceiverFails(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r, to, opt := k.start(t)
			tr := newTrail(t, to, opt)
			quarter := *events / 4
			// arrived waits for about so many of the events.
			arrived := func(n int) {
				t.Helper()
				r.WaitFor(func(all []receivers.Message) bool {
					missing, _, _ := count(numbers(t, all), *events)
					return *events-missing >= n
				})
			}
			emitted := make(chan struct{})
			go func() {
				defer close(emitted)
				tr.emit(t, 0, *events)
			}()
			arrived(quarter / 2)
			r.Stop()
			r.Restart()
			arrived(quarter)
			r.Kill()
			r.Restart()
			arrived(2 * quarter)
			r.Stall()
			r.Kill()
			r.Restart()
			<-emitted
			arrived(*events)
			tr.stop()
			missing, again, ordered := count(numbers(t, r.Messages()), *events)
			st, route := tr.sink.Stats(), tr.Stats().Routes[0]
			// What is in doubt when a connection breaks: the window, what the two
			// systems buffer, and one batch.
			const doubt = syslog.DefaultWindow + 10<<20
			if most := int(st.Broken) * doubt / len(padding); missing > 0 || !ordered || again > most {
				t.Errorf("%d missing, %d came again (at most %d), in order: %v", missing, again, most, ordered)
			}
			if route.Pending != 0 || route.Sent != tr.Stats().Emitted {
				t.Errorf("route %+v", route)
			}
			t.Logf("%d events, %d came again after %d of %d connections broke", *events, again, st.Broken, st.Connections)
		})
	}
}

// TestRestartInPeace stops a receiver while nothing is under way, and starts it
// again: nothing is missing, and nothing comes again.
func TestRestartInPeace(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r, to, opt := k.start(t)
			opt.SettleTime = 1 // as soon as it is acknowledged
			tr := newTrail(t, to, opt)
			for i := range 3 {
				tr.emit(t, 100*i, 100*i+100)
				r.WaitFor(func(all []receivers.Message) bool { return len(numbers(t, all)) >= 100*i+100 })
				waitFor(t, "all settles", func() bool { return tr.Stats().Routes[0].Pending == 0 })
				r.Stop()
				r.Restart()
			}
			tr.stop()
			if missing, again, ordered := count(numbers(t, r.Messages()), 300); missing+again > 0 || !ordered {
				t.Errorf("%d missing, %d came again, %+v", missing, again, tr.sink.Stats())
			}
		})
	}
}

// TestOrderlyEnd hands over at once what a stop then settles, by the receiver's own
// close.
func TestOrderlyEnd(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r, to, opt := k.start(t)
			tr := newTrail(t, to, opt)
			tr.emit(t, 0, 500)
			tr.stop()
			route := tr.Stats().Routes[0]
			if route.Pending != 0 || route.Sent != tr.Stats().Emitted || !strings.Contains(tr.sink.Receipt(), "read everything") {
				t.Errorf("route %+v, %s", route, tr.sink.Receipt())
			}
			got := r.WaitFor(func(all []receivers.Message) bool { return len(numbers(t, all)) >= 500 })
			if missing, again, ordered := count(numbers(t, got), 500); missing+again > 0 || !ordered {
				t.Errorf("%d missing, %d came again", missing, again)
			}
		})
	}
}

// TestUDP says what UDP promises: a receiver that is away on a system that says so
// loses nothing.
func TestUDP(t *testing.T) {
	r := receivers.Start(t, receivers.Rsyslog, receivers.Options{Transport: receivers.UDP})
	tr := newTrail(t, syslog.Address{Network: "udp", Host: r.Addr}, syslog.Options{})
	const step = 50 // within what a system buffers
	n := 0
	more := func() {
		t.Helper()
		tr.emit(t, n, n+step)
		n += step
	}
	for n < *events-step {
		more()
		r.WaitFor(func(all []receivers.Message) bool { return len(numbers(t, all)) >= n })
	}
	waitFor(t, "all settles", func() bool { return tr.Stats().Routes[0].Pending == 0 })
	r.Stop()
	more()
	waitFor(t, "the refusal is noticed", func() bool { return tr.sink.Stats().Refused > 0 })
	r.Restart()
	r.WaitFor(func(all []receivers.Message) bool {
		missing, _, _ := count(numbers(t, all), n)
		return missing == 0
	})
	tr.stop()
	_, again, ordered := count(numbers(t, r.Messages()), n)
	if !ordered || again > step {
		t.Errorf("%d came again, in order: %v", again, ordered)
	}
}

// TestHostileBodies sends what no format renders, to receivers with their defaults:
// its neighbours arrive as they are, whatever becomes of it.
func TestHostileBodies(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r, to, opt := k.start(t)
			s := newSender(t, to, opt)
			head := "<134>1 2026-11-22T13:39:50.678166Z gw vmcp-audit - - - "
			bodies := []string{
				"", "\n", head + "a\nb", head + "a\n<134>1 - - - - - - forged", head + "a\n5 hello", head + "a\r\nb", head + "a\x00b",
				"12 " + head + "a", head + "\xff\xfe\xc0", head + strings.Repeat("y", syslog.DefaultMaxSize), // too long by its header
				head + strings.Repeat("z", syslog.DefaultMaxSize-len(head)),
			}
			var want []string
			for i, body := range bodies {
				before, after := head+"before "+string(rune('a'+i)), head+"after "+string(rune('a'+i))
				s.deliver(t, before, body, after)
				want = append(want, strings.TrimPrefix(before, head), strings.TrimPrefix(after, head))
			}
			s.settle(t)
			left := want
			r.WaitFor(func(all []receivers.Message) bool {
				left = want
				for _, m := range all {
					if len(left) > 0 && m.Msg == left[0] {
						left = left[1:]
					}
				}
				return len(left) == 0
			})
			for _, m := range r.Messages() {
				if strings.TrimSpace(m.Msg) == "forged" || m.Msg == "hello" {
					t.Errorf("forged: %+v", m)
				}
			}
		})
	}
}

// TestClientCertificate shows a receiver certificates that it does not take.
func TestClientCertificate(t *testing.T) {
	ca, rogue := receivers.NewCA(t), receivers.NewCA(t)
	for _, product := range []receivers.Product{receivers.Rsyslog, receivers.SyslogNG} {
		t.Run(string(product), func(t *testing.T) {
			r := receivers.Start(t, product, receivers.Options{Transport: receivers.TLS, TLS: receivers.TLSOptions{Cert: ca.Server(), ClientCA: ca.File, Peers: []string{"gateway"}}})
			for name, c := range map[string]*receivers.Cert{"none": nil, "rogue": ptr(rogue.Client("gateway")), "another name": ptr(ca.Client("somebody"))} {
				t.Run(name, func(t *testing.T) {
					opt := syslog.Options{CAFile: ca.File}
					if c != nil {
						opt.CertFile, opt.KeyFile = c.CertFile, c.KeyFile
					}
					s := newSender(t, syslog.Address{Network: "tls", Host: r.Addr}, opt)
					err := s.fails(t)
					t.Logf("%v", err)
					if len(r.Messages()) > 0 {
						t.Errorf("the receiver took %d messages", len(r.Messages()))
					}
				})
			}
		})
	}
}

// TestServerCertificate has receivers whose certificates are not to be trusted.
func TestServerCertificate(t *testing.T) {
	ca, rogue := receivers.NewCA(t), receivers.NewCA(t)
	for name, tt := range map[string]struct {
		cert receivers.Cert
		text string
	}{
		"wrong host":  {ca.Issue(receivers.CertOptions{Name: "elsewhere.example"}), "is for another host: it names elsewhere.example"},
		"expired":     {ca.Expired(), "has expired"},
		"self-signed": {receivers.SelfSigned(t), "is self-signed"},
		"rogue":       {rogue.Server(), "an authority that is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			r := receivers.Start(t, receivers.Rsyslog, receivers.Options{Transport: receivers.TLS, TLS: receivers.TLSOptions{Cert: tt.cert}})
			s := newSender(t, syslog.Address{Network: "tls", Host: r.Addr}, syslog.Options{CAFile: ca.File})
			if err := s.fails(t); !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v, want %s", err, tt.text)
			}
		})
	}
}

// TestOldTLS has a receiver that speaks TLS 1.1 at most.
func TestOldTLS(t *testing.T) {
	ca := receivers.NewCA(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.Server().TLS}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err != nil {
		t.Fatal(err)
	}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	s := newSender(t, syslog.Address{Network: "tls", Host: l.Addr().String()}, syslog.Options{CAFile: ca.File})
	if err := s.fails(t); !strings.Contains(err.Error(), "no TLS 1.2 or later") {
		t.Error(err)
	}
	l.Close()
	<-accepting
}

// TestWrongFraming has a receiver that takes octet counting alone be sent lines:
// it closes, nothing counts as delivered, and the error says what to try.
func TestWrongFraming(t *testing.T) {
	r := receivers.Start(t, receivers.SyslogNG, receivers.Options{})
	s := newSender(t, syslog.Address{Network: "tcp", Host: r.Addr}, syslog.Options{Framing: syslog.FramingLF})
	s.fails(t)
	if err := s.fails(t); !strings.Contains(err.Error(), "it may want octet counting") {
		t.Error(err)
	}
	if seq, _ := s.Settled(); seq != 0 || len(r.Messages()) > 0 {
		t.Errorf("settled up to %d, %d messages", seq, len(r.Messages()))
	}
}

func ptr[T any](v T) *T { return &v }

// TestProbe finds out what it can of real receivers, without a message.
func TestProbe(t *testing.T) {
	found := map[string]string{
		"rsyslog TCP octet": "the connection stands; whether", "rsyslog TCP lines": "lines are taken", "rsyslog mutual TLS": "the connection stands; whether",
		"syslog-ng TCP octet": "takes octet counting", "syslog-ng TCP lines": "lines are taken", "syslog-ng TLS": "takes octet counting",
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			r, to, opt := k.start(t)
			s := newSender(t, to, opt)
			waitFor(t, "a probe finds "+found[k.name], func() bool { // a receiver that is slow to close has not closed
				if err := s.Probe(t.Context()); err != nil {
					t.Fatal(err)
				}
				return strings.Contains(s.Receipt(), found[k.name])
			})
			s.deliver(t, "<134>1 - gw vmcp-audit - - - after")
			s.settle(t)
			if got := r.Wait(1); len(got) != 1 || got[0].Msg != "after" {
				t.Errorf("messages %+v", got)
			}
		})
	}
}

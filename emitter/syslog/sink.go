// Package syslog sends records to a syslog receiver: over UDP (RFC 5426), TCP
// (RFC 6587), TLS (RFC 5425) or a unix socket. A record's body is the whole
// message, header included, as a format has rendered it; this package frames and
// sends it.
//
// Syslog has no acknowledgements. So the sink is an [emitter.Lagging] one: what
// was written settles, on a connection that is well, when the receiver's system
// has acknowledged it and Options.Window bytes behind it, or Options.SettleTime
// ago; when the connection breaks or the receiver closes it, all that has not
// settled is sent again. An orderly end waits until the receiver has read
// everything and closes too.
//
// Guaranteed over a stream: what the receiver's program had not read when it
// closed, crashed or hung is sent again, as long as its system held less than
// Options.Window bytes for it. Twice comes what had not settled.
//
// Not guaranteed: what the receiver had read and then lost, or what a proxy on the
// way had acknowledged. A receiver that hangs for longer than Options.SettleTime
// before its system's buffer is full, and then crashes, loses of that what was
// older. UDP loses what it loses: only what a system refuses at once, within a
// second, is sent again.
package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/internal/reread"
)

// writeSize is how many bytes of messages go to a stream at once, give or take
// one message.
const writeSize = 64 << 10

// Sink sends records to one receiver. Its methods are never to be called
// concurrently, but for Stats and String.
type Sink struct {
	to         Address
	opt        Options // immutable, with defaults
	serverName string

	greetTime, probeTime, verdictTime time.Duration // as the constants have them

	certificates reread.Certificates
	tls          *tls.Config // nil: not read yet
	stale        bool        // the certificate files have changed and cannot be used

	closings int // in a row, where a receiver had just seen our certificate

	session *session // nil: none
	settled uint64   // seq
	fresh   bool     // nothing has settled since the last connection broke
	receipt receipt  // of the last Settle
	frames  []byte   // of the present write, reused

	count counters
}

var _ emitter.Lagging = (*Sink)(nil)

// New returns a sink for the receiver at to. It reads the files of opt, and
// connects to nothing.
func New(to Address, opt Options) (*Sink, error) {
	if to.Network == "" {
		return nil, errors.New("syslog: no address")
	}
	opt, err := opt.withDefaults(to)
	if err != nil {
		return nil, fmt.Errorf("syslog: %w", err)
	}
	s := &Sink{to: to, opt: opt, serverName: opt.ServerName, greetTime: greetTime, probeTime: probeTime, verdictTime: verdictTime, certificates: reread.Certificates{
		CA:   reread.File{Path: opt.CAFile},
		Cert: reread.File{Path: opt.CertFile},
		Key:  reread.File{Path: opt.KeyFile},
	}}
	if to.Network != "tls" {
		return s, nil
	}
	if s.serverName == "" {
		s.serverName, _, _ = net.SplitHostPort(to.Host) // it was joined by us
	}
	if _, err := s.tlsConfig(); err != nil {
		return nil, fmt.Errorf("syslog: %w", err)
	}
	return s, nil
}

// String names the destination.
func (s *Sink) String() string { return "syslog " + s.to.String() }

// Receipt says in words how the last Settle has ended.
func (s *Sink) Receipt() string { return string(s.receipt) }

// Close closes the connection. What has not settled may be lost.
func (s *Sink) Close() error {
	if s.session != nil {
		_ = s.session.closeWrite() // for the close_notify of TLS
		s.drop()
	}
	return nil
}

// Send writes batch to the connection, and opens one if there is none. Records of
// a write to a stream that failed count as handed over: they are in doubt. What is
// no message for this receiver, being too long or not to be framed, is a
// [emitter.Permanent] error; a certificate that is not valid, a client certificate
// that is refused, a receiver without TLS 1.2 and a socket that may not be used are
// [emitter.Blocked] ones.
func (s *Sink) Send(ctx context.Context, batch []emitter.Record) (int, error) {
	if err := ctx.Err(); err != nil || len(batch) == 0 {
		return 0, err
	}
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	defer s.session.until(ctx)()
	if s.to.Datagrams() {
		return s.sendEach(ctx, batch)
	}
	return s.sendFrames(ctx, batch)
}

// open makes sure that there is a connection that is well.
func (s *Sink) open(ctx context.Context) error {
	if s.session != nil {
		end := s.session.over()
		if end == nil {
			return nil
		}
		if len(s.session.marks.list) > 0 {
			return s.broken(end)
		}
		s.drop() // it was idle
	}
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	s.session, err = newSession(c)
	if err != nil {
		_ = c.Close() // it was just opened
		return s.fault(err)
	}
	s.count.connections.Add(1)
	return nil
}

// sendFrames writes batch to a stream, many messages at once.
func (s *Sink) sendFrames(ctx context.Context, batch []emitter.Record) (sent int, err error) {
	for sent < len(batch) {
		frames, n := s.frames[:0], 0
		var refused error
		for _, r := range batch[sent:] {
			if refused = checkBody(r.Body, &s.opt, false); refused != nil || n > 0 && len(frames) >= writeSize {
				break
			}
			frames = appendFrame(frames, s.opt.Framing, r.Body)
			n++
		}
		s.frames = frames
		if n > 0 {
			sent += n // also if the write fails: the receiver may have got a part
			if err := s.write(ctx, append(frames, '\n'), batch[sent-1].Seq); err != nil {
				return sent, err
			}
		}
		if refused != nil {
			return sent, emitter.Permanent(s.fault(refused))
		}
	}
	return sent, nil
}

// sendEach writes batch, each message a datagram.
func (s *Sink) sendEach(ctx context.Context, batch []emitter.Record) (int, error) {
	for i, r := range batch {
		if err := checkBody(r.Body, &s.opt, true); err != nil {
			return i, emitter.Permanent(s.fault(err))
		}
		s.frames = append(append(s.frames[:0], r.Body...), '\n')
		if err := s.write(ctx, s.frames, r.Seq); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

func (s *Sink) write(ctx context.Context, frames []byte, seq uint64) error {
	err := s.session.write(frames, seq)
	if err == nil {
		s.count.bytes.Add(uint64(len(frames) - 1))
		return nil
	}
	if ctx.Err() != nil {
		s.drop()
		return ctx.Err()
	}
	return s.broken(err)
}

// Settled returns up to where the records count as delivered. It looks at the
// connection, which may have broken since.
func (s *Sink) Settled() (uint64, error) {
	c := s.session
	if c == nil || len(c.marks.list) == 0 {
		return s.settled, nil
	}
	if end := c.over(); end != nil {
		return s.settled, s.broken(end)
	}
	now := time.Now()
	n := c.marks.settled(c.acked(), now, s.opt.Window, s.opt.SettleTime)
	if c.marks.waiting(now) > s.opt.Timeout {
		return s.settled, s.broken(fmt.Errorf("nothing was acknowledged for %v", s.opt.Timeout))
	}
	s.settle(n)
	return s.settled, nil
}

// Settle closes the connection in an orderly manner. The next Send opens another
// one.
func (s *Sink) Settle(ctx context.Context) (uint64, error) {
	c := s.session
	if c == nil {
		return s.settled, nil
	}
	receipt, err := c.finish(ctx, s.opt.SettleTime)
	if err != nil {
		if ctx.Err() != nil {
			s.drop()
			return s.settled, s.faultf(ctx.Err(), "the receiver has not closed the connection in time, by which it would show that it read everything")
		}
		return s.settled, s.broken(err)
	}
	s.receipt = receipt
	s.settle(len(c.marks.list))
	s.drop()
	return s.settled, nil
}

// settle takes the first n marks for delivered.
func (s *Sink) settle(n int) {
	if n > 0 {
		s.settled, s.fresh = max(s.settled, s.session.marks.list[n-1].seq), false
		s.session.marks.drop(n)
	}
}

// broken gives the connection up, and with it what has not settled.
func (s *Sink) broken(cause error) error {
	err := s.lost(s.session.conn, cause)
	s.count.broken.Add(1)
	s.fresh = true
	s.drop()
	return err
}

func (s *Sink) drop() {
	_ = s.session.Close() // there is nothing more to be learnt
	s.session = nil
}

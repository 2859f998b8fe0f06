package syslog

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// What a probe finds out about a receiver that can be reached.
const (
	receiptOctet     receipt = "the receiver takes octet counting"
	receiptLines     receipt = "the connection stands; lines are taken"
	receiptConnected receipt = "the connection stands; whether octet counting is taken shows only with a message"
	receiptNotRead   receipt = "nothing was refused; of a datagram nobody can tell more"
)

// How long a receiver has to say what it does not like.
const (
	greetTime = 500 * time.Millisecond // that we connect
	probeTime = time.Second            // what we send
)

// Probe looks whether the receiver can be reached, without sending a message:
// TLS and certificates included. To a stream it sends an empty line, which those
// who take lines pass over (rsyslog, syslog-ng's network() and others), and at
// which one that takes octet counting alone closes (syslog-ng's syslog()); to a
// UDP port an empty datagram. Receipt says what was found out. The errors are of
// the classes of Send, and Probe must not run beside it.
func (s *Sink) Probe(ctx context.Context) error {
	s.receipt = ""
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing was sent
	defer c.until(ctx)()
	if !c.stream {
		return s.probeDatagram(ctx, c)
	}
	if end := c.within(ctx, s.greetTime); end != nil {
		return s.refusal(end, "the receiver closed the connection at once")
	}
	if _, err := c.Write([]byte{'\n'}); err != nil {
		return s.fault(err)
	}
	end := c.within(ctx, s.probeTime)
	switch {
	case end != nil && s.opt.Framing == FramingLF:
		return s.refusal(end, "the receiver closed the connection at a line end: it takes octet counting alone (framing octet)")
	case end != nil && !errors.Is(end, io.EOF):
		return s.lost(c, end)
	case end != nil:
		s.receipt = receiptOctet
	case s.opt.Framing == FramingLF:
		s.receipt = receiptLines
	default:
		s.receipt = receiptConnected
	}
	_ = c.closeWrite() // for the close_notify of TLS
	return ctx.Err()
}

// refusal returns text as a fault of the configuration if the receiver has closed
// the connection, or else how it broke.
func (s *Sink) refusal(end error, text string) error {
	if errors.Is(end, io.EOF) {
		return emitter.Blocked(s.faultf(end, "%s", text))
	}
	return s.fault(end)
}

func (s *Sink) probeDatagram(ctx context.Context, c *conn) error {
	s.receipt = receiptNotRead
	if s.to.Network != "udp" {
		return nil // connected: somebody has the socket
	}
	_, err := c.Write(nil)
	if err == nil {
		err = c.within(ctx, s.probeTime)
	}
	if err != nil {
		return s.lost(c, err)
	}
	return ctx.Err()
}

// within returns why the connection ended within d, nil if it stands.
func (c *conn) within(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.ended:
		return c.end
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

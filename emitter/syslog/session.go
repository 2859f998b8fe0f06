package syslog

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/RackSec/srslog"
)

// session is a connection with what was written to it. srslog has the transport
// alone: it gets ready frames, and never dials a second time, by which it would
// pass over what was lost.
type session struct {
	*conn

	w     *srslog.Writer
	marks marks
}

var errOneShot = errors.New("a connection is opened once")

// newSession gives c to srslog.
func newSession(c *conn) (*session, error) {
	dialed := false
	w, err := srslog.DialWithCustomDialer("custom", "", srslog.LOG_INFO, "vmcp-audit", func(string, string) (net.Conn, error) {
		if dialed {
			return nil, errOneShot
		}
		dialed = true
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	w.SetFramer(srslog.DefaultFramer)
	// It adds a line end where there is none, so we give it one to take off.
	w.SetFormatter(func(_ srslog.Priority, _, _, content string) string { return content[:len(content)-1] })
	return &session{conn: c, w: w}, nil
}

// write writes frames, of which the last one is of the record seq. One more byte
// at their end does not go out.
func (s *session) write(frames []byte, seq uint64) error {
	if _, err := s.w.Write(frames); err != nil {
		if s.err != nil {
			err = s.err // what it was, before srslog tried to dial
		}
		return err
	}
	s.marks.add(seq, s.socket.written.Load(), time.Now())
	return nil
}

// receipt says how far the far end has shown that it has everything.
type receipt string

const (
	receiptRead   receipt = "the receiver read everything and closed the connection"
	receiptHas    receipt = "the receiver's system has everything, but the receiver did not close the connection in time to show that it read it"
	receiptHanded receipt = "the receiver did not close the connection in time, and this system cannot tell what has arrived"
	receiptQuiet  receipt = "handed over; of a datagram nobody can tell more"
)

// finishPoll is how often an orderly end looks whether all is acknowledged.
const finishPoll = 5 * time.Millisecond

// finish ends the connection in an orderly manner: nothing more comes, and the
// far end, which reads that behind everything else, closes too. A system that
// closes for a program which has not read everything breaks the connection
// instead (RFC 1122, section 4.2.2.13). One that keeps it open has so long as it
// takes records to settle. One that closes of its own accord has shown nothing:
// it may have thrown away what it had read.
func (s *session) finish(ctx context.Context, patience time.Duration) (receipt, error) {
	if end := s.over(); end != nil {
		return "", end
	}
	if err := s.closeWrite(); err != nil {
		return "", err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	end := s.over()
	if end != nil && !errors.Is(end, io.EOF) {
		return "", end
	}
	if !s.stream {
		return receiptQuiet, nil
	}
	left, known := s.unsent(ctx)
	switch {
	case left > 0 && end != nil: // what came after its end was not read
		return "", end
	case left > 0:
		return "", errors.New("the receiver does not take what was sent")
	case end != nil:
		return receiptRead, nil
	case known:
		return receiptHas, nil
	}
	return receiptHanded, nil
}

// unsent returns how many bytes are not acknowledged, when they are or after a
// while, and whether that is known.
func (s *session) unsent(ctx context.Context) (left int64, known bool) {
	tick := time.NewTicker(finishPoll)
	defer tick.Stop()
	for end := time.Now().Add(time.Second); ; {
		left, known = outq(s.socket.Conn)
		if left == 0 || time.Now().After(end) {
			return left, known
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, known
		}
	}
}

package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// conn is what is written to: a socket, or TLS over it. A goroutine reads from
// it, and notes its end as soon as the system knows of it.
type conn struct {
	net.Conn

	socket  *counted
	stream  bool
	timeout time.Duration // of a write
	asked   bool          // the receiver asked for a client certificate
	gone    atomic.Bool   // the context of Send has ended: no write may wait
	err     error         // of the first write that failed

	ended chan struct{} // closed when reading has ended
	end   error         // why; io.EOF: the far end has closed. Set before that
}

// counted counts what is written to a socket.
type counted struct {
	net.Conn

	written atomic.Int64 // bytes
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// read begins to read, which ends when the connection does. A receiver has
// nothing to say.
func (c *conn) read() {
	go func() {
		defer close(c.ended)
		_, err := io.Copy(io.Discard, c.Conn)
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF // many close without the close_notify of TLS
		}
		c.end = err
	}()
}

// Write writes within the time-out.
func (c *conn) Write(p []byte) (int, error) {
	_ = c.socket.SetWriteDeadline(time.Now().Add(c.timeout)) // an error comes with the write
	if c.gone.Load() {
		_ = c.socket.SetWriteDeadline(time.Unix(1, 0))
	}
	n, err := c.Conn.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

// until ends the writes when ctx does, as long as stop is not called.
func (c *conn) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		c.gone.Store(true)
		_ = c.socket.SetWriteDeadline(time.Unix(1, 0))
	})
}

// over returns why the connection has ended, nil if it has not.
func (c *conn) over() error {
	select {
	case <-c.ended:
		return c.end
	default:
		return nil
	}
}

// acked returns how many bytes the receiver's system has.
func (c *conn) acked() int64 {
	n := c.socket.written.Load()
	if q, ok := outq(c.socket.Conn); ok && c.stream {
		n -= q
	}
	return n
}

// closeWrite says that nothing more comes.
func (c *conn) closeWrite() error {
	_ = c.socket.SetWriteDeadline(time.Now().Add(c.timeout))
	if t, ok := c.Conn.(*tls.Conn); ok {
		if err := t.CloseWrite(); err != nil {
			return err
		}
	}
	if half, ok := c.socket.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection and waits until reading has ended.
func (c *conn) Close() error {
	err := c.socket.Close() // without the close_notify of TLS, which might wait
	<-c.ended
	return err
}

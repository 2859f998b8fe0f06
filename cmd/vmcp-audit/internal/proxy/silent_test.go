package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections do not leave the process, so that a
// test can let days pass.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// TestSilence tests that nothing cuts a call that takes a day or a stream that
// is silent for a week.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		upPipes, frontPipes := newPipes(), newPipes()
		up := &http.Server{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			time.Sleep(day)
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: "+progress+"\n\n")
			http.NewResponseController(w).Flush()
			time.Sleep(7 * day)
			io.WriteString(w, "data: "+result+"\n\n")
		})}
		h := newProxy(t, "http://upstream.test", Options{})
		transportOf(h).DialContext = upPipes.dial
		auditor, tr := newAuditor(t)
		front := newServer(t, auditor.Wrap(h)).Config
		go up.Serve(upPipes)
		go front.Serve(frontPipes)

		conn, _ := frontPipes.dial(t.Context(), "", "")
		io.WriteString(conn, wire(post, call))
		br := bufio.NewReader(conn)
		begun := time.Now()
		m, err := head(br)
		if err != nil || time.Since(begun) != day {
			t.Errorf("header %+v, %v after %v", m, err, time.Since(begun))
		}
		if m.body(br, false); m.Broken || time.Since(begun) != 8*day {
			t.Errorf("answer %+v after %v", m, time.Since(begun))
		}
		tr.want(t, toolCall)

		conn.Close()
		front.Close()
		up.Close()
		transportOf(h).CloseIdleConnections()
	})
}

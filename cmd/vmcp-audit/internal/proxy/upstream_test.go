package proxy

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// upstream is a server that is no more than a listener: nothing but the test
// touches what it receives and sends.
type upstream struct {
	addr string
	got  chan message // what it received
}

// serveConn starts a server that gives every connection to f and then closes
// it.
func serveConn(t testing.TB, f func(*net.TCPConn, *bufio.Reader)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				f(conn.(*net.TCPConn), bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// answer starts an upstream that reads a request and writes the same bytes in
// answer to each.
func answer(t testing.TB, text string) *upstream {
	t.Helper()
	up := &upstream{got: make(chan message, 10)}
	up.addr = serveConn(t, func(conn *net.TCPConn, br *bufio.Reader) {
		m, err := head(br)
		if err != nil {
			return
		}
		if m.Header.has("expect", "100-continue") {
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		m.body(br, false)
		up.got <- m
		io.WriteString(conn, text)
	})
	return up
}

package proxy

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// message is an HTTP/1 message as it stood on the wire.
type message struct {
	Interim []message // 1xx answers before it
	Line    string
	Header  fields
	Body    string // a long one by length and digest
	Trailer fields
	Broken  bool // did not come to its end
}

// fields are the fields of a message by lower-case name, the values of one
// name in their order.
type fields map[string][]string

func (f fields) add(name, value string) {
	name = strings.ToLower(name)
	f[name] = append(f[name], strings.TrimSpace(value))
}

// has reports whether token is in the list that field name holds.
func (f fields) has(name, token string) bool {
	return slices.ContainsFunc(f.list(name), func(s string) bool { return strings.EqualFold(s, token) })
}

func (f fields) list(name string) []string {
	var out []string
	for _, v := range f[name] {
		for item := range strings.SplitSeq(v, ",") {
			out = append(out, strings.TrimSpace(item))
		}
	}
	return out
}

// status is the code of an answer.
func (m message) status() string {
	_, rest, _ := strings.Cut(m.Line, " ")
	code, _, _ := strings.Cut(rest, " ")
	return code
}

// head reads a message up to its body.
func head(br *bufio.Reader) (m message, err error) {
	tp := textproto.NewReader(br)
	if m.Line, err = tp.ReadLine(); err != nil {
		return m, err
	}
	m.Header, err = readFields(tp)
	return m, err
}

func readFields(tp *textproto.Reader) (fields, error) {
	f := fields{}
	for {
		line, err := tp.ReadLine()
		if err != nil || line == "" {
			return f, err
		}
		name, value, _ := strings.Cut(line, ":")
		f.add(name, value)
	}
}

// body reads the body of m. Without a length it goes on to the end of the
// connection, if toEnd.
func (m *message) body(br *bufio.Reader, toEnd bool) {
	var err error
	switch {
	case m.Header.has("transfer-encoding", "chunked"):
		if m.Body, err = digest(httputil.NewChunkedReader(br)); err == nil {
			if m.Trailer, err = readFields(textproto.NewReader(br)); len(m.Trailer) == 0 {
				m.Trailer = nil
			}
		}
	case m.Header["content-length"] != nil:
		var n int64
		fmt.Sscan(m.Header["content-length"][0], &n)
		part := &io.LimitedReader{R: br, N: n}
		if m.Body, err = digest(part); part.N > 0 {
			err = io.ErrUnexpectedEOF
		}
	case toEnd:
		m.Body, err = digest(br)
	}
	m.Broken = err != nil
}

// digest reads r to its end. It returns what it read, and only length and
// digest of what is long.
func digest(r io.Reader) (string, error) {
	const long = 4 << 10
	sum := sha256.New()
	text := new(strings.Builder)
	n, err := io.Copy(io.MultiWriter(sum, &beginning{text, long}), r)
	if n < long {
		return text.String(), err
	}
	return fmt.Sprintf("%d bytes, digest %x", n, sum.Sum(nil)[:8]), err
}

// beginning writes the first bytes on and drops the others.
type beginning struct {
	w    io.Writer
	room int
}

func (b *beginning) Write(p []byte) (int, error) {
	n, err := b.w.Write(p[:min(b.room, len(p))])
	b.room -= n
	return len(p), err
}

// readAnswer reads the answer to a request with the given method.
func readAnswer(br *bufio.Reader, method string) (m message, err error) {
	var interim []message
	for {
		if m, err = head(br); err != nil {
			m.Broken = true
			return m, err
		}
		code := m.status()
		if code[0] != '1' || code == "101" {
			m.Interim = interim
			if method != http.MethodHead && code != "101" && code != "204" && code != "304" {
				m.body(br, true)
			}
			return m, nil
		}
		interim = append(interim, m)
	}
}

// send writes request to the server at addr and reads its answer.
func send(t testing.TB, addr, request string) message {
	t.Helper()
	conn := dial(t, addr)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	m, err := readAnswer(bufio.NewReader(conn), method)
	if err != nil {
		t.Logf("answer: %v", err)
	}
	return m
}

// dial returns a connection that is closed with t.
func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

package hec

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"

	"github.com/vmcp-audit/vmcp-audit/emitter/internal/certtest"
)

const secretToken = "s3cr3t-t0k3n"

// Nothing that can be printed or logged shows the token.
func TestTokenIsNeverShown(t *testing.T) {
	t.Parallel()
	log, logged := logTo(t)
	var shown strings.Builder
	echo := hectest.Code(400, 6, "no "+secretToken+" here\n"+secretToken)
	page := hectest.HTML(200)
	page.Header.Set("Content-Type", "text/"+secretToken)
	page.Body = "<p>" + secretToken
	faults := []hectest.Fault{
		echo, page,
		hectest.Code(403, 4, "Invalid token "+secretToken),
		hectest.Code(400, 7, secretToken),
		hectest.Redirect(302, "https://"+secretToken+".example/"+secretToken),
		hectest.Redirect(302, "https://x/%zz"+secretToken),
		hectest.HTML(413), hectest.Busy(),
	}
	for _, opt := range []Options{
		{Token: ask(secretToken)},
		{TokenFile: certtest.TempFile(t, "token", secretToken)},
	} {
		opt.Log, opt.InsecureSkipVerify = log, true
		c := hectest.New(hectest.Options{Token: secretToken, Acks: true})
		s := serve(t, c, opt)
		for _, f := range faults {
			c.Fail(f)
			_, err := s.Send(t.Context(), numbered(1))
			fmt.Fprintf(&shown, "%v\n%+v\n%#v\n", err, err, err)
		}
		c.Fail(hectest.Fault{Path: "/ack", Status: 400, Body: `{"code":14,"text":"` + secretToken + `"}`})
		_, err := s.Send(t.Context(), numbered(1))
		fmt.Fprintln(&shown, err)
		c.SetToken("another")
		fmt.Fprintln(&shown, s.Probe(t.Context()))
		fmt.Fprintf(&shown, "%v %+v %#v %s %v %+v %#v %+v", s, s, s, s, opt, opt, opt, s.Stats())
	}
	for _, s := range raw(t, secretToken) {
		_, err := s.Send(t.Context(), numbered(1))
		fmt.Fprintln(&shown, err)
	}
	for _, text := range []string{shown.String(), logged()} {
		if text == "" || strings.Contains(text, secretToken) {
			t.Errorf("shows the token:\n%s", text)
		}
	}
	if !strings.Contains(shown.String(), "<redacted>") {
		t.Error("no answer has shown the token: what is tested here?")
	}
}

// raw returns sinks whose collectors speak HTTP that net/http complains about
// by quoting it.
func raw(t *testing.T, secret string) []*Sink {
	t.Helper()
	var sinks []*Sink
	for _, answer := range []string{
		"HTTP/1.1 2OO " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + secret,
		"\x1b[31m" + secret + "\r\n\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(conn, answer)
				conn.Close()
			}
		})}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
		sinks = append(sinks, newSink(t, "http://"+l.Addr().String(), Options{Token: ask(secret)}))
	}
	return sinks
}

func TestProxy(t *testing.T) {
	t.Parallel()
	before := httpProxy.Count()
	s := newSink(t, "http://splunk.example:8088", Options{})
	mustSend(t, s, numbered(2))
	if got := httpProxy.Count() - before; got != 2 {
		t.Errorf("%d events came by the proxy", got)
	}
	// This proxy does not know CONNECT.
	s = newSink(t, "https://splunk.example:8088", Options{})
	err := wantSend(t, s, numbered(2), 0, "plain", "hec https://splunk.example:8088: Not Found")
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.Contains(err.Error(), proxySecret) {
			t.Errorf("shows the password of the proxy: %v", err)
		}
	}
}

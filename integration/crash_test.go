package integration

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestCrash kills the server in the middle of two calls, one on a stream that
// could be resumed and one on a stream that could not.
func TestCrash(t *testing.T) {
	needNode(t)
	port := freePort(t)
	srv := startEverything(t, port)
	p := startProxy(t, "http://"+loopback(port))
	url := p.url + everythingPath
	resumable := &raw{url: url, http: newRecorder("resumable", nil)}
	resumable.initialize(t, "2025-11-25")
	plain := &raw{url: url, http: newRecorder("plain", nil)}
	plain.initialize(t, "2025-03-26")

	var calls sync.WaitGroup
	calls.Go(func() { breaks(t, resumable, longCall(`,"_meta":{"progressToken":1}`)) })
	calls.Go(func() { breaks(t, plain, longCall("")) })
	until(t, "both calls are running", func() bool {
		return resumable.http.received("notifications/progress") && plain.http.answering("tools/call")
	})
	if err := srv.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-srv.ended
	calls.Wait()

	const echo = `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}`
	for _, c := range []*raw{resumable, plain} {
		if status, answer := c.ask(t, echo); status != http.StatusBadGateway {
			t.Errorf("without a server: %d %s", status, answer)
		}
	}
	startEverything(t, port)
	for _, c := range []*raw{resumable, plain} {
		if status, _ := c.ask(t, strings.Replace(echo, "3", "4", 1)); status != http.StatusBadRequest {
			t.Errorf("the new server knows the old session: %d", status)
		}
		c.initialize(t, c.version)
		if status, answer := c.ask(t, echo); status != http.StatusOK || !strings.Contains(answer, "Echo: hi") {
			t.Errorf("with the new server: %d %s", status, answer)
		}
	}

	tr := p.stop(t)
	all := resumable.http.seen()
	all.add(plain.http.seen())
	compare(t, all, tr)
}

func longCall(meta string) string {
	return `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"trigger-long-running-operation",` +
		`"arguments":{"duration":600,"steps":6000}` + meta + `}}`
}

// breaks sends a call whose answer must be broken off.
func breaks(t testing.TB, c *raw, body string) {
	t.Helper()
	resp, err := c.post(context.Background(), body)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the answer has ended well: %s", b)
	}
}

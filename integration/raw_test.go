package integration

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// raw is a client without an SDK: it sends what it is told to.
type raw struct {
	url     string
	http    *recorder
	session string
	version string
}

// post sends a body and returns the answer, whose body the caller reads.
func (c *raw) post(ctx context.Context, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
		req.Header.Set("Mcp-Protocol-Version", c.version)
	}
	return c.http.httpClient().Do(req)
}

// ask sends a body and reads the answer to its end.
func (c *raw) ask(t testing.TB, body string) (status int, answer string) {
	t.Helper()
	resp, err := c.post(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%v after %q", err, b)
	}
	if s := resp.Header.Get("Mcp-Session-Id"); s != "" && c.session == "" {
		c.session = s
	}
	return resp.StatusCode, string(b)
}

// initialize begins a session of the given revision.
func (c *raw) initialize(t testing.TB, version string) {
	t.Helper()
	c.session, c.version = "", version
	status, answer := c.ask(t, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+version+
		`","capabilities":{},"clientInfo":{"name":"`+c.http.client+`","version":"0"}}}`)
	if status != http.StatusOK || c.session == "" {
		t.Fatalf("initialize: %d %s", status, answer)
	}
	if status, answer := c.ask(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); status != http.StatusAccepted {
		t.Fatalf("notifications/initialized: %d %s", status, answer)
	}
}

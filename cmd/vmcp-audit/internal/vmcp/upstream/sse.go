package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// openSSE opens the stream of the HTTP+SSE transport (revision 2024-11-05). Its
// first event names the address that messages are sent to, which must be of
// the same origin: else a server could have our headers sent elsewhere.
func (b *Backend) openSSE(ctx context.Context, base Events) (*pipe, error) {
	p := newPipe(b, base)
	defer context.AfterFunc(ctx, p.end)()
	req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, b.URL.String(), nil)
	if err != nil {
		return nil, err
	}
	b.dress(req)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := b.do(req)
	if err != nil {
		p.end()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		p.end()
		return nil, StatusError(resp.StatusCode)
	}
	events := wire.NewEventReader(resp.Body)
	endpoint, err := b.endpoint(events)
	if err != nil {
		_ = resp.Body.Close()
		p.end()
		return nil, err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer p.end()
		defer resp.Body.Close()
		for {
			e, err := events.Next()
			if err != nil {
				return
			}
			if len(e.Data) > 0 && (e.Name == "" || e.Name == "message") {
				p.deliver(e.Data)
			}
		}
	})
	p.send = func(ctx context.Context, m []byte) error {
		err := p.postTo(ctx, endpoint, m)
		if errors.Is(err, ErrSession) {
			p.end()
		}
		return err
	}
	p.stop = func() { p.end(); wg.Wait() }
	return p, nil
}

var errEndpoint = errors.New("the stream did not begin with an address of the same origin for messages")

func (b *Backend) endpoint(events *wire.EventReader) (string, error) {
	for {
		e, err := events.Next()
		if err != nil {
			return "", fmt.Errorf("%w: %w", errEndpoint, err)
		}
		if e.Name != "endpoint" {
			continue
		}
		u, err := url.Parse(string(e.Data))
		if err != nil {
			return "", errEndpoint
		}
		u = b.URL.ResolveReference(u)
		if u.Scheme != b.URL.Scheme || u.Host != b.URL.Host {
			return "", errEndpoint
		}
		return u.String(), nil
	}
}

func (b *Backend) dress(req *http.Request) {
	maps.Copy(req.Header, b.Header)
	req.Header.Set(mcp.HeaderProtocolVersion, "2024-11-05")
}

func (p *pipe) postTo(ctx context.Context, address string, message []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(message))
	if err != nil {
		return err
	}
	p.b.dress(req)
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.b.post(p.ctx, req, &p.asks.tasks)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return &NotRun{ErrSession}
	case resp.StatusCode >= 300:
		return StatusError(resp.StatusCode)
	}
	return nil
}

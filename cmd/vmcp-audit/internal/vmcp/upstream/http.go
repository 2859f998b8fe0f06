package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// httpConn is a session over streamable HTTP, or in revision 2026-07-28 the way
// to the server.
type httpConn struct {
	b      *Backend
	base   Events // takes what belongs to no call
	modern bool
	ctx    context.Context
	end    context.CancelFunc
	ids    atomic.Int64
	lost   atomic.Bool
	asks   asks
	wg     tasks

	mu      sync.Mutex // guards what follows
	session string     // as the answer to the initialize named it
	version string     // "" until it is agreed on
}

func (b *Backend) newHTTP(version string, base Events) *httpConn {
	c := &httpConn{b: b, base: base, version: version, modern: version == Modern}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.asks.ctx = c.ctx
	return c
}

// agreed returns the session and the version, as far as they are known.
func (c *httpConn) agreed() (session, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.version
}

// initialize opens a legacy session and its stream of server messages.
func (c *httpConn) initialize(ctx context.Context, hello Hello) (*Welcome, error) {
	result, err := c.Call(ctx, Request{Method: "initialize", Params: hello.Params}, c.base)
	if err != nil {
		return nil, err
	}
	w, err := welcome(result)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.version, w.Asks = w.Version, c.session != ""
	c.mu.Unlock()
	c.b.deaf.Store(false)
	if err := c.Notify(ctx, "notifications/initialized", nil); err != nil {
		return nil, err
	}
	c.wg.Go(c.listen)
	return w, nil
}

func (c *httpConn) Call(outer context.Context, req Request, ev Events) (wire.Raw, error) {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	id := wire.Raw(strconv.FormatInt(c.ids.Add(1), 10))
	resp, err := c.post(ctx, wire.AppendRequest(nil, id, req.Method, req.Params), c.header(req))
	var m wire.Message
	if err == nil {
		if req.Method == "initialize" { // what the stream of its answer asks is answered in the session
			c.join(resp)
		}
		m, err = c.answer(ctx, resp, id, ev)
		_ = resp.Body.Close()
	}
	switch {
	case err != nil && outer.Err() != nil:
		if !c.modern && req.Method != "initialize" {
			c.tell("notifications/cancelled", cancelParams(outer, id))
		}
		return nil, context.Cause(outer)
	case err != nil && c.ctx.Err() != nil:
		return nil, ErrBroken
	case err != nil:
		return nil, err
	case m.Error != nil:
		return nil, &wire.Error{Raw: m.Error}
	}
	return m.Result, nil
}

func (c *httpConn) join(resp *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if resp.StatusCode == http.StatusOK {
		c.session = resp.Header.Get(mcp.HeaderSessionID)
	}
}

// header adds to a modern request what mirrors its body.
func (c *httpConn) header(req Request) http.Header {
	h := req.Header.Clone()
	if h == nil {
		h = make(http.Header)
	}
	_, version := c.agreed()
	for name, value := range mcp.StandardHeaders(version, mcp.MCPMethod(req.Method), req.Params) {
		h.Set(name, value)
	}
	return h
}

func (c *httpConn) request(ctx context.Context, method string, body []byte, h http.Header) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.b.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, h)
	maps.Copy(req.Header, c.b.Header)
	session, version := c.agreed()
	if version != "" {
		req.Header.Set(mcp.HeaderProtocolVersion, version)
	}
	if session != "" {
		req.Header.Set(mcp.HeaderSessionID, session)
	}
	return req, nil
}

// post sends a message. A 404 to a session says that it is lost, and that
// nothing has run.
func (c *httpConn) post(ctx context.Context, body []byte, h http.Header) (*http.Response, error) {
	req, err := c.request(ctx, http.MethodPost, body, h)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := c.b.post(c.ctx, req, &c.wg)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound && req.Header.Get(mcp.HeaderSessionID) != "" {
		_ = resp.Body.Close()
		c.lost.Store(true)
		return nil, &NotRun{ErrSession}
	}
	return resp, nil
}

const maxErrorBody = 64 << 10 // bytes read of an answer that is an error

// answer reads the response to the request with the given id.
func (c *httpConn) answer(ctx context.Context, resp *http.Response, id wire.Raw, ev Events) (wire.Message, error) {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode != http.StatusOK:
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		m, err := wire.Parse(body)
		if session, _ := c.agreed(); session != "" && resp.StatusCode == http.StatusBadRequest && unknownSession(m) {
			c.lost.Store(true)
			return m, &NotRun{ErrSession}
		}
		if err != nil || m.Error == nil {
			return m, StatusError(resp.StatusCode)
		}
		return m, nil
	case media == "text/event-stream":
		return c.stream(ctx, resp, id, ev)
	case media != "application/json":
		return wire.Message{}, fmt.Errorf("%w: content type %.64q", ErrAnswer, media)
	}
	body, err := readAll(resp)
	if err != nil {
		return wire.Message{}, err
	}
	m, err := wire.Parse(body)
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if !m.Response() || wire.IDKey(m.ID) != wire.IDKey(id) {
		return m, fmt.Errorf("%w: a response to another id", ErrAnswer)
	}
	return m, nil
}

// unknownSession reports whether an error says what a 404 should have said. The
// examples of the TypeScript SDK, and the servers that were made after them,
// answer 400, code -32000 and "Bad Request: No valid session ID provided"; its
// transport, when it was made anew, "Bad Request: Server not initialized". Both
// have no id: it is the answer to no request that was carried out.
func unknownSession(m wire.Message) bool {
	text := strings.ToLower(wire.Text(wire.Get(m.Error, "message")))
	return (m.ID == nil || string(m.ID) == "null") && string(wire.Get(m.Error, "code")) == "-32000" &&
		(strings.Contains(text, "session") || strings.Contains(text, "not initialized"))
}

func readAll(resp *http.Response) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, min(max(resp.ContentLength, 0), 1<<20)+bytes.MinRead))
	n, err := io.Copy(buf, io.LimitReader(resp.Body, wire.MaxMessage+1))
	if n > wire.MaxMessage {
		err = wire.ErrTooLarge
	}
	return buf.Bytes(), err
}

// stream reads events up to the response. A stream of a legacy server may end
// before, and the rest come by a GET that names the last event (2025-11-25,
// "Resumability and Redelivery").
func (c *httpConn) stream(ctx context.Context, resp *http.Response, id wire.Raw, ev Events) (wire.Message, error) {
	var resumed *http.Response
	defer func() {
		if resumed != nil {
			_ = resumed.Body.Close()
		}
	}()
	events := wire.NewEventReader(resp.Body)
	for {
		m, err := c.read(events, id, ev)
		if err == nil || events.LastID == "" || c.modern || ctx.Err() != nil || errors.Is(err, wire.ErrTooLarge) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return m, err
		}
		if err := wait(ctx, events.Retry); err != nil {
			return m, err
		}
		next, err := c.get(ctx, events.LastID)
		if unsent, ok := errors.AsType[*NotRun](err); ok {
			err = unsent.Err // but the call was
		}
		if err != nil {
			return m, err
		}
		if resumed != nil {
			_ = resumed.Body.Close()
		}
		resumed = next
		events.Reset(next.Body)
	}
}

// read passes on what events bring until the response to id; without an id
// there is none.
func (c *httpConn) read(events *wire.EventReader, id wire.Raw, ev Events) (wire.Message, error) {
	for {
		e, err := events.Next()
		if err != nil {
			return wire.Message{}, err
		}
		if len(e.Data) == 0 {
			continue
		}
		m, err := wire.Parse(e.Data)
		switch {
		case err != nil:
			c.b.garbage(err)
		case m.Request():
			c.asks.take(m, ev, c.respond)
		case m.Notification():
			if !c.asks.withdrawn(m) {
				ev.Notify(m)
			}
		case id != nil && wire.IDKey(m.ID) == wire.IDKey(id):
			return m, nil
		}
	}
}

func (c *httpConn) get(ctx context.Context, lastID string) (*http.Response, error) {
	req, err := c.request(ctx, http.MethodGet, nil, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set(mcp.HeaderLastEventID, lastID)
	}
	resp, err := c.b.do(req)
	if err != nil {
		return nil, err
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || media != "text/event-stream" {
		_ = resp.Body.Close()
		return nil, StatusError(resp.StatusCode)
	}
	return resp, nil
}

const (
	shortestWait = 50 * time.Millisecond // before a stream is opened again, whatever the server asks for
	usualWait    = time.Second
	longestWait  = 30 * time.Second // unless the server asks for more
)

// wait waits until a stream may be opened again.
func wait(ctx context.Context, asked time.Duration) error {
	if asked == 0 {
		asked = usualWait
	}
	timer := time.NewTimer(max(asked, shortestWait))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listen holds the stream of messages that belong to no call, if the server has
// one, until the session ends.
func (c *httpConn) listen() {
	events := wire.NewEventReader(nil)
	for pause := time.Duration(0); ; {
		resp, err := c.get(c.ctx, events.LastID)
		status, refused := errors.AsType[StatusError](err)
		switch {
		case err == nil:
			events.Reset(resp.Body)
			_, _ = c.read(events, nil, c.base)
			_ = resp.Body.Close()
			pause = events.Retry
		case refused && !passing(status) && events.LastID == "":
			return // 405: there is none; 404: the session is lost, which the next call finds out
		case refused && !passing(status):
			events = wire.NewEventReader(nil) // it may not know the event any more
		default:
			pause = min(max(2*pause, usualWait), longestWait)
		}
		if wait(c.ctx, pause) != nil {
			return
		}
	}
}

// passing reports whether a stream may be had later: the server, or a proxy
// before it, is overloaded or restarts, or has not seen yet that the last stream
// has ended (409 of the TypeScript SDK).
func passing(s StatusError) bool {
	switch s {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return s >= 500
}

// respond sends the answer to a question of the server.
func (c *httpConn) respond(body []byte) {
	ctx, cancel := context.WithTimeout(c.ctx, tellTimeout)
	defer cancel()
	if err := c.send(ctx, body, nil); err != nil && c.ctx.Err() == nil {
		c.b.Log.Warn("a back end did not take an answer", "backend", c.b.Name, "error", err)
	}
}

// tell sends a notification in the background.
func (c *httpConn) tell(method string, params wire.Raw) {
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, tellTimeout)
		defer cancel()
		_ = c.Notify(ctx, method, params)
	})
}

func (c *httpConn) Notify(ctx context.Context, method string, params wire.Raw) error {
	return c.send(ctx, wire.AppendRequest(nil, nil, method, params), c.header(Request{Method: method}))
}

// send posts what asks for no answer.
func (c *httpConn) send(ctx context.Context, body []byte, h http.Header) error {
	resp, err := c.post(ctx, body, h)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		return StatusError(resp.StatusCode)
	}
	return nil
}

func (c *httpConn) Broken() bool { return c.lost.Load() || c.ctx.Err() != nil }

// Close deletes the session.
func (c *httpConn) Close() {
	if session, _ := c.agreed(); session != "" && !c.Broken() {
		c.delete()
	}
	c.end()
	c.wg.Wait()
	c.asks.tasks.Wait()
}

// delete tells the server that the session has ended. One that has left a
// DELETE unanswered is sent no more of them until it opens a session again: a
// thousand sessions would take an hour to end.
func (c *httpConn) delete() {
	if c.b.deaf.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	req, err := c.request(ctx, http.MethodDelete, nil, nil)
	if err != nil {
		return
	}
	resp, err := c.b.do(req)
	if err == nil {
		_ = resp.Body.Close()
	} else if ctx.Err() != nil {
		c.b.deaf.Store(true)
	}
}

package front

import (
	"bytes"
	"net/http"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// bridged is the answer to one request over a bridge.
type bridged struct {
	b       *bridge
	message wire.Message // that the request carries; the zero value if that could not be read
	header  http.Header

	status int
	body   bytes.Buffer // JSON, or what is left of a stream
	said   bool         // something was passed on
}

func (w *bridged) Header() http.Header { return w.header }

// Flush does nothing: what is written has been passed on.
func (w *bridged) Flush() {}

func (w *bridged) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *bridged) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.body.Write(p)
	if w.header.Get("Content-Type") != "text/event-stream" {
		return len(p), nil
	}
	for {
		event, rest, whole := bytes.Cut(w.body.Bytes(), []byte("\n\n"))
		if !whole {
			return len(p), nil
		}
		if _, data, ok := bytes.Cut(event, []byte("data: ")); ok {
			if err := w.pass(bytes.Clone(data)); err != nil {
				return 0, err
			}
		}
		w.body.Next(w.body.Len() - len(rest))
	}
}

func (w *bridged) pass(message []byte) error {
	w.said = true
	return w.b.out(message)
}

// finish passes a JSON answer on. What is none, as a refusal in plain text, is
// told as an error to the request.
func (w *bridged) finish() {
	if w.header.Get("Content-Type") == "text/event-stream" {
		return
	}
	body := bytes.TrimSpace(w.body.Bytes())
	answer, err := wire.Parse(body)
	unread := w.message.Method == "" && !w.message.Response()
	switch {
	case w.status == http.StatusNotFound && !modernMeta(w.message):
		// Somebody else's message for the session, or the session has just ended:
		// the client is not to take it for an answer of its own.
	case err == nil && answer.Response():
		if w.message.Method == "initialize" {
			w.b.began(w.header, answer)
		}
		_ = w.pass(body)
	case unread && bytes.HasPrefix(body, []byte("{")):
		_ = w.pass(body) // with a null for the id
	case w.message.ID != nil && !w.said && w.b.ctx.Err() == nil && w.status >= 300:
		_ = w.pass(wire.AppendError(nil, w.message.ID, wire.NewError(wire.CodeInternal, http.StatusText(w.status), nil)))
	}
}

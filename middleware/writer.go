package middleware

import (
	"bufio"
	"net"
	"net/http"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// writer shows the answer to its operation on the way out.
type writer struct {
	http.ResponseWriter
	op       *operation
	begun    bool // the final status has passed
	hijacked bool
}

// flushWriter is a writer whose inner one can flush. mcp-go looks for
// http.Flusher by type assertion, so a writer must be one exactly if the inner
// one is.
type flushWriter struct{ *writer }

// handed returns what the handler is given.
func (w *writer) handed() http.ResponseWriter {
	if _, ok := w.ResponseWriter.(http.Flusher); ok {
		return flushWriter{w}
	}
	return w
}

// Unwrap serves http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	w.op.pass(p)
	return w.ResponseWriter.Write(p)
}

// begin notes the final status, once. 1xx are none, but for 101, after which
// there is no other.
func (w *writer) begin(status int) {
	if w.begun || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.begun = true
	w.op.begin(status, w.Header())
}

// end notes the status that net/http sends for a handler that wrote nothing.
func (w *writer) end() {
	if !w.hijacked {
		w.begin(http.StatusOK)
	}
}

// FlushError serves http.ResponseController, which so hears of a client that
// has gone.
func (w flushWriter) FlushError() error {
	w.begin(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w flushWriter) Flush() { _ = w.FlushError() }

// Hijack hands the connection to the handler, whose event says that the rest
// is unseen.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		w.op.note.AddAnomaly(emitter.AnomalyHijacked)
	}
	return conn, rw, err
}

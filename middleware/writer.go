package middleware

import (
	"bufio"
	"net"
	"net/http"
)

// writer shows the answer to its operation on the way out.
type writer struct {
	http.ResponseWriter
	op    *operation
	begun bool // the final status has passed
}

// flushWriter is a writer whose inner one can flush. mcp-go looks for
// http.Flusher by type assertion, so a writer must be one exactly if the inner
// one is.
type flushWriter struct{ *writer }

func wrap(w http.ResponseWriter, op *operation) http.ResponseWriter {
	ww := &writer{ResponseWriter: w, op: op}
	if _, ok := w.(http.Flusher); ok {
		return flushWriter{ww}
	}
	return ww
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

func (w flushWriter) Flush() {
	w.begin(http.StatusOK)
	w.ResponseWriter.(http.Flusher).Flush()
}

// Hijack hands the connection to the handler, whose event says that the rest
// is unseen.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.op.hijack()
	}
	return conn, rw, err
}

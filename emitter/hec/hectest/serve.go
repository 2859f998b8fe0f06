package hectest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const root = "/services/collector"

// ServeHTTP answers a request.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	path, _ := strings.CutSuffix(r.URL.Path, "/1.0")
	if path == root {
		path += "/event"
	}
	if hang := c.serve(w, r, path, body); hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

func (c *Collector) serve(w http.ResponseWriter, r *http.Request, path string, body []byte) (hang bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(r, path, body)
	method := http.MethodPost
	if path == root+"/health" {
		method = http.MethodGet
	}
	switch path {
	case root + "/event", root + "/ack", root + "/health":
	default:
		reply(w, http.StatusNotFound, 404, "The requested URL was not found on this server.")
		return false
	}
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusOK)
	case r.Method != method:
		reply(w, http.StatusMethodNotAllowed, 404, "The requested URL was not found on this server.")
	case path != root+"/health" && !c.authorized(w, r):
	default:
		return c.dispatch(w, r, path, body)
	}
	return false
}

func (c *Collector) dispatch(w http.ResponseWriter, r *http.Request, path string, body []byte) (hang bool) {
	if i := slices.IndexFunc(c.faults, func(f Fault) bool { return f.meant(path) }); i >= 0 {
		f := c.faults[i]
		c.faults = slices.Delete(c.faults, i, i+1)
		return c.misbehave(w, r, f, body)
	}
	switch path {
	case root + "/event":
		c.collect(w, r, body, -1)
	case root + "/ack":
		c.poll(w, r, body)
	default:
		reply(w, http.StatusOK, 17, "HEC is healthy")
	}
	return false
}

func (f Fault) meant(path string) bool {
	if f.Path == "" {
		return path == root+"/event"
	}
	return strings.HasSuffix(path, f.Path)
}

func (c *Collector) misbehave(w http.ResponseWriter, r *http.Request, f Fault, body []byte) (hang bool) {
	if f.Index != 0 {
		c.collect(nothing{}, r, body, f.Index)
	}
	if f.Do != nil {
		c.mu.Unlock() // it may call the collector
		f.Do()
		c.mu.Lock()
	}
	switch {
	case f.Hang:
		return true
	case f.Status == 0:
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), f.Header)
	w.WriteHeader(f.Status)
	fmt.Fprint(w, f.Body)
	return false
}

// nothing is where the answer goes that a fault takes the place of.
type nothing struct{}

func (nothing) Header() http.Header         { return http.Header{} }
func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) WriteHeader(int)             {}

func (c *Collector) note(r *http.Request, path string, body []byte) {
	if c.opt.CountOnly {
		return
	}
	header := r.Header.Clone()
	header.Del("Authorization")
	n := Request{Method: r.Method, Path: path, Header: header, Bytes: len(body), Channel: channelOf(r)}
	if path == root+"/ack" {
		n.Polled, _ = polled(body)
	}
	c.requests = append(c.requests, n)
}

// authorized checks the token as Splunk does, and answers if it is wrong.
func (c *Collector) authorized(w http.ResponseWriter, r *http.Request) bool {
	token, splunk := strings.CutPrefix(r.Header.Get("Authorization"), "Splunk ")
	if _, password, ok := r.BasicAuth(); ok {
		token, splunk = password, true
	}
	switch {
	case r.Header.Get("Authorization") == "" && r.URL.Query().Has("token"):
		reply(w, http.StatusBadRequest, 16, "Query string authorization is not enabled")
	case r.Header.Get("Authorization") == "":
		reply(w, http.StatusUnauthorized, 2, "Token is required")
	case !splunk:
		reply(w, http.StatusUnauthorized, 3, "Invalid authorization")
	case token != c.token:
		reply(w, http.StatusForbidden, 4, "Invalid token")
	case c.disabled:
		reply(w, http.StatusForbidden, 1, "Token disabled")
	default:
		return true
	}
	return false
}

func channelOf(r *http.Request) string {
	if channel := r.URL.Query().Get("channel"); channel != "" {
		return channel
	}
	return r.Header.Get("X-Splunk-Request-Channel")
}

// hasChannel demands a channel, and answers if there is none that is fit.
func (c *Collector) hasChannel(w http.ResponseWriter, r *http.Request) bool {
	switch channel := channelOf(r); {
	case channel == "" && c.opt.Cloud:
		reply(w, http.StatusBadRequest, 28, "Data channel is missing. If you have multiple indexers, sticky session load balancers are needed")
	case channel == "":
		reply(w, http.StatusBadRequest, 10, "Data channel is missing")
	case len(channel) != 36 || strings.Count(channel, "-") != 4:
		reply(w, http.StatusBadRequest, 11, "Invalid data channel")
	default:
		return true
	}
	return false
}

// collect takes the events in body, at most the first most of them if that is
// not negative, and answers.
func (c *Collector) collect(w http.ResponseWriter, r *http.Request, body []byte, most int) {
	if c.acks && !c.hasChannel(w, r) {
		return
	}
	body, ok := unpack(w, r, body)
	if !ok {
		return
	}
	switch {
	case len(body) > c.opt.MaxBytes && c.opt.Cloud:
		fmt.Fprint(status(w, http.StatusBadRequest), `{"text":"Invalid data format","code":6,"invalid-event-number":0}`)
		return
	case len(body) > c.opt.MaxBytes:
		page(w, http.StatusRequestEntityTooLarge)
		return
	}
	events, flaw := parse(body, c.opt.Indexes)
	if most >= 0 && most < len(events) {
		events = events[:most]
	}
	c.index(events, channelOf(r))
	ack := ""
	if c.acks && (flaw == nil || len(events) > 0) {
		ack = `,"ackId":` + strconv.FormatInt(c.promise(channelOf(r)), 10)
	}
	if flaw == nil {
		fmt.Fprintf(w, `{"text":"Success","code":0%s}`, ack)
		return
	}
	number := ""
	if flaw.number >= 0 {
		number = `,"invalid-event-number":` + strconv.Itoa(flaw.number)
	}
	fmt.Fprintf(status(w, http.StatusBadRequest), `{"text":%q,"code":%d%s%s}`, flaw.text, flaw.code, number, ack)
}

func (c *Collector) index(events []Event, channel string) {
	c.count += len(events)
	for _, e := range events {
		e.Channel, e.Received = channel, time.Now()
		if c.opt.Indexed != nil {
			c.opt.Indexed(e)
		}
		if !c.opt.CountOnly {
			c.events = append(c.events, e)
		}
	}
}

func unpack(w http.ResponseWriter, r *http.Request, body []byte) ([]byte, bool) {
	switch r.Header.Get("Content-Encoding") {
	case "":
		return body, true
	case "gzip":
		z, err := gzip.NewReader(strings.NewReader(string(body)))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			reply(w, http.StatusBadRequest, 6, "Invalid data format")
		}
		return body, err == nil
	default:
		page(w, http.StatusUnsupportedMediaType)
		return nil, false
	}
}

func (c *Collector) poll(w http.ResponseWriter, r *http.Request, body []byte) {
	if !c.acks {
		reply(w, http.StatusBadRequest, 14, "ACK is disabled")
		return
	}
	if !c.hasChannel(w, r) {
		return
	}
	ids, err := polled(body)
	if err != nil {
		reply(w, http.StatusBadRequest, 6, "Invalid data format")
		return
	}
	acks := map[string]bool{}
	for _, id := range ids {
		acks[strconv.FormatInt(id, 10)] = c.tell(channelOf(r), id)
	}
	answer, _ := json.Marshal(map[string]any{"acks": acks}) // booleans always can
	fmt.Fprintf(w, "%s\n", answer)
}

func polled(body []byte) ([]int64, error) {
	var p struct{ Acks []int64 }
	err := json.Unmarshal(body, &p)
	return p.Acks, err
}

func reply(w http.ResponseWriter, code, hec int, text string) {
	fmt.Fprintf(status(w, code), `{"text":%q,"code":%d}`, text, hec)
}

func page(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(status(w, code), "<html><body>%d %s</body></html>", code, http.StatusText(code))
}

func status(w http.ResponseWriter, code int) io.Writer {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	}
	w.WriteHeader(code)
	return w
}

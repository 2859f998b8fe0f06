package hectest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Fault is how a collector misbehaves at one request. The zero value cuts the
// connection before anything is indexed.
type Fault struct {
	// Path is the end of the path of the requests that it is meant for; empty:
	// those with events.
	Path string
	// Index is how many events of the request are indexed all the same; less
	// than 0: all.
	Index int
	// Do is called before the answer is given, or not given.
	Do func()
	// Hang gives no answer until the client goes away.
	Hang bool
	// Status, Header and Body are the answer. No Status cuts the connection.
	Status int
	Header http.Header
	Body   string
}

// Fail has the next requests misbehave, each one by the first fault that is
// left for its path. A request with a valid token that finds none is served as
// it should be.
func (c *Collector) Fail(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, faults...)
}

// FaultsLeft returns how many faults have not happened yet.
func (c *Collector) FaultsLeft() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.faults)
}

// Busy is the answer of a Splunk whose queues are full.
func Busy() Fault { return Code(http.StatusServiceUnavailable, 9, "Server is busy") }

// Code is an answer of HEC.
func Code(status, code int, text string) Fault {
	return Fault{Status: status, Body: fmt.Sprintf(`{"text":%s,"code":%d}`, quote(text), code)}
}

func quote(text string) []byte {
	quoted, _ := json.Marshal(text) // a string always can
	return quoted
}

// RetryAfter is a 429 with that header.
func RetryAfter(value string) Fault {
	f := Code(http.StatusTooManyRequests, 26, "Queue is at capacity")
	f.Header = http.Header{"Retry-After": {value}}
	return f
}

// HTML is a page that comes from something in between.
func HTML(status int) Fault {
	return Fault{
		Status: status,
		Header: http.Header{"Content-Type": {"text/html"}},
		Body:   "<html><body>Please sign in</body></html>",
	}
}

// Redirect leads to another place.
func Redirect(status int, location string) Fault {
	return Fault{Status: status, Header: http.Header{"Location": {location}}}
}

// CutBefore cuts the connection before anything is indexed.
func CutBefore() Fault { return Fault{} }

// CutAfter indexes all events and cuts the connection instead of an answer.
func CutAfter() Fault { return Fault{Index: -1} }

// Hang indexes nothing and does not answer.
func Hang() Fault { return Fault{Hang: true} }

// Half indexes n events and answers that the server is busy.
func Half(n int) Fault {
	f := Busy()
	f.Index = n
	f.Body = fmt.Sprintf(`{"text":"Server is busy","code":9,"invalid-event-number":%d}`, n)
	return f
}

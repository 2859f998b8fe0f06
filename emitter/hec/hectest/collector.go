// Package hectest is an HTTP Event Collector for tests: an [http.Handler] that
// answers as Splunk Enterprise 10.4 and Splunk Cloud 10.5 were seen to answer,
// as far as this project relies on it, and that misbehaves when it is told to.
//
// It parses every envelope and takes over what is in it, so that a test can
// compare what was indexed with what was sent. Codes 18 to 27, which say that
// Splunk is not well, are never its own idea: see [Fault].
package hectest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options of a [Collector]. The zero value is a Splunk Enterprise without
// indexer acknowledgement that takes [Token] and every index.
type Options struct {
	Token     string        // empty: Token
	Indexes   []string      // that the token may write to; nil: any
	Acks      bool          // indexer acknowledgement is enabled for the token
	AckDelay  time.Duration // from a request to its acknowledgement
	Cloud     bool          // refuses and sizes as Splunk Cloud
	MaxBytes  int           // of a body without compression; 0: 838,860,800, or 5,242,881 with Cloud
	CountOnly bool          // keeps no events, only their number
	Indexed   func(Event)   // is shown each event that is indexed, in order, also with CountOnly; it must not call the collector
}

// Token is taken unless Options say otherwise.
const Token = "5c0ffee5-aaaa-4bbb-8ccc-123456789abc"

// Event is an event that was indexed.
type Event struct {
	Channel  string
	Received time.Time
	Time     string // as it stands in the envelope; empty: none
	Host     string
	Source   string
	Type     string // sourcetype
	Index    string
	Body     json.RawMessage
	Fields   map[string]json.RawMessage
}

// Request is a request that arrived, whatever became of it.
type Request struct {
	Method  string
	Path    string
	Header  http.Header // the Authorization is taken out
	Bytes   int         // of the body, as it came
	Polled  []int64     // ids that were asked for
	Channel string
}

// Collector is the collector. It is safe for concurrent use.
type Collector struct {
	opt Options

	mu       sync.Mutex // guards all below
	token    string
	disabled bool // the token
	acks     bool
	never    bool
	delay    time.Duration
	channels map[string]*channel
	events   []Event
	count    int
	requests []Request
	faults   []Fault
}

// New returns a collector.
func New(opt Options) *Collector {
	if opt.Token == "" {
		opt.Token = Token
	}
	if opt.MaxBytes == 0 {
		opt.MaxBytes = 838_860_800
		if opt.Cloud {
			opt.MaxBytes = 5_242_881
		}
	}
	return &Collector{
		opt: opt, token: opt.Token, acks: opt.Acks, delay: opt.AckDelay,
		channels: map[string]*channel{},
	}
}

// Events returns what was indexed, in order.
func (c *Collector) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// Bodies returns what Events returns, the bodies only.
func (c *Collector) Bodies() []string {
	var bodies []string
	for _, e := range c.Events() {
		bodies = append(bodies, string(e.Body))
	}
	return bodies
}

// Count returns how many events were indexed.
func (c *Collector) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// Requests returns the requests whose path ends in suffix, in order.
func (c *Collector) Requests(suffix string) []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rs []Request
	for _, r := range c.requests {
		if strings.HasSuffix(r.Path, suffix) {
			rs = append(rs, r)
		}
	}
	return rs
}

// SetToken makes another token the valid one.
func (c *Collector) SetToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = token
}

// DisableToken disables the token, or enables it again.
func (c *Collector) DisableToken(disabled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disabled = disabled
}

// SetAcks switches indexer acknowledgement of the token on or off.
func (c *Collector) SetAcks(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks = on
}

// NeverAck keeps every acknowledgement false from now on, or no more.
func (c *Collector) NeverAck(never bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.never = never
}

// ForgetAcks makes every acknowledgement that is outstanding false for good.
func (c *Collector) ForgetAcks() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.channels {
		clear(ch.due)
	}
}

// Restart forgets all channels: ids begin at 0 again. Events stay.
func (c *Collector) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.channels)
}

// channel is a channel with its acknowledgements.
type channel struct {
	next int64
	due  map[int64]time.Time // when an id comes true; once told it is gone
}

// promise returns the id of a request in the channel of that name.
func (c *Collector) promise(name string) int64 {
	ch := c.channels[name]
	if ch == nil {
		ch = &channel{due: map[int64]time.Time{}}
		c.channels[name] = ch
	}
	id := ch.next
	ch.next++
	ch.due[id] = time.Now().Add(c.delay)
	return id
}

// tell reports whether the id has come true, and if so forgets it.
func (c *Collector) tell(name string, id int64) bool {
	ch := c.channels[name]
	if ch == nil || c.never {
		return false
	}
	due, ok := ch.due[id]
	if !ok || time.Now().Before(due) {
		return false
	}
	delete(ch.due, id)
	return true
}

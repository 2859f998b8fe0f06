package hec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

func TestSend(t *testing.T) {
	c := hectest.New(hectest.Options{Indexes: []string{"audit"}})
	s := serve(t, c, Options{Host: "gw", Index: "audit", Fields: map[string]string{"cluster": "eu1"}})
	batch := numbered(3)
	mustSend(t, s, batch)
	mustSend(t, s, nil)
	got := c.Events()
	r := c.Requests("")
	if len(got) != 3 || len(r) != 1 {
		t.Fatalf("%d events in %d requests", len(got), len(r))
	}
	want := hectest.Event{
		Channel: r[0].Channel, Received: got[2].Received,
		Time: "1763808000.123456", Host: "gw", Source: "vmcp-audit", Type: "vmcp:audit", Index: "audit",
		Body: []byte(`{"n":3}`), Fields: map[string]json.RawMessage{"cluster": []byte(`"eu1"`)},
	}
	diff(t, "third event", got[2], want)
	h := r[0].Header
	if r[0].Path != "/services/collector/event" || h.Get("Content-Encoding") != "gzip" ||
		h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "vmcp-audit" || len(r[0].Channel) != 36 {
		t.Errorf("request %+v", r[0])
	}
	stats := s.Stats()
	diff(t, "stats", stats, Stats{Requests: 1, Confirmed: 3, Bytes: stats.Bytes, BytesSent: uint64(r[0].Bytes)})
	if s.String() != "hec "+s.where || !strings.HasPrefix(s.where, "http://127.0.0.1:") {
		t.Errorf("String is %q", s)
	}
}

func TestText(t *testing.T) {
	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{Text: true, NoGzip: true})
	mustSend(t, s, records(`CEF:0|a\|b|"c"`))
	diff(t, "bodies", c.Bodies(), []string{`"CEF:0|a\\|b|\"c\""`})
	if r := c.Requests("")[0]; r.Header.Get("Content-Encoding") != "" || uint64(r.Bytes) != s.Stats().BytesSent {
		t.Errorf("request %+v", r)
	}
}

func TestBatchesAreCut(t *testing.T) {
	size := len(`{"time":1763808000.123456,"source":"vmcp-audit","sourcetype":"vmcp:audit","event":{"n":1}}`) + 1
	long := `"` + strings.Repeat("x", 500) + `"`
	mixed := records("1", long, "2", "3", long, long, "4")
	tests := []struct {
		name     string
		opt      Options
		events   int
		requests int
	}{
		{"by default in one", Options{}, 9, 1},
		{"just not by size", Options{MaxBytes: 9 * size}, 9, 1},
		{"by size", Options{MaxBytes: 9*size - 1}, 9, 2},
		{"one by one, by size", Options{MaxBytes: 1}, 9, 9},
		{"by number", Options{MaxEvents: 4}, 9, 3},
		{"by size, large ones alone", Options{MaxBytes: 3 * size}, 0, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := hectest.New(hectest.Options{})
			s := serve(t, c, tt.opt)
			batch := numbered(tt.events)
			if tt.events == 0 {
				batch = mixed
			}
			mustSend(t, s, batch)
			diff(t, "bodies", c.Bodies(), bodiesOf(batch))
			if got := len(c.Requests("")); got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
		})
	}
}

func TestMisbehaviour(t *testing.T) {
	big := hectest.Code(503, 9, strings.Repeat("busy \x1b[31m", 1000))
	tests := []struct {
		name    string
		fault   hectest.Fault
		class   string
		text    string
		indexed int // of 3, before all 3 are sent again
	}{
		{"busy", hectest.Busy(), "plain", `status 503, code 9 "Server is busy"`, 0},
		{"too many", hectest.RetryAfter("2"), "after 2s", "status 429", 0},
		{"login page", hectest.HTML(200), "plain", "text/html", 0},
		{"redirect", hectest.Redirect(302, "/login"), "blocked", "redirect", 0},
		{"half taken", hectest.Half(2), "plain", "busy", 2},
		{"long and wild text", big, "plain", `busy  [31mbusy`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := hectest.New(hectest.Options{})
			s := serve(t, c, Options{})
			c.Fail(tt.fault)
			err := wantSend(t, s, numbered(3), 0, tt.class, tt.text)
			if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error of %d bytes: %q", len(err.Error()), err)
			}
			mustSend(t, s, numbered(3))
			if got := c.Count(); got != tt.indexed+3 {
				t.Errorf("%d events indexed", got)
			}
		})
	}
}

func TestBrokenConnections(t *testing.T) {
	cut, after := hectest.CutBefore(), hectest.CutAfter()
	tests := []struct {
		name    string
		faults  []hectest.Fault
		text    string // empty: the one quick retry helps
		indexed int
		retries uint64
	}{
		{"once", []hectest.Fault{cut}, "", 3, 1},
		{"once, after it was indexed", []hectest.Fault{after}, "", 6, 1},
		{"twice", []hectest.Fault{cut, cut}, "EOF", 0, 1},
		{"twice, after it was indexed", []hectest.Fault{after, after}, "EOF", 6, 1},
		{"then busy", []hectest.Fault{cut, hectest.Busy()}, "code 9", 0, 1},
		{"busy is not retried", []hectest.Fault{hectest.Busy(), cut}, "code 9", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := hectest.New(hectest.Options{})
				s := direct(t, c, Options{})
				c.Fail(tt.faults...)
				if tt.text == "" {
					mustSend(t, s, numbered(3))
				} else {
					wantSend(t, s, numbered(3), 0, "plain", tt.text)
				}
				if c.Count() != tt.indexed || s.Stats().Retries != tt.retries {
					t.Errorf("%d events indexed, %d retries", c.Count(), s.Stats().Retries)
				}
			})
		})
	}
}

func TestRealConnectionIsCut(t *testing.T) {
	t.Parallel()
	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{})
	mustSend(t, s, numbered(1)) // the connection is kept and used again
	c.Fail(hectest.CutBefore())
	mustSend(t, s, numbered(1))
	if c.Count() != 2 || s.Stats().Retries != 1 {
		t.Errorf("%d events, %d retries", c.Count(), s.Stats().Retries)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s := newSink(t, "http://127.0.0.1:1/s3cret", Options{})
	err := wantSend(t, s, numbered(1), 0, "plain", "hec http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v: shows the path", err)
	}
}

// An answer may come before the body is read. Under -race this shows that a
// body on its way is not written to by the next request.
func TestEarlyAnswers(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		s := serve(t, h, Options{NoGzip: plain})
		batch := records(`"` + strings.Repeat("0123456789", 90_000) + `"`)
		for range 3 {
			if n, err := s.Send(t.Context(), batch); n != 0 || err == nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hectest.New(hectest.Options{})
		s := direct(t, c, Options{Timeout: 7 * time.Second})
		c.Fail(hectest.Hang())
		start := time.Now()
		wantSend(t, s, numbered(2), 0, "plain", "deadline exceeded")
		if took := time.Since(start); took != 7*time.Second || s.Stats().Retries != 0 {
			t.Errorf("took %v and %d retries", took, s.Stats().Retries)
		}
		mustSend(t, s, numbered(2))
	})
}

func TestPartialBatches(t *testing.T) {
	batch := func(bad string) []string { return []string{"1", "2", bad, "4"} }
	tests := []struct {
		name string
		body string // third of four
		code int
	}{
		{"null", "null", 12},
		{"blank", `""`, 13},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := hectest.New(hectest.Options{})
			s := serve(t, c, Options{})
			b := records(batch(tt.body)...)
			wantSend(t, s, b, 2, "permanent", fmt.Sprintf("code %d", tt.code))
			wantSend(t, s, b[2:], 0, "permanent", fmt.Sprintf("code %d", tt.code))
			mustSend(t, s, b[3:])
			diff(t, "bodies", c.Bodies(), []string{"1", "2", "4"})
		})
	}
	t.Run("not JSON", func(t *testing.T) { // found by us, the collector never sees it
		c := hectest.New(hectest.Options{})
		s := serve(t, c, Options{})
		b := records(batch("{no")...)
		wantSend(t, s, b, 2, "permanent", "not valid JSON")
		wantSend(t, s, b[2:], 0, "permanent", "seq 3")
		mustSend(t, s, b[3:])
		diff(t, "bodies", c.Bodies(), []string{"1", "2", "4"})
	})
}

// Answers of other collectors, or of a Splunk that counts in another way.
func TestOddPartialBatches(t *testing.T) {
	bad := func(index int, number string) hectest.Fault {
		return hectest.Fault{Index: index, Status: 400, Body: `{"text":"Invalid data format","code":6` + number + `}`}
	}
	tests := []struct {
		name     string
		fault    hectest.Fault
		n        int
		requests int
	}{
		{"first", bad(0, `,"invalid-event-number":0`), 0, 1},
		{"third", bad(2, `,"invalid-event-number":2`), 2, 1},
		{"third, as text", bad(2, `,"invalid-event-number":"2"`), 2, 1},
		{"unnamed is halved", bad(0, ``), 4, 3},
		{"negative is halved", bad(0, `,"invalid-event-number":-1`), 4, 3},
		{"too high is halved", bad(0, `,"invalid-event-number":4`), 4, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := hectest.New(hectest.Options{})
			s := serve(t, c, Options{})
			c.Fail(tt.fault)
			n, err := s.Send(t.Context(), numbered(4))
			if n != tt.n || (err == nil) != (n == 4) || err != nil && classOf(err) != "permanent" {
				t.Errorf("%d, %s %v", n, classOf(err), err)
			}
			if got := len(c.Requests("")); got != tt.requests || c.Count() != n {
				t.Errorf("%d requests, %d events", got, c.Count())
			}
		})
	}
}

func TestWrongIndex(t *testing.T) {
	c := hectest.New(hectest.Options{Indexes: []string{"main"}})
	s := serve(t, c, Options{Index: "audit"})
	// Splunk names event 1, the one behind; that must not confirm event 0.
	wantSend(t, s, numbered(3), 0, "blocked", `code 7 "Incorrect index", index "audit": create`)
	s = serve(t, c, Options{})
	c.Fail(hectest.Code(400, 7, "Incorrect index"))
	wantSend(t, s, numbered(3), 0, "blocked", `index "the default of the token"`)
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	body := `"` + strings.Repeat("x", 60_000) + `"`
	huge := `"` + strings.Repeat("y", 600_000) + `"`
	batch := records(body, body, body, body, body, body, body, huge, body)
	for _, cloud := range []bool{false, true} {
		t.Run(fmt.Sprintf("cloud %v", cloud), func(t *testing.T) {
			log, logged := logTo(t)
			c := hectest.New(hectest.Options{Cloud: cloud, MaxBytes: 180_000})
			s := serve(t, c, Options{MaxBytes: 900_000, Log: log})
			wantSend(t, s, batch, 7, "permanent", "status 4")
			wantSend(t, s, batch[7:], 0, "permanent", "status 4")
			mustSend(t, s, batch[8:])
			if c.Count() != 8 {
				t.Errorf("%d events", c.Count())
			}
			if !cloud {
				wantLogged(t, logged(), 1, "WARN", "too large")
			}
		})
	}
}

func TestSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hectest.New(hectest.Options{})
		s := direct(t, c, Options{MaxEvents: 1})
		c.Fail(hectest.Code(200, 24, "queue is filling up"), hectest.Code(200, 25, "acks are filling up"))
		start := time.Now()
		mustSend(t, s, numbered(2))
		mustSend(t, s, numbered(2))
		if took := time.Since(start); took != 2*restTime || s.Stats().Slowed != 2 {
			t.Errorf("took %v, slowed %d times", took, s.Stats().Slowed)
		}
	})
}

// Code 27 is about a channel, so another one is tried.
func TestCrowdedChannel(t *testing.T) {
	c := hectest.New(hectest.Options{Acks: true})
	s := serve(t, c, Options{Ack: AckOff})
	c.Fail(hectest.Code(429, 27, "ACK channel is at capacity"))
	wantSend(t, s, numbered(1), 0, "plain", "code 27")
	mustSend(t, s, numbered(1))
	if r := c.Requests(""); r[0].Channel == r[1].Channel {
		t.Error("same channel")
	}
}

func TestContextEndsSend(t *testing.T) {
	tests := []struct {
		name  string
		fault hectest.Fault
		opt   Options
		acks  hectest.Options
		n     int
	}{
		{"in a request", hectest.Hang(), Options{}, hectest.Options{}, 0},
		{"in the quick retry", hectest.CutBefore(), Options{}, hectest.Options{}, 0},
		{"in the rest", hectest.Code(200, 24, ""), Options{MaxEvents: 1}, hectest.Options{}, 1},
		{"between polls", hectest.Fault{Path: "/none"}, Options{}, hectest.Options{Acks: true, AckDelay: time.Hour}, 0},
		{"in a poll", hectest.Fault{Path: "/ack", Hang: true}, Options{}, hectest.Options{Acks: true}, 0},
		{"before anything is sent", hectest.Fault{Path: "/ack", Hang: true}, Options{Ack: AckOn}, hectest.Options{Acks: true}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := hectest.New(tt.acks)
				s := direct(t, c, tt.opt)
				c.Fail(tt.fault)
				ctx, cancel := context.WithCancel(t.Context())
				var n int
				var err error
				ended := make(chan struct{})
				go func() {
					n, err = s.Send(ctx, numbered(2))
					close(ended)
				}()
				if tt.name != "in the quick retry" {
					time.Sleep(500 * time.Millisecond)
				}
				synctest.Wait()
				start := time.Now()
				cancel()
				<-ended
				if n != tt.n || !errors.Is(err, context.Canceled) || classOf(err) != "plain" || time.Since(start) != 0 {
					t.Errorf("%d, %s %v after %v", n, classOf(err), err, time.Since(start))
				}
				if n, err := s.Send(ctx, numbered(2)); n != 0 || !errors.Is(err, context.Canceled) {
					t.Errorf("at once: %d, %v", n, err)
				}
			})
		})
	}
}

func TestRealRequestIsCancelled(t *testing.T) {
	arrived := make(chan struct{})
	c := hectest.New(hectest.Options{})
	hang := hectest.Hang()
	hang.Do = func() { close(arrived) }
	c.Fail(hang)
	s := serve(t, c, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if n, err := s.Send(ctx, numbered(1)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestHugeRecordsMemoryIsReturned(t *testing.T) {
	c := hectest.New(hectest.Options{CountOnly: true})
	s := serve(t, c, Options{MaxBytes: 1000})
	mustSend(t, s, records(`"`+strings.Repeat("x", 100_000)+`"`))
	mustSend(t, s, records("1"))
	if cap(s.raw) > 2*1000 {
		t.Errorf("%d bytes are held", cap(s.raw))
	}
}

// Balancers that stick by a cookie get theirs back.
func TestCookies(t *testing.T) {
	c := hectest.New(hectest.Options{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "node", Value: "7"})
		c.ServeHTTP(w, r)
	})
	s := serve(t, h, Options{MaxEvents: 1})
	mustSend(t, s, numbered(2))
	if got := c.Requests("")[1].Header.Get("Cookie"); got != "node=7" {
		t.Errorf("cookie is %q", got)
	}
}

// What is on the wire, byte by byte.
func TestWire(t *testing.T) {
	var got string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		io.WriteString(w, `{"text":"Success","code":0}`)
	})
	s := serve(t, h, Options{NoGzip: true, SourceType: "st", Source: "s"})
	mustSend(t, s, numbered(2))
	want := `{"time":1763808000.123456,"source":"s","sourcetype":"st","event":{"n":1}}` + "\n" +
		`{"time":1763808000.123456,"source":"s","sourcetype":"st","event":{"n":2}}` + "\n"
	diff(t, "body", got, want)
}

func BenchmarkSend(b *testing.B) {
	c := hectest.New(hectest.Options{CountOnly: true})
	s, err := New("http://splunk.example", Options{Token: ask(hectest.Token)})
	if err != nil {
		b.Fatal(err)
	}
	s.web.HTTPClient.Transport = roundTripper{c}
	body := `{"schema":"1.0","type":"mcp_tool_call","data":"` + strings.Repeat("abcdefgh ", 120) + `"}`
	batch := records(strings.Split(strings.Repeat(body+"\n", 999)+body, "\n")...)
	b.SetBytes(int64(len(batch) * len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := s.Send(b.Context(), batch); n != len(batch) || err != nil {
			b.Fatal(n, err)
		}
	}
	if !bytes.Equal(batch[0].Body, []byte(body)) {
		b.Fatal("batch was written to")
	}
}

package hectest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	guid  = "11111111-2222-4333-8444-555555555555"
	event = "/services/collector/event"
	ack   = "/services/collector/ack"
)

// ask makes a request with token and channel unless header says otherwise, and
// returns status and body.
func ask(c *Collector, method, path, body string, header ...string) string {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Splunk "+Token)
	r.Header.Set("X-Splunk-Request-Channel", guid)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Del(header[i])
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()))
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s\nwant %s", what, got, want)
	}
}

func TestAnswers(t *testing.T) {
	const ok, nowhere = `200 {"text":"Success","code":0}`, ` {"text":"The requested URL was not found on this server.","code":404}`
	e := `{"event":"x"}`
	tests := []struct {
		name               string
		opt                Options
		method, path, body string
		header             []string
		want               string
	}{
		{"event", Options{}, "POST", event, e, nil, ok},
		{"short path", Options{}, "POST", "/services/collector", e, nil, ok},
		{"version", Options{}, "POST", event + "/1.0", e, nil, ok},
		{"acks", Options{Acks: true}, "POST", event, e, nil, `200 {"text":"Success","code":0,"ackId":0}`},
		{"health", Options{}, "GET", "/services/collector/health", "", []string{"Authorization", ""}, `200 {"text":"HEC is healthy","code":17}`},
		{"options", Options{}, "OPTIONS", event, "", nil, "200 "},
		{"path", Options{}, "POST", "/", e, nil, "404" + nowhere},
		{"method", Options{}, "GET", event, "", nil, "405" + nowhere},
		{"no token", Options{}, "POST", event, e, []string{"Authorization", ""}, `401 {"text":"Token is required","code":2}`},
		{"odd token", Options{}, "POST", event, e, []string{"Authorization", "Bearer x"}, `401 {"text":"Invalid authorization","code":3}`},
		{"wrong token", Options{}, "POST", event, e, []string{"Authorization", "Splunk x"}, `403 {"text":"Invalid token","code":4}`},
		{"token in query", Options{}, "POST", event + "?token=x", e, []string{"Authorization", ""}, `400 {"text":"Query string authorization is not enabled","code":16}`},
		{"password", Options{Token: "x"}, "POST", event, e, []string{"Authorization", "Basic dTp4"}, ok},
		{"no channel", Options{}, "POST", event, e, []string{"X-Splunk-Request-Channel", ""}, ok},
		{"no channel, acks", Options{Acks: true}, "POST", event, e, []string{"X-Splunk-Request-Channel", ""}, `400 {"text":"Data channel is missing","code":10}`},
		{"channel in query", Options{Acks: true}, "POST", event + "?channel=" + guid, e, []string{"X-Splunk-Request-Channel", ""}, `200 {"text":"Success","code":0,"ackId":0}`},
		{"odd channel", Options{Acks: true}, "POST", event, e, []string{"X-Splunk-Request-Channel", "7"}, `400 {"text":"Invalid data channel","code":11}`},
		{"nothing", Options{}, "POST", event, " \n", nil, `400 {"text":"No data","code":5}`},
		{"not JSON", Options{}, "POST", event, e + "{", nil, `400 {"text":"Invalid data format","code":6,"invalid-event-number":1}`},
		{"not JSON, acks", Options{Acks: true}, "POST", event, e + "{", nil, `400 {"text":"Invalid data format","code":6,"invalid-event-number":1,"ackId":0}`},
		{"none good, acks", Options{Acks: true}, "POST", event, "{", nil, `400 {"text":"Invalid data format","code":6,"invalid-event-number":0}`},
		{"no event", Options{}, "POST", event, `{"time":1}`, nil, `400 {"text":"Event field is required","code":12,"invalid-event-number":0}`},
		{"blank", Options{}, "POST", event, e + e + `{"event":""}`, nil, `400 {"text":"Event field cannot be blank","code":13,"invalid-event-number":2}`},
		{"time", Options{}, "POST", event, `{"event":1,"time":1763808000.123456}{"event":1,"time":"1.5"}`, nil, ok},
		{"exponent", Options{}, "POST", event, `{"event":1,"time":1.7e9}`, nil, `400 {"text":"Error in handling indexed fields","code":15,"invalid-event-number":0}`},
		{"fields", Options{}, "POST", event, `{"event":1,"fields":{"a":"b","c":1,"d":["e"]}}`, nil, ok},
		{"nested fields", Options{}, "POST", event, `{"event":1,"fields":{"a":{}}}`, nil, `400 {"text":"Error in handling indexed fields","code":15,"invalid-event-number":0}`},
		{"index", Options{Indexes: []string{"a"}}, "POST", event, e + `{"event":1,"index":"b"}` + e, nil, `400 {"text":"Incorrect index","code":7,"invalid-event-number":2}`},
		{"strange key", Options{}, "POST", event, e + `{"event":1,"evnt":2}` + e, nil, ok},
		{"strange key alone", Options{}, "POST", event, `{"event":1,"evnt":2}`, nil, `400 {"text":"No data","code":5}`},
		{"deflate", Options{}, "POST", event, e, []string{"Content-Encoding", "deflate"}, `415 <html><body>415 Unsupported Media Type</body></html>`},
		{"no gzip", Options{}, "POST", event, e, []string{"Content-Encoding", "gzip"}, `400 {"text":"Invalid data format","code":6}`},
		{"large", Options{MaxBytes: 20}, "POST", event, e + e, nil, `413 <html><body>413 Request Entity Too Large</body></html>`},
		{"large, cloud", Options{MaxBytes: 20, Cloud: true}, "POST", event, e + e, nil, `400 {"text":"Invalid data format","code":6,"invalid-event-number":0}`},
		{"acks disabled", Options{}, "POST", ack, `{"acks":[0]}`, nil, `400 {"text":"ACK is disabled","code":14}`},
		{"unknown ack", Options{Acks: true}, "POST", ack, `{"acks":[0]}`, nil, `200 {"acks":{"0":false}}`},
		{"odd poll", Options{Acks: true}, "POST", ack, `[`, nil, `400 {"text":"Invalid data format","code":6}`},
	}
	for _, tt := range tests {
		want(t, tt.name, ask(New(tt.opt), tt.method, tt.path, tt.body, tt.header...), tt.want)
	}
	c := New(Options{Acks: true, Cloud: true})
	if got := ask(c, "POST", ack, "", "X-Splunk-Request-Channel", ""); !strings.Contains(got, `"code":28`) {
		t.Errorf("no channel in the cloud: %s", got)
	}
	c.DisableToken(true)
	want(t, "disabled", ask(c, "POST", event, e), `403 {"text":"Token disabled","code":1}`)
}

func TestWhatIsIndexed(t *testing.T) {
	tests := []struct {
		body string
		want []string
	}{
		{`{"event":1}{"event":2}`, []string{"1", "2"}},
		{`{"event":1}{"event":""}{"event":3}`, []string{"1"}},
		{`{"event":1}{"event":2,"x":0}{"event":3}`, []string{"1"}},
		{`{"event":1}{"event":2,"index":"b"}{"event":3}`, []string{"1"}},
		{`{"event":1}nonsense`, []string{"1"}},
	}
	for _, tt := range tests {
		c := New(Options{Indexes: []string{"a"}})
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		fmt.Fprint(w, tt.body)
		w.Close()
		ask(c, "POST", event, z.String(), "Content-Encoding", "gzip")
		if d := cmp.Diff(tt.want, c.Bodies()); d != "" || c.Count() != len(tt.want) {
			t.Errorf("%s (-want +got):\n%s", tt.body, d)
		}
		if e := c.Events()[0]; e.Channel != guid {
			t.Errorf("channel %q", e.Channel)
		}
	}
	c := New(Options{CountOnly: true})
	ask(c, "POST", event, `{"event":1}`)
	if c.Count() != 1 || c.Events() != nil || c.Requests("") != nil {
		t.Errorf("%d, %v, %v", c.Count(), c.Events(), c.Requests(""))
	}
}

func TestAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Acks: true, AckDelay: time.Second})
		other := "99999999-2222-4333-8444-555555555555"
		poll := func(want string) {
			t.Helper()
			if got := ask(c, "POST", ack, `{"acks":[0,1]}`); got != "200 "+want {
				t.Fatalf("poll: %s, want %s", got, want)
			}
		}
		const neither, both = `{"acks":{"0":false,"1":false}}`, `{"acks":{"0":true,"1":true}}`
		send := func(channel string) string {
			return ask(c, "POST", event, `{"event":1}`, "X-Splunk-Request-Channel", channel)
		}
		want(t, "first", send(guid), `200 {"text":"Success","code":0,"ackId":0}`)
		want(t, "second", send(guid), `200 {"text":"Success","code":0,"ackId":1}`)
		want(t, "other channel", send(other), `200 {"text":"Success","code":0,"ackId":0}`)
		poll(neither)
		time.Sleep(time.Second)
		poll(both)
		poll(neither) // true is said once
		want(t, "other channel", ask(c, "POST", ack, `{"acks":[0]}`, "X-Splunk-Request-Channel", other), `200 {"acks":{"0":true}}`)

		c.Restart()
		want(t, "after a restart", send(guid), `200 {"text":"Success","code":0,"ackId":0}`)
		c.ForgetAcks()
		time.Sleep(time.Second)
		poll(neither)
		want(t, "goes on", send(guid), `200 {"text":"Success","code":0,"ackId":1}`)
		c.NeverAck(true)
		time.Sleep(time.Second)
		poll(neither)
		c.NeverAck(false)
		poll(`{"acks":{"0":false,"1":true}}`)
		c.SetAcks(false)
		want(t, "without", send(guid), `200 {"text":"Success","code":0}`)
	})
}

func TestFaults(t *testing.T) {
	c := New(Options{})
	srv := httptest.NewServer(c)
	defer srv.Close()
	post := func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+event, strings.NewReader(`{"event":1}{"event":2}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Splunk "+Token)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			return "error"
		}
		defer resp.Body.Close()
		return fmt.Sprint(resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	tests := []struct {
		name    string
		fault   Fault
		want    string
		indexed int
	}{
		{"busy", Busy(), "503", 0},
		{"too many", RetryAfter("7"), "4297", 0},
		{"page", HTML(200), "200", 0},
		{"cut", CutBefore(), "error", 0},
		{"cut after", CutAfter(), "error", 2},
		{"half", Half(1), "503", 1},
		{"none", Fault{Path: "/ack"}, "200", 2},
	}
	total := 0
	for _, tt := range tests {
		c.Fail(tt.fault)
		total += tt.indexed
		if got := post(); got != tt.want || c.Count() != total {
			t.Errorf("%s: %s, %d events; want %s, %d", tt.name, got, c.Count(), tt.want, total)
		}
	}
	if c.FaultsLeft() != 1 {
		t.Errorf("%d faults left", c.FaultsLeft())
	}
}

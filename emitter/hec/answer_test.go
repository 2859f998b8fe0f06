package hec

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

// Each code, as Splunk gives it to a request with one event.
func TestEveryCode(t *testing.T) {
	tests := []struct {
		code, status int
		class        string
		text         string
	}{
		{0, 200, "none", ""},
		{1, 403, "blocked", "disabled"},
		{2, 401, "blocked", "Authorization"},
		{3, 401, "blocked", "Authorization"},
		{4, 403, "blocked", "not known"},
		{5, 400, "blocked", "did not arrive"},
		{6, 400, "permanent", "code 6"},
		{7, 400, "blocked", `index "audit"`},
		{8, 500, "plain", "code 8"},
		{9, 503, "plain", "code 9"},
		{10, 400, "blocked", "X-Splunk-Request-Channel"},
		{11, 400, "blocked", "X-Splunk-Request-Channel"},
		{12, 400, "permanent", "code 12"},
		{13, 400, "permanent", "code 13"},
		{14, 400, "blocked", "enable indexer acknowledgement"},
		{15, 400, "permanent", "code 15"},
		{16, 400, "blocked", "query"},
		{17, 200, "blocked", "health"},
		{18, 503, "plain", "code 18"},
		{19, 503, "plain", "code 19"},
		{20, 503, "plain", "code 20"},
		{21, 400, "blocked", "not known"},
		{22, 400, "blocked", "disabled"},
		{23, 503, "plain", "code 23"},
		{24, 200, "none", ""},
		{25, 200, "none", ""},
		{26, 429, "plain", "code 26"},
		{27, 429, "plain", "code 27"},
		{28, 400, "blocked", "sticky"},
		// An unknown code leaves the decision to the status.
		{99, 200, "plain", "code 99"},
		{99, 400, "blocked", "code 99"},
		{99, 503, "plain", "code 99"},
		{404, 404, "blocked", "check host, port and path"},
		// Success counts with status 200 only.
		{0, 503, "plain", "code 0"},
		{0, 403, "blocked", "check the token"},
		{24, 202, "plain", "code 24"},
	}
	seen := map[int]bool{}
	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{Index: "audit"})
	for _, tt := range tests {
		seen[tt.code] = true
		s.restEnd = time.Time{} // after 24 and 25
		c.Fail(hectest.Code(tt.status, tt.code, "some text"))
		n, err := s.Send(t.Context(), numbered(1))
		if tt.class == "none" {
			if n != 1 || err != nil {
				t.Errorf("code %d, status %d: %d, %v", tt.code, tt.status, n, err)
			}
			continue
		}
		if n != 0 || classOf(err) != tt.class || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), `"some text"`) {
			t.Errorf("code %d, status %d: %d, %s %v; want %s …%s…", tt.code, tt.status, n, classOf(err), err, tt.class, tt.text)
		}
	}
	for code := range codes {
		if !seen[code] {
			t.Errorf("code %d is not tested", code)
		}
	}
	if len(codes) != 29 || s.Stats().Slowed != 2 {
		t.Errorf("%d codes, slowed %d times", len(codes), s.Stats().Slowed)
	}
}

// Each status with a body that is not from HEC.
func TestEveryStatus(t *testing.T) {
	tests := []struct {
		status int
		class  string
		text   string
	}{
		{200, "plain", `status 200 with "text/html", which is no answer of a collector`},
		{201, "plain", "status 201"},
		{204, "plain", "status 204"},
		{300, "blocked", "redirect"},
		{400, "blocked", "status 400: check what stands between"},
		{401, "blocked", "check the token"},
		{402, "blocked", "status 402"},
		{403, "blocked", "check the token"},
		{404, "blocked", "check host, port and path"},
		{405, "blocked", "check host, port and path"},
		{407, "blocked", "status 407"},
		{408, "plain", "status 408"},
		{411, "blocked", "status 411"},
		{413, "permanent", "status 413: more than"},
		{415, "blocked", "compression"},
		{418, "blocked", "status 418"},
		{425, "plain", "status 425"},
		{429, "plain", "status 429"},
		{431, "blocked", "status 431"},
		{451, "blocked", "status 451"},
		{500, "plain", "status 500"},
		{501, "plain", "status 501"},
		{502, "plain", "status 502"},
		{503, "plain", "status 503"},
		{504, "plain", "status 504"},
		{520, "plain", "status 520"},
		{599, "plain", "status 599"},
		{999, "plain", "status 999"},
	}
	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{})
	for _, tt := range tests {
		fault := hectest.HTML(tt.status)
		if tt.status == http.StatusNoContent {
			fault.Body = ""
		}
		c.Fail(fault)
		wantSend(t, s, numbered(1), 0, tt.class, tt.text)
	}
}

func TestRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := hectest.New(hectest.Options{})
		s := serve(t, c, Options{})
		c.Fail(hectest.Redirect(status, "https://login.example/saml?SAMLRequest=s3cret"))
		err := wantSend(t, s, numbered(1), 0, "blocked", `a redirect to "login.example"`)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: shows the query", err)
		}
		if got := len(c.Requests("")); got != 1 {
			t.Errorf("status %d: %d requests, want 1", status, got)
		}
	}
	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{})
	c.Fail(hectest.Redirect(302, ""))
	wantSend(t, s, numbered(1), 0, "blocked", `a redirect to ""`)
}

func TestLenientAnswers(t *testing.T) {
	tests := []struct {
		body string
		n    int
	}{
		{`{"text":"Success","code":0}`, 1},
		{`{"code":0}`, 1},
		{`{"text":"Success","code":"0"}`, 1},
		{`{"text":["x"],"code":0}`, 1},
		{`{"text":"Success","code":0,"ackID":"","invalid-event-number":0}`, 1},
		{`{"text":"Success","code":0,"ackId":null}`, 1},
		{`{"TEXT":"Success","CODE":0,"extra":{"a":[1]}}`, 1},
		{" {\"text\":\"Success\",\"code\":0}\r\n", 1},
		{`{"text":"Success"}`, 0},
		{`{"text":"Success","code":null}`, 0},
		{`{"text":"Success","code":0.5}`, 0},
		{`{"text":"Success","code":0`, 0},
		{`[{"text":"Success","code":0}]`, 0},
		{`"code 0"`, 0},
		{`OK`, 0},
		{``, 0},
		{`{"code":0,"pad":"` + strings.Repeat("x", maxAnswer) + `"}`, 0},
	}
	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{})
	for _, tt := range tests {
		c.Fail(hectest.Fault{Status: 200, Body: tt.body})
		n, err := s.Send(t.Context(), numbered(1))
		if n != tt.n || (err == nil) != (n == 1) || err != nil && classOf(err) != "plain" {
			t.Errorf("%.80s: %d, %v", tt.body, n, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		header string
		want   time.Duration
	}{
		{"", 0},
		{"0", 0},
		{"7", 7 * time.Second},
		{"-7", 0},
		{"-9223372036854775808", 0},
		{"9223372036854775807", 24 * time.Hour},
		{"9999999999999999999999", 0},
		{"1.5", 0},
		{"soon", 0},
		{"Wed, 01 Jan 2025 12:00:30 GMT", 30 * time.Second},
		{"Wednesday, 01-Jan-25 12:00:30 GMT", 30 * time.Second},
		{"Wed, 01 Jan 2025 11:59:30 GMT", 0},
		{"Fri, 01 Jan 2100 00:00:00 GMT", 24 * time.Hour},
	}
	for _, tt := range tests {
		if got := retryAfter(tt.header, now); got != tt.want {
			t.Errorf("%q is %v, want %v", tt.header, got, tt.want)
		}
	}

	c := hectest.New(hectest.Options{})
	s := serve(t, c, Options{})
	c.Fail(hectest.RetryAfter("7"))
	wantSend(t, s, numbered(1), 0, "after 7s", "code 26")
	busy := hectest.HTML(503)
	busy.Header.Set("Retry-After", "3")
	c.Fail(busy)
	wantSend(t, s, numbered(1), 0, "after 3s", "status 503")
	denied := hectest.HTML(403) // a fault that waiting does not mend
	denied.Header.Set("Retry-After", "3")
	c.Fail(denied)
	wantSend(t, s, numbered(1), 0, "blocked", "status 403")
}

func TestClean(t *testing.T) {
	tests := []struct{ text, want string }{
		{"plain text", "plain text"},
		{"a\nb\x1b[31mc\x00\u202ed", "a b [31mc  d"},
		{"token s3cret-token!", "token <redacted>!"},
		{strings.Repeat("é", 150), strings.Repeat("é", 100) + "…"},
		{"x" + strings.Repeat("é", 150), "x" + strings.Repeat("é", 99) + "…"},
		{strings.Repeat("x", 195) + "s3cret-token", strings.Repeat("x", 195) + "<reda…"},
	}
	for _, tt := range tests {
		if got := clean(tt.text, "s3cret-token"); got != tt.want {
			t.Errorf("%q is\n%q, want\n%q", tt.text, got, tt.want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, "text/html", "7", `{"text":"Success","code":0,"ackId":1}`)
	f.Add(400, "", "Wed, 01 Jan 2025 12:00:30 GMT", `{"text":"\u0000\u202e","code":"6","invalid-event-number":9223372036854775808}`)
	f.Add(302, "\x1b", "-1", `{"acks":{"0":true,"1":"x"}}`)
	f.Fuzz(func(t *testing.T, status int, contentType, after, body string) {
		a, err := readAnswer(&http.Response{
			StatusCode: status,
			Header:     http.Header{"Content-Type": {contentType}, "Retry-After": {after}, "Location": {after}},
			Body:       io.NopCloser(strings.NewReader(body)),
		}, "")
		if err != nil {
			t.Fatal(err)
		}
		text := a.describe()
		if len(text) > 5*maxText || strings.ContainsFunc(text, unicode.IsControl) || a.retryAfter < 0 {
			t.Fatalf("%q, %v", text, a.retryAfter)
		}
		if do := a.verdict().do; (do == taken || do == slower) && status != 200 {
			t.Fatalf("status %d is success", status)
		}
	})
}

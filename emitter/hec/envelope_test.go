package hec

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

func TestEnvelopeBytes(t *testing.T) {
	tests := []struct {
		name, body string
		time       time.Time
		opt        Options
		want       string
	}{
		{
			"all", `{"a":1}`, at,
			Options{Host: "gw-prod", Source: "src", SourceType: "st", Index: "audit", Fields: map[string]string{"stage": "prod", "cluster": `eu"1`}},
			`{"time":1763808000.123456,"host":"gw-prod","source":"src","sourcetype":"st","index":"audit","event":{"a":1},"fields":{"cluster":"eu\"1","stage":"prod"}}`,
		},
		{
			"defaults", `{"a":1}`, at,
			Options{},
			`{"time":1763808000.123456,"source":"vmcp-audit","sourcetype":"vmcp:audit","event":{"a":1}}`,
		},
		{
			"no time", `"text"`,
			time.Time{},
			Options{},
			`{"source":"vmcp-audit","sourcetype":"vmcp:audit","event":"text"}`,
		},
		{
			"text", "CEF:0|a\\b|\"c\"\t\xff=\u2028", at,
			Options{Text: true},
			`{"time":1763808000.123456,"source":"vmcp-audit","sourcetype":"vmcp:audit","event":"CEF:0|a\\b|\"c\"\t\ufffd=\u2028"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opt.TokenFile = "unused"
			opt, err := tt.opt.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			got, err := newEnvelope(opt).append(nil, emitter.Record{Time: tt.time, Body: []byte(tt.body)})
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "envelope", string(got), tt.want)
		})
	}
}

func TestBodiesThatCannotBeSent(t *testing.T) {
	for _, body := range []string{"", " ", "{", `{"a":1}}`, `{"a":1},`, "CEF:0|", "{\"a\":\"\n\"}", "01", "{}{}"} {
		_, err := envelope{}.append(nil, emitter.Record{Seq: 7, Body: []byte(body)})
		wantError(t, err, "permanent", "seq 7")
	}
	_, err := envelope{text: true}.append(nil, emitter.Record{Seq: 7})
	wantError(t, err, "permanent", "empty")
}

var fixedTime = regexp.MustCompile(`^-?(0|[1-9][0-9]*)\.[0-9]{6}$`)

func TestTime(t *testing.T) {
	tests := []struct {
		time time.Time
		want string
	}{
		{at, "1763808000.123456"},
		{time.Unix(0, 0), "0.000000"},
		{time.Unix(0, 1000), "0.000001"},
		{time.Unix(0, 999), "0.000000"},
		{time.Unix(1, 999999999), "1.999999"},
		{time.Unix(1700000000, 0), "1700000000.000000"}, // an exponent in the hands of a float
		{time.Unix(-1, 500000000), "-0.500000"},
		{time.Unix(-2, 0), "-2.000000"},
		{time.Unix(253402300799, 999999999), "253402300799.999999"},
	}
	for _, tt := range tests {
		if got := string(appendTime(nil, tt.time)); got != tt.want {
			t.Errorf("%v is %s, want %s", tt.time.UTC(), got, tt.want)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(int64(1763808000), int64(123456789), []byte("CEF:0|x"))
	f.Add(int64(-1), int64(1), []byte("\x00\xff\u2028<>&"))
	f.Add(int64(math.MinInt64), int64(0), []byte("x"))
	f.Fuzz(func(t *testing.T, sec, nsec int64, body []byte) {
		if len(body) == 0 {
			t.Skip()
		}
		at := time.Unix(sec%1e11, nsec%1e9)
		got, err := envelope{head: []byte(`"event":`), tail: []byte("}"), text: true}.append(nil, emitter.Record{Time: at, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Time  json.Number
			Event string
		}
		if err := json.Unmarshal(got, &e); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		if !fixedTime.MatchString(e.Time.String()) {
			t.Fatalf("time %s", e.Time)
		}
		if want := strings.ToValidUTF8(string(body), ""); strings.ReplaceAll(strings.ToValidUTF8(e.Event, ""), "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Fatalf("event %q, want %q", e.Event, want)
		}
	})
}

// TestTrustedBodies: they are not looked through; one that is no JSON after all is
// found by the collector, and no other with it.
func TestTrustedBodies(t *testing.T) {
	bubble(t, Options{Trusted: true}, hectest.Options{}, func(t *testing.T, _ *hectest.Collector, s *Sink) {
		batch := numbered(3)
		batch[1].Body = []byte("{")
		wantSend(t, s, batch, 1, "permanent", "code 6")
		batch[1].Body = nil
		wantSend(t, s, batch[1:], 0, "permanent", "empty")
		mustSend(t, s, batch[2:])
	})
}

package emitter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// filled returns an event in which every field has a value of its own.
func filled(t *testing.T) *Event {
	t.Helper()
	e := new(Event)
	n := 0
	fillValue(t, reflect.ValueOf(e).Elem(), &n)
	e.LoggedAt = time.Date(2026, 11, 22, 13, 39, 50, 678166000, time.UTC)
	e.Data = Data{Request: json.RawMessage(`{"a":[1,2.50,"x"]}`), Response: json.RawMessage(`null`), Original: json.RawMessage(`{"level":"x"}`)}
	return e
}

func fillValue(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString("v" + strconv.Itoa(*n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"b": "2", "a": "1"}))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(t, v.Index(0), n)
		fillValue(t, v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillValue(t, v.Field(i), n)
			}
		}
	default:
		t.Fatalf("no way to fill a %s", v.Type())
	}
}

func TestEncodeEveryField(t *testing.T) {
	e := filled(t)
	line := AppendEvent(nil, e)
	var want, got bytes.Buffer
	if err := json.Indent(&got, line, "", " "); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, line)
	}
	// encoding/json writes struct fields in order and map keys sorted, as we do.
	enc := json.NewEncoder(&want)
	enc.SetIndent("", " ")
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(want.String()), got.String()); diff != "" {
		t.Errorf("fields or their order differ from the struct: -want +got\n%s", diff)
	}
}

// MarshalJSON lets encoding/json stand in for the canonical encoder in tests.
func (i Int) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, i.Value, 10), nil }

func TestDecodeAndEncodeAgain(t *testing.T) {
	for name, e := range map[string]*Event{"filled": filled(t), "minimal": minimal(), "hostile": hostile()} {
		t.Run(name, func(t *testing.T) {
			line := AppendEvent(nil, e)
			back, err := Decode(line)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Stored(), line) {
				t.Errorf("stored bytes changed:\n%s\n%s", line, back.Stored())
			}
			if again := AppendEvent(nil, back); !bytes.Equal(again, line) {
				t.Errorf("encoded again:\n%s\n%s", line, again)
			}
		})
	}
}

func minimal() *Event {
	e := NewEvent(TypePing)
	e.LoggedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e.Conclude(OutcomeSuccess, "")
	return e
}

// evil holds what has broken logs: line ends of all kinds, controls, quotes,
// terminal escapes, bytes that are no UTF-8, the ends of other formats.
const evil = "a\nb\r\tc\"\\d\x00\x1b[31m\x7f\u0080\u0085\u2028\u2029\xff\xfe\xc3|=^]</script>\U0001F600"

func hostile() *Event {
	e := minimal()
	e.Target.Name = evil
	e.Source.Extra.UserAgent = strings.Repeat(evil, 40)
	e.Anomalies = []string{evil}
	e.Observer.Labels = map[string]string{evil: evil}
	e.Data.Request = json.RawMessage("{\"k\":\n \"a\u2028b\x7f\xff\" }")
	e.Data.Response = json.RawMessage("{\"audit_id\":\"forged\"}\n{}")
	return e
}

func TestHostileText(t *testing.T) {
	line := AppendEvent(nil, hostile())
	if !utf8.Valid(line) || !json.Valid(line) {
		t.Errorf("no valid UTF-8 or JSON: %q", line)
	}
	if i := strings.IndexFunc(string(line), func(r rune) bool {
		return r < 0x20 || r >= 0x7F && r < 0xA0 || r == 0x2028 || r == 0x2029
	}); i >= 0 {
		t.Errorf("a control or line end at %d: %q", i, line)
	}
	back, err := Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := back.Target.Name, strings.ToValidUTF8(evil, "\uFFFD"); got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	if got := string(back.Data.Response); !strings.Contains(got, "left out") {
		t.Errorf("two JSON texts passed as one: %s", got)
	}
}

// TestBounds holds the encoder against the `max` and `items` tags, which the
// documents and the schema are made from.
func TestBounds(t *testing.T) {
	e := filled(t)
	eachField(reflect.ValueOf(e).Elem(), func(v reflect.Value, _ reflect.StructTag) {
		long := strings.Repeat("é", 2000)
		switch {
		case v.Kind() == reflect.String:
			v.SetString(long)
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
			items := make([]string, 200)
			for i := range items {
				items[i] = long
			}
			v.Set(reflect.ValueOf(items))
		case v.Kind() == reflect.Map:
			m := map[string]string{}
			for i := range 200 {
				m[fmt.Sprint(i, long)] = long
			}
			v.Set(reflect.ValueOf(m))
		}
	})
	e.Delegation.Chain, e.Redactions, e.Status.Routes = make([]Actor, 200), make([]Redaction, 200), make([]RouteStatus, 200)
	for i := range 200 {
		e.Status.Routes[i] = RouteStatus{Name: strings.Repeat("n", 2000), State: strings.Repeat("s", 2000)}
		e.Delegation.Chain[i] = Actor{Sub: strings.Repeat("s", 2000), Iss: strings.Repeat("i", 2000)}
		e.Redactions[i] = Redaction{Path: strings.Repeat("p", 2000), Rule: strings.Repeat("r", 2000)}
	}
	back, err := Decode(AppendEvent(nil, e))
	if err != nil {
		t.Fatal(err)
	}
	check := func(s string, limit string) {
		if n, _ := strconv.Atoi(limit); len(s) > n || len(s) < n-len(ellipsis) || !strings.HasSuffix(s, ellipsis) {
			t.Errorf("%d bytes where the tag says %s: %.20q", len(s), limit, s)
		}
	}
	eachField(reflect.ValueOf(back).Elem(), func(v reflect.Value, tag reflect.StructTag) {
		if items, _ := strconv.Atoi(tag.Get("items")); items > 0 && v.Len() != items {
			t.Errorf("%s: %d items, the tag says %d", tag.Get("json"), v.Len(), items)
		}
		switch {
		case v.Kind() == reflect.String:
			check(v.String(), tag.Get("max"))
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String, v.Kind() == reflect.Map:
			it := v
			if v.Kind() == reflect.Map {
				it = v.MapIndex(v.MapKeys()[0])
				check(it.String(), tag.Get("max"))
				return
			}
			for i := range it.Len() {
				check(it.Index(i).String(), tag.Get("max"))
			}
		}
	})
}

// eachField calls f for each field below v that is no plain struct.
func eachField(v reflect.Value, f func(reflect.Value, reflect.StructTag)) {
	for i := range v.NumField() {
		field, in := v.Type().Field(i), v.Field(i)
		switch {
		case !field.IsExported() || field.Type == reflect.TypeFor[time.Time]():
		case in.Kind() == reflect.Struct:
			eachField(in, f)
		case in.Kind() == reflect.Slice && in.Type().Elem().Kind() == reflect.Struct:
			f(in, field.Tag)
			for j := range in.Len() {
				eachField(in.Index(j), f)
			}
		default:
			f(in, field.Tag)
		}
	}
}

func TestBounded(t *testing.T) {
	tests := []struct {
		in    string
		limit int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "…"},
		{"abcdefgh", 7, "abcd…"},
		{"ééééé", 8, "éé…"},
		{"\xff\xff", 2, "…"},
		{"a\xffb", 10, "a\uFFFDb"},
		{"a\xffb", 4, "a…"},
		{"", 3, ""},
	}
	for _, tt := range tests {
		got := bounded(tt.in, tt.limit)
		if got != tt.want {
			t.Errorf("bounded(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
		if again := bounded(got, tt.limit); again != got {
			t.Errorf("bounded twice: %q, then %q", got, again)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add(evil, 20)
	f.Add("\xe2\x80\xa8\xe2\x80", 64)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < len(ellipsis) || limit > 1000 {
			return
		}
		out := appendString(nil, s, limit)
		var back string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if len(back) > limit {
			t.Errorf("%d bytes, limit %d", len(back), limit)
		}
		if again := appendString(nil, back, limit); !bytes.Equal(again, out) {
			t.Errorf("%q became %q", out, again)
		}
		if len(s) <= limit && utf8.ValidString(s) && back != s {
			t.Errorf("%q became %q", s, back)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":    `{`,
		"no id":      `{"schema":"1.0","type":"x","stage":"completed","logged_at":"2026-01-01T00:00:00Z","outcome":"success"}`,
		"no outcome": `{"schema":"1.0","audit_id":"a","type":"x","stage":"completed","logged_at":"2026-01-01T00:00:00Z"}`,
		"wrong type": `{"schema":"1.0","audit_id":7}`,
		"fraction":   `{"metadata":{"extra":{"duration_ms":1.5}}}`,
	} {
		if e, err := Decode([]byte(line)); err == nil {
			t.Errorf("%s: decoded to %+v", name, e)
		}
	}
}

func TestDecodeKeepsWhatItDoesNotKnow(t *testing.T) {
	line := strings.Replace(string(AppendEvent(nil, minimal())), `{"schema"`, `{"later":[1],"schema"`, 1)
	e, err := Decode([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if string(e.Stored()) != line {
		t.Errorf("stored %s, want %s", e.Stored(), line)
	}
}

func TestNewEventIsNoSuccess(t *testing.T) {
	if e := NewEvent(TypeToolCall); e.Outcome != OutcomeError || e.Reason != ReasonNoResponse {
		t.Errorf("an event that nobody concluded is %s, %s", e.Outcome, e.Reason)
	}
}

func TestChild(t *testing.T) {
	e := filled(t)
	c := e.Child(TypeCompositeStep)
	if c.AuditID == e.AuditID || c.Trace.ParentAuditID != e.AuditID || c.Type != TypeCompositeStep {
		t.Errorf("child %s of %s has parent %s", c.AuditID, e.AuditID, c.Trace.ParentAuditID)
	}
	if diff := cmp.Diff([]any{e.Source, e.Subjects, e.Auth, e.Client, e.Delegation}, []any{c.Source, c.Subjects, c.Auth, c.Client, c.Delegation}); diff != "" {
		t.Errorf("another identity: -want +got\n%s", diff)
	}
}

func TestTables(t *testing.T) {
	seen := map[Type]bool{}
	for _, ti := range Types() {
		if seen[ti.Type] || ti.Doc == "" || ti.Severity < 2 || ti.Severity > 9 {
			t.Errorf("type %q: twice, without words or with severity %d", ti.Type, ti.Severity)
		}
		seen[ti.Type] = true
	}
	words := map[string]bool{}
	for _, r := range Reasons() {
		if words[string(r.Reason)] || r.Doc == "" {
			t.Errorf("reason %q: twice or without words", r.Reason)
		}
		words[string(r.Reason)] = true
	}
}

func TestSeverityAndControls(t *testing.T) {
	tests := []struct {
		name     string
		change   func(*Event)
		severity int
		controls []string
	}{
		{"list", func(e *Event) { e.Type = TypeToolsList }, 2, nil},
		{"call", func(*Event) {}, 3, nil},
		{"privileged call", func(e *Event) { e.Target.Privileged = true }, 3, []string{"AC-6(9)"}},
		{"failure", func(e *Event) { e.Conclude(OutcomeFailure, ReasonToolError) }, 4, nil},
		{"policy", func(e *Event) { e.Conclude(OutcomeDenied, ReasonPolicy) }, 6, []string{"AC-3"}},
		{"no token", func(e *Event) { e.Conclude(OutcomeDenied, ReasonUnauthenticated) }, 6, []string{"IA-2"}},
		{"limit", func(e *Event) { e.Conclude(OutcomeDenied, ReasonRateLimited) }, 6, []string{"SC-5"}},
		{"allowed", func(e *Event) { e.Decision.Effect = "allow" }, 3, []string{"AC-3"}},
		{"odd keys", func(e *Event) { e.Anomalies = []string{AnomalyKeyCase} }, 3, []string{"SI-10"}},
		{"error", func(e *Event) { e.Conclude(OutcomeError, ReasonPanic) }, 7, nil},
		{"loss", func(e *Event) { e.Type = TypeAuditLoss }, 8, []string{"AU-5"}},
		{"session end", func(e *Event) { e.Type = TypeSessionEnd }, 2, []string{"AC-12"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := NewEvent(TypeToolCall)
			e.Conclude(OutcomeSuccess, "")
			tt.change(e)
			if got := SeverityOf(e); got != tt.severity {
				t.Errorf("severity %d, want %d", got, tt.severity)
			}
			if diff := cmp.Diff(tt.controls, ControlsOf(e)); diff != "" {
				t.Errorf("controls: -want +got\n%s", diff)
			}
		})
	}
	if got := typeInfo[TypeSessionEnd].Controls; !cmp.Equal(got, []string{"AC-12"}) {
		t.Errorf("the table was changed to %v", got)
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	e, err := Decode(AppendEvent(nil, benchEvent()))
	if err != nil {
		b.Fatal(err)
	}
	buf := AppendEvent(nil, e)
	b.Run("canonical", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = AppendEvent(buf[:0], e)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchEvent() *Event {
	e := minimal()
	e.Type = TypeToolCall
	e.Component = DefaultComponent
	e.Source = Source{Type: "network", Value: "203.0.113.9", Peer: "10.0.0.7", Port: 51234, Extra: SourceExtra{UserAgent: "node", RequestID: e.AuditID, SessionID: "k1:0123456789abcdef0123456789abcdef"}}
	e.Subjects = Subject{Type: "user", User: "alice", UserID: "u-1", Issuer: "https://idp.example"}
	e.Target = Target{Type: "tool", Name: "github_create_issue", Method: "tools/call", Endpoint: "/mcp", Server: Server{Name: "github"}, Tool: "create_issue"}
	e.Metadata.Extra = Extra{DurationMS: Of(12), Transport: "streamable-http", HTTPStatus: 200, RequestSize: Of(213), ResponseSize: Of(812)}
	return e
}

func TestAppendEventAllocatesNothing(t *testing.T) {
	e := benchEvent()
	buf := AppendEvent(nil, e)
	if n := testing.AllocsPerRun(100, func() { buf = AppendEvent(buf[:0], e) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

// TestAppendTime compares the time with what package time makes of the layout.
func TestAppendTime(t *testing.T) {
	for _, at := range []time.Time{
		{},
		time.Unix(0, 0),
		time.Date(2026, 11, 22, 13, 39, 50, 678166999, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(0, 2, 29, 1, 2, 3, 4000, time.UTC),
	} {
		at = at.UTC()
		if got, want := string(appendTime(nil, at)), at.Format(timeLayout); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestPlain: whatever is taken for plain needs no escape, and what is plain is
// mostly taken for it.
func TestPlain(t *testing.T) {
	for at := range 17 {
		for c := range 256 {
			b := []byte("0123456789abcdef0"[:at])
			s := string(append(append(b, byte(c)), "ABCDEFGHIJK"...))
			escaped := string(appendEscaped(nil, strings.ToValidUTF8(s, "\uFFFD"), &suspect))
			if want := c < 0x80 && escaped == s; plain(s) != want {
				t.Errorf("plain(%q) is %v", s, !want)
			}
		}
	}
}

package wire

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Message
		err  string
	}{
		{in: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, want: Message{ID: Raw("1"), Method: "ping"}},
		{
			in:   ` {"method":"tools/call","params":{"a":[1,{"b":"}"}]},"id":"x\"y","jsonrpc":"2.0"} `,
			want: Message{ID: Raw(`"x\"y"`), Method: "tools/call", Params: Raw(`{"a":[1,{"b":"}"}]}`)},
		},
		{in: `{"jsonrpc":"2.0","id":1,"result":{}}`, want: Message{ID: Raw("1"), Result: Raw("{}")}},
		{in: `{"jsonrpc":"2.0","id":1,"error":{"code":0}}`, want: Message{ID: Raw("1"), Error: Raw(`{"code":0}`)}},
		{in: `{"jsonrpc":"2.0","id":1,"result":{},"error":null}`, want: Message{ID: Raw("1"), Result: Raw("{}")}},
		{in: `{"jsonrpc":"2.0","id":1,"method":"ping","params":null}`, want: Message{ID: Raw("1"), Method: "ping"}},
		{in: `{"jsonrpc":"2.0","id":1,"method":"ping"`, err: "not JSON"},
		{in: ``, err: "not JSON"},
		{in: `[]`, err: "object"},
		{in: `{"jsonrpc":"1.0","id":1,"method":"ping"}`, err: "2.0"},
		{in: `{"jsonrpc":"2.0","id":null,"method":"ping"}`, err: `"id"`},
		{in: `{"jsonrpc":"2.0","id":{},"method":"ping"}`, err: `"id"`},
		{in: `{"jsonrpc":"2.0","id":1,"method":1}`, err: `"method"`},
		{in: `{"jsonrpc":"2.0","id":1,"method":""}`, err: `"method"`},
		{in: `{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}`, err: "twice"},
		{in: `{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}`, err: "written"},
		{in: `{"jsonrpc":"2.0","id":1,"method":"a","params":[]}`, err: `"params"`},
		{in: `{"jsonrpc":"2.0","id":1,"method":"a","result":{}}`, err: "request or a response"},
		{in: `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, err: "result or an error"},
		{in: `{"jsonrpc":"2.0","id":1}`, err: "has a method"},
		{in: `{"jsonrpc":"2.0","id":1,"error":null}`, err: `"error"`},
		{in: `{"jsonrpc":"2.0","id":1,"error":"x"}`, err: `"error"`},
		{in: `{"jsonrpc":"2.0","id":1,"method":"a","params":{},"paramſ":{}}`, err: "written"}, // encoding/json takes it for params
	} {
		m, err := Parse([]byte(tt.in))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %s", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, m); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.in, diff)
		}
	}
}

func TestSet(t *testing.T) {
	for _, tt := range []struct{ in, name, value, want string }{
		{`{ "name" : "a" , "x":1e3}`, "name", `"b"`, `{ "name" : "b" , "x":1e3}`},
		{`{"x":"{\"name\":1}", "name":[1, 2]}`, "name", `3`, `{"x":"{\"name\":1}", "name":3}`},
		{`{}`, "a", `1`, `{"a":1}`},
		{`{"b":2 }`, "a", `1`, `{"b":2,"a":1}`},
		{``, "a", `1`, `{"a":1}`},
		{`{"x":9007199254740993}`, "<&>", `{}`, `{"x":9007199254740993,"<&>":{}}`},
	} {
		if got := string(Set(Raw(tt.in), tt.name, Raw(tt.value))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
	if got := string(SetIn(Raw(`{"a":{"b":1},"c":2}`), Raw("3"), "a", "d")); got != `{"a":{"b":1,"d":3},"c":2}` {
		t.Errorf("SetIn: %s", got)
	}
}

func TestWithout(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1, "b" : 2,"c":3}`: `{"b":2}`,
		`{ "b":2 }`:              `{ "b":2 }`,
		`{"a":{"c":1},"c":1}`:    `{}`,
		`{"b":1,"a":2,"d":{ }}`:  `{"b":1,"d":{ }}`,
	} {
		if got := string(Without(Raw(in), "a", "c")); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestReset goes on with another stream where the first one was cut.
func TestReset(t *testing.T) {
	r := NewEventReader(strings.NewReader("id: 1\nretry: 7\ndata: a\n\nid: 2\ndata: cut"))
	for {
		if _, err := r.Next(); err != nil {
			break
		}
	}
	r.Reset(strings.NewReader("data: b\n\n"))
	if ev, err := r.Next(); err != nil || string(ev.Data) != "b" || r.LastID != "1" || r.Retry.Milliseconds() != 7 {
		t.Errorf("%q, %v; last id %q, retry %v", ev.Data, err, r.LastID, r.Retry)
	}
}

func TestElements(t *testing.T) {
	got := Elements(Raw(` [1]`)[1:])
	got = append(got, Elements(Raw(`[ {"a":[]} , "]" ,null]`))...)
	want := []Raw{Raw("1"), Raw(`{"a":[]}`), Raw(`"]"`), Raw("null")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if n := len(Elements(Raw("[" + strings.Repeat("1,", 3*maxElements) + "1]"))); n != maxElements {
		t.Errorf("%d elements", n)
	}
}

// FuzzWalk holds the walk over members against encoding/json.
func FuzzWalk(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":{"c":[1,2,{"d":"\\\""}]}}`, `{}`, `{"":-1.5e+3 , "x" : true}`, `[]`, `{"a":"\u0022}"}`, "{\"\xff\":1}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := []byte(strings.TrimSpace(s))
		if !json.Valid(b) || len(b) == 0 || b[0] != '{' {
			return
		}
		var want map[string]Raw
		if err := json.Unmarshal(b, &want); err != nil {
			t.Skip()
		}
		got := make(map[string]Raw)
		Members(b, func(key string, value Raw) { got[key] = value })
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			t.Errorf("%s: -json +walk\n%s", b, diff)
		}
		for key := range got {
			if set := Set(b, key, Raw(`"new"`)); !json.Valid(set) || string(Get(set, key)) != `"new"` {
				t.Errorf("%s: %s set: %s", b, key, set)
			}
		}
	})
}

func TestEvents(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	r := NewEventReader(strings.NewReader(": hello\nid: 7\ndata:\n\nevent: endpoint\r\ndata: /a\r\n\r\ndata: {\ndata: }\nretry: 20\nid: 8\n\nevent: none\n\ndata: " + long + "\n\ndata: cut"))
	var got []Event
	for {
		ev, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("end: %v", err)
			}
			break
		}
		got = append(got, ev)
	}
	want := []Event{{Data: nil}, {Name: "endpoint", Data: []byte("/a")}, {Data: []byte("{\n}")}, {Data: []byte(long)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if r.LastID != "8" || r.Retry.Milliseconds() != 20 {
		t.Errorf("last id %q, retry %v", r.LastID, r.Retry)
	}
}

// FuzzParse reads whatever comes; what is a message can be written again and
// is the same one then, and an event that carries it is one event.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"a/b","params":{"x":[1,{}]}}`, `{"jsonrpc":"2.0","method":"n","params":{ "a" :` + "\n" + `1}}`,
		`{"jsonrpc":"2.0","id":"\n","result":{}}`, `{"jsonrpc":"2.0","id":-0,"error":{"code":1,"message":"\u2028"}}`, `[]`, `{`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := Parse([]byte(s))
		if err != nil {
			return
		}
		var b []byte
		switch {
		case m.Method != "":
			b = AppendRequest(nil, m.ID, m.Method, m.Params)
		case m.Error != nil:
			b = AppendError(nil, m.ID, &Error{Raw: m.Error})
		default:
			b = AppendResult(nil, m.ID, m.Result)
		}
		if m.Method == "" && m.ID == nil {
			return // an answer to nothing
		}
		again, err := Parse(b)
		if diff := cmp.Diff(m, again); err != nil || diff != "" {
			t.Fatalf("%s: %v\n%s", b, err, diff)
		}
		line := OneLine(b)
		e, err := NewEventReader(strings.NewReader("data: " + string(line) + "\n\n")).Next()
		if err != nil || string(e.Data) != string(line) || !json.Valid(line) {
			t.Fatalf("an event with %q is %q, %v", line, e.Data, err)
		}
	})
}

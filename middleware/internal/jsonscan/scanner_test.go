package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	fRoot = iota
	fID
	fResult
	fIsError
	fMeta
	fName
	fMethod
	fields
)

var tree = &Node{Field: fRoot, Members: []*Node{
	{Key: "id", Field: fID, Max: 16},
	{Key: "result", Field: fResult, Members: []*Node{
		{Key: "isError", Field: fIsError, Max: 8},
		{Key: "_meta", Field: fMeta, Members: []*Node{{Key: "name", Field: fName, Max: 8}}},
	}},
	{Key: "method", Field: fMethod, Max: 16},
}}

// found is all that a scanner tells of a text.
type found struct {
	Done, Failed, Dup, Folded bool
	Used                      int
	Values                    string
}

func scan(mode Mode, pieces ...[]byte) found {
	s := New(tree, fields, mode)
	return scanWith(s, pieces...)
}

func scanWith(s *Scanner, pieces ...[]byte) found {
	var f found
	for _, p := range pieces {
		f.Used += s.Write(p)
	}
	f.Done, f.Failed, f.Dup, f.Folded = s.Done(), s.Failed(), s.Duplicate(), s.Folded()
	if f.Failed {
		f.Used = 0
		return f
	}
	for i := range fields {
		if v := s.Value(i); v.Kind != None {
			f.Values += fmt.Sprintf("%d:%d:%s ", i, v.Kind, v.Text())
			if v.Cut {
				f.Values += "cut "
			}
		}
	}
	return f
}

var texts = []struct {
	name, in string
	mode     Mode
	want     found
}{
	{"empty object", `{}`, Exact, found{Done: true, Used: 2, Values: "0:6: "}},
	{"id last", `{"result":{"isError":true},"id":7}`, Exact, found{Done: true, Used: 34, Values: "0:6: 1:4:7 2:6: 3:3: "}},
	{"trailing bytes", "{\"id\":\"a\"}\n\n", Exact, found{Done: true, Used: 10, Values: "0:6: 1:5:a "}},
	{"deep look-alikes", `{"result":{"content":[{"isError":true}],"x":{"isError":true}},"id":1}`, Exact, found{Done: true, Used: 69, Values: "0:6: 1:4:1 2:6: "}},
	{"text look-alikes", `{"result":{"t":"\"isError\":true}"},"id":1}`, Exact, found{Done: true, Used: 43, Values: "0:6: 1:4:1 2:6: "}},
	{"replaced", `{"result":{"isError":true},"result":{}}`, Exact, found{Done: true, Dup: true, Used: 39, Values: "0:6: 2:6: "}},
	{"merged", `{"result":{"isError":true},"result":{}}`, Struct, found{Done: true, Dup: true, Used: 39, Values: "0:6: 2:6: 3:3: "}},
	{"case kept apart", `{"ID":1}`, Exact, found{Done: true, Used: 8, Values: "0:6: "}},
	{"case folded", `{"ID":1}`, Struct, found{Done: true, Folded: true, Used: 8, Values: "0:6: 1:4:1 "}},
	{"Kelvin sign and long s", `{"reſult":{"_meta":{"name":"x"}}}`, Struct, found{Done: true, Folded: true, Used: 34, Values: "0:6: 2:6: 4:6: 5:5:x "}},
	{"last one wins", `{"id":1,"Id":2}`, Struct, found{Done: true, Dup: true, Folded: true, Used: 15, Values: "0:6: 1:4:2 "}},
	{"null keeps", `{"method":"m","method":null}`, Struct, found{Done: true, Dup: true, Used: 28, Values: "0:6: 6:5:m "}},
	{"escaped key", `{"\u0069d":1}`, Exact, found{Done: true, Used: 13, Values: "0:6: 1:4:1 "}},
	{"cut", `{"method":"0123456789abcdefgh"}`, Exact, found{Done: true, Used: 31, Values: "0:6: 6:5:0123456789abcdef cut "}},
	{"cut in an escape", `{"method":"0123456789ab\u00e9"}`, Exact, found{Done: true, Used: 31, Values: "0:6: 6:5:0123456789ab cut "}},
	{"batch", ` [{"id":1}]`, Exact, found{Done: true, Used: 11, Values: "0:7: "}},
	{"scalar", `7`, Exact, found{Failed: true}},
	{"no JSON", `{"id":}`, Exact, found{Failed: true}},
	{"wrong bracket", `{"id":[1}}`, Exact, found{Failed: true}},
	{"raw newline", "{\"id\":\"a\nb\"}", Exact, found{Failed: true}},
	{"leading zero", `{"id":01}`, Exact, found{Failed: true}},
	{"comma at the end", `{"id":1,}`, Exact, found{Failed: true}},
	{"not ended", `{"id":1`, Exact, found{Used: 7, Values: "0:6: 1:4:1 "}},
	{"white space", "\t\r\n {\"id\"\n:\n1\n}", Exact, found{Done: true, Used: 15, Values: "0:6: 1:4:1 "}},
}

func TestScanner(t *testing.T) {
	for _, tt := range texts {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, scan(tt.mode, []byte(tt.in))); diff != "" {
				t.Errorf("%s: -want +got\n%s", tt.in, diff)
			}
		})
	}
}

func TestEverySplit(t *testing.T) {
	for _, tt := range texts {
		for i := range len(tt.in) + 1 {
			if diff := cmp.Diff(tt.want, scan(tt.mode, []byte(tt.in[:i]), []byte(tt.in[i:]))); diff != "" {
				t.Fatalf("%s split at %d: -want +got\n%s", tt.in, i, diff)
			}
		}
		if diff := cmp.Diff(tt.want, scan(tt.mode, slices.Collect(slices.Chunk([]byte(tt.in), 1))...)); diff != "" {
			t.Fatalf("%s byte by byte: -want +got\n%s", tt.in, diff)
		}
	}
}

func TestReset(t *testing.T) {
	s := New(tree, fields, Exact)
	for _, tt := range texts {
		if tt.mode != Exact {
			continue
		}
		s.Reset()
		if diff := cmp.Diff(tt.want, scanWith(s, []byte(tt.in))); diff != "" {
			t.Errorf("%s after another text: -want +got\n%s", tt.in, diff)
		}
	}
}

func TestDepth(t *testing.T) {
	for depth, want := range map[int]bool{MaxDepth: true, MaxDepth + 1: false} {
		in := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		s := New(tree, fields, Exact)
		s.Write([]byte(in))
		if s.Done() != want {
			t.Errorf("depth %d: done %v, want %v", depth, s.Done(), want)
		}
		if json.Valid([]byte(in)) != want {
			t.Errorf("depth %d: encoding/json no longer agrees", depth)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, c := range []byte{'"', '\\', 0, 0x1F, '\n'} {
		for n := range 40 {
			p := append(bytes.Repeat([]byte{0xC3}, n), c, 'x', '"')
			if got := plain(p); got != n {
				t.Errorf("plain with %q at %d: %d", c, n, got)
			}
		}
	}
	if all := bytes.Repeat([]byte{0x20, 0x7F, 0x80, 0xFF, '!', '#', '[', ']'}, 9); plain(all) != len(all) {
		t.Errorf("plain stops at %d of harmless bytes", plain(all))
	}
}

// reference decodes the whole text as a map does: exact keys, last one wins.
func reference(text []byte) (method, isError string, ok bool) {
	var m map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(text))
	if dec.Decode(&m) != nil || m == nil {
		return "", "", false
	}
	var r map[string]json.RawMessage
	_ = json.Unmarshal(m["result"], &r)
	return string(m["method"]), string(r["isError"]), true
}

func FuzzScanner(f *testing.F) {
	for _, tt := range texts {
		f.Add([]byte(tt.in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		whole := scan(Exact, text)
		pieces := scan(Exact, slices.Collect(slices.Chunk(text, int(size)+1))...)
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Fatalf("pieces of %d differ: -whole +pieces\n%s", size+1, diff)
		}
		method, isError, ok := reference(text)
		isObject := bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
		if isObject && ok != whole.Done {
			t.Fatalf("encoding/json says %v, the scanner %v", ok, whole.Done)
		}
		if !ok || !isObject {
			return
		}
		s := New(tree, fields, Exact)
		s.Write(text)
		if got := s.Value(fIsError).Kind; (got == True) != (isError == "true") {
			t.Errorf("isError %q, scanner says kind %d", isError, got)
		}
		var want string
		isString := json.Unmarshal([]byte(method), &want) == nil && strings.HasPrefix(method, `"`)
		if v := s.Value(fMethod); isString != (v.Kind == String) || isString && !v.Cut && v.Text() != want {
			// Runs of invalid bytes become one replacement character here, and one for each byte there.
			if !strings.Contains(want, "\uFFFD") {
				t.Errorf("method %s, scanner says %q", method, v.Text())
			}
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	for _, size := range []int{100, 1 << 20} {
		text := []byte(`{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"` + strings.Repeat("x", size) + `"}],"isError":false},"id":1}`)
		s := New(tree, fields, Exact)
		b.Run(fmt.Sprint("scanner/", size), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				s.Reset()
				if s.Write(text); !s.Done() {
					b.Fatal("not done")
				}
			}
		})
		b.Run(fmt.Sprint("encoding-json-Valid/", size), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if !json.Valid(text) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

package sse

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// events collects the data of each complete event, and of an open one.
type events struct {
	done []string
	open strings.Builder
}

func (e *events) Data(p []byte) { e.open.Write(p) }
func (e *events) EndEvent() {
	e.done = append(e.done, e.open.String())
	e.open.Reset()
}

var streams = []struct {
	name, in string
	want     []string
	id       bool
}{
	{"lf", "data: a\n\ndata: b\n\n", []string{"a", "b"}, false},
	{"crlf", "data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}, false},
	{"cr", "data: a\r\rdata: b\r\r", []string{"a", "b"}, false},
	{"mixed line ends", "data: a\rdata: b\ndata: c\r\n\ndata: d\n\r\n", []string{"a\nb\nc", "d"}, false},
	{"no space", "data:a\n\n", []string{"a"}, false},
	{"two spaces", "data:  a\n\n", []string{" a"}, false},
	{"many lines", "data: {\ndata: }\n\n", []string{"{\n}"}, false},
	{"empty line in the middle", "data: a\ndata:\ndata: b\n\n", []string{"a\n\nb"}, false},
	{"field without colon", "data: a\ndata\ndata: b\n\n", []string{"a\n\nb"}, false},
	{"priming event", "id: 7\ndata:\n\ndata: a\n\n", []string{"a"}, true},
	{"empty id", "id:\ndata: a\n\n", []string{"a"}, false},
	{"comments and other fields", ": ping\nretry: 5\nevent: message\ndatabase: x\ndat: y\ndata: a\n\n", []string{"a"}, false},
	{"colon in the value", "data: a: b\n\n", []string{"a: b"}, false},
	{"byte order mark", "\xEF\xBB\xBFdata: a\n\n", []string{"a"}, false},
	{"half a byte order mark", "\xEF\xBBdata: x\ndata: a\n\n", []string{"a"}, false},
	{"no end", "data: a\n\ndata: b\n", []string{"a"}, false},
	{"blank lines", "\n\n\r\r\n\ndata: a\n\n\n\n", []string{"a"}, false},
}

func read(pieces ...[]byte) ([]string, bool) {
	var e events
	r := Reader{Sink: &e}
	for _, p := range pieces {
		r.Write(p)
	}
	return e.done, r.HasID()
}

func TestReader(t *testing.T) {
	for _, tt := range streams {
		t.Run(tt.name, func(t *testing.T) {
			for i := range len(tt.in) + 1 {
				got, id := read([]byte(tt.in[:i]), []byte(tt.in[i:]))
				if diff := cmp.Diff(tt.want, got); diff != "" || id != tt.id {
					t.Fatalf("%q split at %d: id %v, -want +got\n%s", tt.in, i, id, diff)
				}
			}
			got, id := read(slices.Collect(slices.Chunk([]byte(tt.in), 1))...)
			if diff := cmp.Diff(tt.want, got); diff != "" || id != tt.id {
				t.Fatalf("%q byte by byte: id %v, -want +got\n%s", tt.in, id, diff)
			}
		})
	}
}

// reference reads a whole stream by the standard's words, line by line.
func reference(in string) (out []string, id bool) {
	in = strings.TrimPrefix(in, byteOrderMark)
	in = strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(in, "\n")
	var data []string
	for _, line := range lines[:len(lines)-1] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if all := strings.Join(data, "\n"); strings.Trim(all, "\n") != "" {
				out = append(out, all)
			}
			data = nil
		case name == "data":
			data = append(data, value)
		case name == "id" && value != "":
			id = true
		}
	}
	return out, id
}

func FuzzReader(f *testing.F) {
	for _, tt := range streams {
		f.Add(tt.in, uint8(2))
	}
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		if i := strings.LastIndexAny(in, "\r\n"); i >= 0 {
			in = in[:i+1] // the reference knows whole lines only
		} else {
			in = ""
		}
		if strings.HasPrefix(in, "\xEF") && !strings.HasPrefix(in, byteOrderMark) {
			return // an unknown field in both, but the reference would need the same care
		}
		want, wantID := reference(in)
		got, id := read(slices.Collect(slices.Chunk([]byte(in), int(size)+1))...)
		for i := range got { // a data line that is only empty lines is dropped by both, but joined by us
			got[i] = strings.TrimLeft(got[i], "\n")
		}
		for i := range want {
			want[i] = strings.TrimLeft(want[i], "\n")
		}
		if diff := cmp.Diff(want, got); diff != "" || id != wantID {
			t.Fatalf("%q: id %v, want %v, -want +got\n%s", in, id, wantID, diff)
		}
	})
}

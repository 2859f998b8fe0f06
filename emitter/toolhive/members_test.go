package toolhive

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzMembers splits objects as encoding/json does.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{`{}`, ` { } `, `{"a":1}`, "{\"a\" :\t[{\"b\":\"]}\"}] ,\n\"c\":null}", `{"a\u0062\"":-1e5,"a":true,"a":false}`, "{\"\xff\":\"\\ud800\"}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = bytes.TrimSpace(text)
		var want map[string]json.RawMessage
		if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &want) != nil {
			return
		}
		got := map[string]json.RawMessage{}
		for name, value := range split(text) {
			got[name] = value.(json.RawMessage)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text, err := os.ReadFile("testdata/toolhive.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	b.ReportAllocs()
	b.SetBytes(int64(len(text) / len(lines)))
	for i := 0; b.Loop(); i++ {
		if _, err := Decode(lines[i%len(lines)]); err != nil {
			b.Fatal(err)
		}
	}
}

package emitter

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestDecodeFast: what the encoder writes is decoded without encoding/json.
func TestDecodeFast(t *testing.T) {
	for name, e := range map[string]*Event{"filled": filled(t), "minimal": minimal()} {
		line := AppendEvent(nil, e)
		var got, want Event
		if !decodeFast(line, &got) {
			t.Errorf("%s is not decoded: %s", name, line)
		}
		if err := json.Unmarshal(line, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, got, want)
		}
	}
}

// FuzzDecodeFast: what is decoded is what encoding/json makes of it.
func FuzzDecodeFast(f *testing.F) {
	f.Add(AppendEvent(nil, minimal()))
	f.Add(AppendEvent(nil, hostile()))
	f.Add([]byte(plainLine))
	f.Add([]byte(with(plainLine, `"integrity":`+otherChain)))
	f.Add([]byte(`{"observer":{"labels":{"a":"b","a":"c"}},"controls":["a","b\""],"redactions":[{"path":"x"}],"data":{"request":[1,{"a":"]"}],"response":null},"loss":{"first_seq":18446744073709551615}}`))
	f.Add([]byte(`{"metadata":{"extra":{"duration_ms":-0,"http_status":01,"retry_count":1e3}}}`))
	f.Add([]byte(`{"data":{"request": 1 }}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var got, want Event
		if !decodeFast(line, &got) {
			return
		}
		if err := json.Unmarshal(line, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n%s\n%+v\n%+v", err, line, got, want)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	canonical := AppendEvent(nil, minimal())
	other := []byte(strings.Replace(string(canonical), ",", " ,", 1))
	for name, line := range map[string][]byte{"canonical": canonical, "other": other} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				if _, err := Decode(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package emitter

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	otherChain = `{"stream":"e97c8715-8d59-4a27-a33a-40ed0e059db2","seq":7,"prev":"98776062dc7e6457e3ab6e0088ed603eb91ed6af626c1284559f905fbcf21021","hash":"5372b99eb641816617bc5e975dbd76de1c3db3fdd4701c5cfb4f6ef34a8a6ada"}`
	plainLine  = `{"schema":"1.0","audit_id":"a","type":"mcp_ping","stage":"completed","logged_at":"2026-01-02T03:04:05.000000Z","outcome":"success","severity":2}`
)

const lossLine = `{"schema":"1.0","audit_id":"a","type":"audit_loss","stage":"completed","logged_at":"2026-01-02T03:04:05.000000Z","outcome":"error","severity":8,"loss":{"first_seq":3,"last_seq":4,"count":2,"cause":"damaged"}}`

func with(line, member string) string { return strings.TrimSuffix(line, "}") + "," + member + "}" }

func TestImport(t *testing.T) {
	named := func(stream string) string {
		return strings.Replace(lossLine, `"loss":{`, `"loss":{"stream":"`+stream+`",`, 1)
	}
	for name, tt := range map[string]struct{ line, want string }{
		"canonical":               {plainLine, plainLine},
		"with white space around": {" " + plainLine + "\r\n", plainLine},
		"with a place in a chain": {with(plainLine, `"integrity":`+otherChain), with(plainLine, `"origin_integrity":`+otherChain)},
		"shipped before":          {with(plainLine, `"origin_integrity":`+otherChain+`,"integrity":`+strings.Replace(otherChain, "7", "8", 1)), with(plainLine, `"origin_integrity":`+otherChain)},
		"of a newer version":      {with(plainLine, `"new":{"a" : 1},"integrity":`+otherChain), with(plainLine, `"new":{"a":1},"origin_integrity":`+otherChain)},
		"with integrity in the middle": {
			strings.Replace(plainLine, `"type"`, `"integrity":`+otherChain+`,"type"`, 1), with(plainLine, `"origin_integrity":`+otherChain),
		},
		"written by hand":             {strings.Replace(plainLine, `,"type"`, " ,\t\"type\"", 1), plainLine},
		"with a line end in a string": {with(plainLine, "\"x\":\"a\u2028b\u0085\""), with(plainLine, `"x":"a\u2028b\u0085"`)},
		"loss":                        {lossLine, named("unknown")},
		"loss in a chain":             {with(lossLine, `"integrity":`+otherChain), with(named("e97c8715-8d59-4a27-a33a-40ed0e059db2"), `"origin_integrity":`+otherChain)},
		"loss of another chain":       {named("x"), named("x")},
		"loss of a newer version":     {with(lossLine, `"new": 1`), with(named("unknown"), `"new":1`)},
		"data with a member twice":    {with(plainLine, `"data":{"request":{"a":1,"a": 2}}`), with(plainLine, `"data":{"request":{"a":1,"a":2}}`)},
		"labels in two cases":         {with(plainLine, `"observer":{"labels":{"a":"1", "A":"2"}}`), with(plainLine, `"observer":{"labels":{"a":"1","A":"2"}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Import([]byte(tt.line))
			if err != nil {
				t.Fatal(err)
			}
			got := string(AppendStored(nil, e))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			again, err := Import([]byte(got))
			if err != nil || !bytes.Equal(again.Stored(), []byte(got)) {
				t.Errorf("again: %v %s", err, again.Stored())
			}
			if again.AuditID != "a" || e.AuditID != "a" || again.OriginIntegrity != e.OriginIntegrity || e.Integrity != (Integrity{}) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestImportRefuses(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":                 "x",
		"no event":                `{"schema":"1.0"}`,
		"two":                     plainLine + plainLine,
		"invalid UTF-8":           with(plainLine, "\"x\":\"\xff\""),
		"a member twice":          with(plainLine, `"outcome":"denied"`),
		"a member in two cases":   with(plainLine, `"Outcome":"denied"`),
		"a long s":                with(plainLine, `"ſeverity":9`),
		"twice in an object":      with(plainLine, `"source":{"value":"192.0.2.1","value":"192.0.2.2"}`),
		"twice in a list":         with(plainLine, `"redactions":[{"path":"a","rule":"b"},{"path":"a","Path":"b"}]`),
		"twice in a loss":         with(lossLine, `"outcome":"success"`),
		"an unknown member twice": with(plainLine, `"x":1,"x":2`),
		"too large":               with(plainLine, `"x":"`+strings.Repeat("x", 1<<20)+`"`),
	} {
		if e, err := Import([]byte(line)); err == nil {
			t.Errorf("%s: %s", name, e.Stored())
		}
	}
}

// FuzzImport: what is imported is an event without a place in a chain, and does
// not change when it is imported again.
func FuzzImport(f *testing.F) {
	f.Add([]byte(plainLine))
	f.Add([]byte(with(plainLine, `"integrity":`+otherChain)))
	f.Add([]byte(with(plainLine, `"new":[1, {"a":"\u2028"}]`)))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Import(line)
		if err != nil {
			return
		}
		stored := e.Stored()
		back, err := Decode(stored)
		if err != nil || back.Integrity != (Integrity{}) || back.AuditID != e.AuditID || back.Outcome != e.Outcome || bytes.ContainsAny(stored, "\n\r") {
			t.Fatalf("%v\n%s", err, stored)
		}
		again, err := Import(stored)
		if err != nil || !bytes.Equal(again.Stored(), stored) {
			t.Fatalf("%v\n%s\n%s", err, stored, again.Stored())
		}
	})
}

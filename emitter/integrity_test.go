package emitter

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

var place = Integrity{
	Stream: "0f8fad5b-d9cb-469f-a165-70867728950e", Seq: 41,
	Prev: strings.Repeat("0123456789abcdef", 4), Hash: strings.Repeat("fedcba9876543210", 4),
}

const placeText = `"integrity":{"stream":"0f8fad5b-d9cb-469f-a165-70867728950e","seq":41,` +
	`"prev":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",` +
	`"hash":"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"}}`

func TestSplitIntegrity(t *testing.T) {
	for payload, line := range map[string]string{
		`{}`:                 `{` + placeText,
		`{"a":1}`:            `{"a":1,` + placeText,
		`{"a":{}}`:           `{"a":{},` + placeText,
		"{\"ä\":\"\\\",\"}":  "{\"ä\":\"\\\",\"," + placeText,
		`{` + placeText:      `{` + placeText[:len(placeText)-1] + `,` + placeText, // one that was there before
		`{"a":[{` + "\xff}}": `{"a":[{` + "\xff}," + placeText,                     // JSON is not its business
	} {
		got, in, ok := SplitIntegrity([]byte(line))
		if !ok || string(got) != payload || in != place {
			t.Errorf("%s:\ngot %s %+v %v", line, got, in, ok)
		}
		if again := string(AppendIntegrity([]byte("x"), got, &in)); again != "x"+line {
			t.Errorf("put together again: %s, want %s", again, line)
		}
	}
}

func TestSplitIntegrityRefuses(t *testing.T) {
	good := `{"a":1,` + placeText
	swap := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for name, line := range map[string]string{
		"empty":            "",
		"none":             `{"a":1}`,
		"only":             placeText,
		"comma first":      `{,` + placeText,
		"no brace":         `"a":1,` + placeText,
		"no comma":         `{"a":1` + placeText,
		"line end":         good + "\n",
		"space behind":     good + " ",
		"space within":     swap(`,"seq"`, `, "seq"`),
		"another member":   swap(`"}}`, `","x":1}}`),
		"other order":      swap(`"seq":41,"prev"`, `"prev":41,"seq"`),
		"deeper":           good[:len(good)-1] + "}}",
		"capital hash":     swap("fe", "FE"),
		"short hash":       swap("fe", ""),
		"capital stream":   swap("0f8f", "0F8F"),
		"stream with {":    swap("0f8f", "{f8f"),
		"seq 0":            swap(":41,", ":0,"),
		"seq with 0":       swap(":41,", ":041,"),
		"seq with sign":    swap(":41,", ":+41,"),
		"seq in quotes":    swap(":41,", `:"41",`),
		"no seq":           swap(":41,", ":,"),
		"seq too large":    swap(":41,", ":18446744073709551616,"),
		"seq of 21 digits": swap(":41,", ":100000000000000000000,"),
	} {
		if payload, in, ok := SplitIntegrity([]byte(line)); ok {
			t.Errorf("%s: split into %s and %+v", name, payload, in)
		}
	}
	largest := swap(":41,", fmt.Sprintf(":%d,", uint64(math.MaxUint64)))
	if _, in, ok := SplitIntegrity([]byte(largest)); !ok || in.Seq != math.MaxUint64 {
		t.Errorf("the largest seq: %d, %v", in.Seq, ok)
	}
}

func TestAppendIntegrityLeavesAlone(t *testing.T) {
	for _, payload := range []string{"", "}", "{", "x}", "[1]", "null", `{"a":1} `} {
		if got := string(AppendIntegrity(nil, []byte(payload), &place)); got != payload {
			t.Errorf("%q became %q", payload, got)
		}
	}
	if got := string(AppendIntegrity(nil, []byte(`{"a":1}`), &Integrity{})); got != `{"a":1}` {
		t.Errorf("without an integrity: %s", got)
	}
}

func FuzzSplitIntegrity(f *testing.F) {
	f.Add([]byte(`{"a":1,` + placeText))
	f.Add([]byte(`{{,` + placeText))
	f.Add([]byte(`{` + placeText))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		payload, in, ok := SplitIntegrity(line)
		if !bytes.Equal(line, before) {
			t.Fatal("the line was changed")
		}
		if ok {
			if again := AppendIntegrity(nil, payload, &in); !bytes.Equal(again, line) {
				t.Fatalf("%q split and put together is %q", line, again)
			}
		}
		whole := AppendIntegrity(nil, line, &place)
		payload, in, ok = SplitIntegrity(whole)
		if !bytes.Equal(whole, line) && (!ok || in != place || !bytes.Equal(payload, line)) {
			t.Fatalf("%q put together is %q, split %q %+v %v", line, whole, payload, in, ok)
		}
	})
}

func TestAppendStored(t *testing.T) {
	payload := AppendEvent(nil, minimal())
	sealed := AppendIntegrity(nil, payload, &place)
	decoded := func(line []byte) *Event {
		e, err := Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	placed := decoded(payload)
	placed.Integrity = place
	odd := decoded([]byte(`{"integrity":{"seq":7},` + string(payload[1:])))
	moved := decoded(sealed)
	moved.Integrity.Seq++
	fresh := minimal()
	fresh.AuditID, fresh.Integrity = placed.AuditID, place
	for _, tt := range []struct {
		name string
		e    *Event
		want string
	}{
		{"as it came", decoded(payload), string(payload)},
		{"with its place", placed, string(sealed)},
		{"came with a place", decoded(sealed), string(sealed)},
		{"keeps the place it came with", moved, string(sealed)},
		{"came with one elsewhere", odd, string(odd.Stored())},
		{"under construction", fresh, string(sealed)},
		{"white space around it", decoded([]byte(" " + string(payload) + "\r\n")), string(payload)},
	} {
		if got := string(AppendStored([]byte("x"), tt.e)); got != "x"+tt.want {
			t.Errorf("%s: -want +got\n%s", tt.name, cmp.Diff("x"+tt.want, got))
		}
	}
}

func TestIntegrityOf(t *testing.T) {
	stream := spool.Stream{0x0f, 0x8f, 15: 1}
	r := &spool.Record{Seq: 3, Prev: spool.Hash{1}, Payload: []byte("{}")}
	want := Integrity{
		Stream: stream.String(), Seq: 3, Prev: "01" + strings.Repeat("0", 62),
		Hash: spool.Link(stream, r.Prev, 3, r.Payload).String(),
	}
	if got := IntegrityOf(stream, r); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNewLoss(t *testing.T) {
	e := NewLoss(Loss{FirstSeq: 5, LastSeq: 9, Count: 5, Cause: string(spool.CauseFull), Routes: []string{"hec"}})
	e.AuditID, e.LoggedAt = "id", minimal().LoggedAt
	want := `{"schema":"1.0","audit_id":"id","type":"audit_loss","stage":"completed","logged_at":"2026-01-02T03:04:05.000000Z",` +
		`"outcome":"error","severity":8,` +
		`"loss":{"first_seq":5,"last_seq":9,"count":5,"cause":"spool_full","routes":["hec"]},"controls":["AU-5"]}`
	if diff := cmp.Diff(want, string(AppendEvent(nil, e))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestEmitGivesNoPlace(t *testing.T) {
	em := newEmitter(t, Options{})
	e := minimal()
	e.Integrity = place
	if err := em.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(e.Stored(), []byte("integrity")) {
		t.Errorf("an event brought its own place: %s", e.Stored())
	}
}

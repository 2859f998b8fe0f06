package formats

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden renders the same events in each format, and some with a header and a
// limit. To rewrite: go test ./formats -update
func TestGolden(t *testing.T) {
	for file, opt := range map[string]Options{
		"json": {Format: NameJSON}, "flat": {Format: NameFlat}, "cef": {Format: NameCEF}, "leef": {Format: NameLEEF},
		"leef1": {Format: NameLEEF1}, "rfc5424": {Format: NameRFC5424}, "compact": {Format: NameCompact},
		"cef-rfc3164": {Format: NameCEF, Header: HeaderRFC3164}, "json-rfc3164": {Format: NameJSON, Header: HeaderRFC3164},
		"leef-rfc5424-1024": {Format: NameLEEF, Header: HeaderRFC5424, MaxSize: MinSize},
		"json-rfc5424-1024": {Format: NameJSON, Header: HeaderRFC5424, MaxSize: MinSize},
		"cef-1024":          {Format: NameCEF, MaxSize: MinSize}, "flat-1024": {Format: NameFlat, MaxSize: MinSize},
		"rfc5424-1024": {Format: NameRFC5424, MaxSize: MinSize, BOM: true, Facility: 13, Host: "h", AppName: "a", SDID: "audit@1.2"},
	} {
		t.Run(file, func(t *testing.T) {
			format, err := New(opt)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for _, e := range formatstest.Events() {
				got = append(format(got, e), '\n')
			}
			path := filepath.Join("testdata", "golden", file+".txt")
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestRoundTrip reads every event again, as it was built and as it comes from the
// spool, in every format, with every header and some limits.
func TestRoundTrip(t *testing.T) {
	long := formatstest.Hostile()
	for i := range long.Decision.PolicyIDs {
		long.Decision.PolicyIDs[i] = strings.Repeat("p,", 200)
		long.Auth.Roles = append(long.Auth.Roles, strings.Repeat("\x00", 200))
	}
	for _, e := range append(formatstest.Events(), long, new(emitter.Event)) {
		everyWay(t, e)
		if stored, err := emitter.Decode(emitter.AppendEvent(nil, e)); err == nil {
			everyWay(t, stored)
		}
	}
}

func everyWay(t *testing.T, e *emitter.Event) {
	t.Helper()
	for _, name := range Names() {
		for _, h := range Headers() {
			if name == NameRFC5424 && h != HeaderRFC5424 {
				continue
			}
			for _, limit := range []int{0, MinSize, 1501, 4096} {
				if name != NameCompact || limit == 0 {
					check(t, e, name, h, limit)
				}
			}
		}
	}
}

// TestEveryLimit cuts the most hostile event to every size that is allowed.
func TestEveryLimit(t *testing.T) {
	e := formatstest.Hostile()
	for _, name := range []Name{NameJSON, NameFlat, NameCEF, NameLEEF, NameLEEF1, NameRFC5424} {
		for limit := MinSize; limit < 4096; limit += 23 {
			check(t, e, name, HeaderRFC5424, limit)
		}
	}
}

// TestCutKeepsWhoAndWhat looks at what is left of a filled event in a small record.
func TestCutKeepsWhoAndWhat(t *testing.T) {
	for _, name := range []Name{NameFlat, NameCEF, NameLEEF} {
		format, err := New(Options{Format: name, MaxSize: MinSize})
		if err != nil {
			t.Fatal(err)
		}
		e := formatstest.Full()
		e.Target.Name = string(bytes.Repeat([]byte("x"), 512)) // by a stranger
		line := format(nil, e)
		for _, want := range []string{e.AuditID, "alice", "203.0.113.9", "failure", e.Integrity.Hash, "=41"} {
			if name == NameFlat && want == "=41" {
				want = ":41"
			}
			if !bytes.Contains(line, []byte(want)) {
				t.Errorf("%s: no %s in %s", name, want, line)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		opt  Options
		want string
	}{
		{Options{}, `format : is none of [json flat cef leef leef1 rfc5424 compact]`},
		{Options{Format: "xml"}, `format xml: is none of [json flat cef leef leef1 rfc5424 compact]`},
		{Options{Format: "cef", Header: "x"}, `format cef: header "x" is none of [none rfc5424 rfc3164]`},
		{Options{Format: "rfc5424", Header: "rfc3164"}, `format rfc5424: its header is that of RFC 5424, not rfc3164`},
		{Options{Format: "cef", MaxSize: 1023}, `format cef: largest size 1023 is below 1024`},
		{Options{Format: "compact", MaxSize: 4096}, `format compact: it takes no largest size`},
		{Options{Format: "cef", Facility: 24}, `format cef: facility 24 is not one of 1 to 23`},
		{Options{Format: "cef", SDID: "vmcp"}, `format cef: structured data id "vmcp" is not name@number`},
		{Options{Format: "cef", SDID: "vm cp@1"}, `format cef: structured data id "vm cp@1" is not name@number`},
		{Options{Format: "cef", SDID: "vmcp@1.x"}, `format cef: structured data id "vmcp@1.x" is not name@number`},
	}
	for _, tt := range tests {
		if _, err := New(tt.opt); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %v, want %s", tt.opt, err, tt.want)
		}
	}
}

// TestNoAllocation renders into a buffer with room.
func TestNoAllocation(t *testing.T) {
	e := formatstest.Full()
	e.Data = emitter.Data{} // copied by JSON
	e.Observer.Labels = nil // sorted by JSON
	buf := make([]byte, 0, 1<<16)
	for _, name := range Names() {
		for _, h := range []Header{HeaderNone, HeaderRFC5424, HeaderRFC3164} {
			if name == NameCompact || name == NameRFC5424 && h != HeaderRFC5424 {
				continue
			}
			format, err := New(Options{Format: name, Header: h, MaxSize: 8192})
			if err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() { buf = format(buf[:0], e) }); n != 0 {
				t.Errorf("%s %s: %v allocations", name, h, n)
			}
		}
	}
}

package formats

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
)

// nsyslog is a result of nsyslog-parser.
type nsyslog struct {
	Header, Fields map[string]string
}

// nsyslog-parser takes of a value what stands before an = in it, where the guide
// has a value go up to the delimiter.
func TestLEEFNsyslog(t *testing.T) {
	for _, name := range []formats.Name{formats.NameLEEF, formats.NameLEEF1} {
		t.Run(string(name), func(t *testing.T) {
			lines := render(t, formats.Options{Format: name}, formatstest.Events())
			for i, got := range foreign[nsyslog](t, "nsyslog", lines) {
				want := readLEEF(t, lines[i])
				for k, v := range want.fields {
					want.fields[k], _, _ = strings.Cut(v, "=")
				}
				header := []string{got.Header["vendor"], got.Header["product"], got.Header["version"], got.Header["eventID"]}
				if diff := cmp.Diff(want.header, header); diff != "" {
					t.Errorf("%s\nheader (-want +got):\n%s", lines[i], diff)
				}
				if diff := cmp.Diff(want.fields, got.Fields); diff != "" {
					t.Errorf("%s\nfields (-want +got):\n%s", lines[i], diff)
				}
			}
		})
	}
}

func TestLEEFVector(t *testing.T) {
	for _, name := range []formats.Name{formats.NameLEEF, formats.NameLEEF1} {
		t.Run(string(name), func(t *testing.T) {
			lines := render(t, formats.Options{Format: name}, formatstest.Events())
			for i, got := range foreign[map[string]string](t, "vector-"+string(name), lines) {
				want := readLEEF(t, lines[i]).fields
				for k, v := range want {
					want[k] = asVector(v)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s\n(-want +got):\n%s", lines[i], diff)
				}
			}
		})
	}
}

package formats

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
	"github.com/vmcp-audit/vmcp-audit/integration/receivers"
)

// cefHeaderNames are Vector's and liblognorm's names of the header's fields.
var cefHeaderNames = map[string][]string{
	"vector":     {"deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"},
	"liblognorm": {"DeviceVendor", "DeviceProduct", "DeviceVersion", "SignatureID", "Name", "Severity"},
}

func TestCEFVector(t *testing.T) {
	lines := render(t, formats.Options{Format: formats.NameCEF}, formatstest.Events())
	for i, got := range foreign[map[string]string](t, "vector-cef", lines) {
		r := readCEF(t, lines[i])
		want := map[string]string{"cefVersion": "0"}
		for k, v := range r.fields {
			want[k] = asVector(v)
		}
		for j, name := range cefHeaderNames["vector"] {
			want[name] = r.header[j]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", lines[i], diff)
		}
	}
}

// asVector returns what Vector makes of a value: it takes \r for a line feed, and
// the quotes from around a value.
func asVector(value string) string {
	value = strings.ReplaceAll(value, "\r", "\n")
	if inner, ok := strings.CutPrefix(value, `"`); ok && strings.HasSuffix(inner, `"`) {
		return strings.TrimSuffix(inner, `"`)
	}
	return value
}

func TestCEFLiblognorm(t *testing.T) {
	lines := render(t, formats.Options{Format: formats.NameCEF}, formatstest.Events())
	spaced := make([]string, len(lines)) // it skips the character after the header
	for i, line := range lines {
		head := cefHeader.FindString(line)
		spaced[i] = head + " " + line[len(head):]
	}
	for i, got := range receivers.Normalize(t, "rule=:%f:cef%", spaced) {
		r := readCEF(t, lines[i])
		ext := make(map[string]any)
		for k, v := range r.fields {
			ext[k] = v
		}
		want := map[string]any{"Extensions": ext}
		for j, name := range cefHeaderNames["liblognorm"] {
			want[name] = r.header[j]
		}
		if diff := cmp.Diff(map[string]any{"f": want}, got); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", lines[i], diff)
		}
	}
}

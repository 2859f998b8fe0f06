package formats

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
	"github.com/vmcp-audit/vmcp-audit/integration/receivers"
)

var (
	rfc5424 = regexp.MustCompile(`^<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) (-|\[(?:[^]"]|"(?:[^"\\]|\\.)*")*\]) (.*)$`)
	sdID    = regexp.MustCompile(`^\[([^ ]+)`)
	sdParam = regexp.MustCompile(` ([^ =]+)="((?:[^"\\]|\\.)*)"`)
	inParam = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\]`, `]`)
)

// readSyslog reads a message of RFC 5424.
func readSyslog(t *testing.T, message string) receivers.Message {
	t.Helper()
	f := rfc5424.FindStringSubmatch(message)
	if f == nil {
		t.Fatalf("no header of RFC 5424 in %q", message)
	}
	pri, err := strconv.Atoi(f[1])
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, f[2])
	if err != nil {
		t.Fatal(err)
	}
	m := receivers.Message{
		Msg: f[8], Raw: message, Time: at, Facility: pri / 8, Severity: pri % 8,
		Host: f[3], App: f[4], ProcID: f[5], MsgID: f[6], SD: f[7], Params: make(map[string]string),
	}
	if id := sdID.FindStringSubmatch(m.SD); id != nil {
		for _, p := range sdParam.FindAllStringSubmatch(m.SD, -1) {
			m.Params[id[1]+"."+p[1]] = inParam.Replace(p[2])
		}
	}
	return m
}

// Vector's parse_syslog gives back the header, the structured data and the text.
func TestSyslogVector(t *testing.T) {
	for _, name := range []formats.Name{formats.NameRFC5424, formats.NameJSON, formats.NameCEF, formats.NameLEEF} {
		t.Run(string(name), func(t *testing.T) {
			sent := render(t, formats.Options{Format: name, Header: formats.HeaderRFC5424}, formatstest.Events())
			for i, got := range foreign[map[string]any](t, "vector-syslog", sent) {
				m := readSyslog(t, sent[i])
				want := map[string]any{
					"appname": m.App, "facility": "local0", "hostname": m.Host, "message": m.Msg, "msgid": m.MsgID, "procid": m.ProcID,
					"severity":  []string{"", "", "crit", "err", "warning", "notice", "info"}[m.Severity],
					"timestamp": m.Time.Format(time.RFC3339Nano), "version": 1.0,
				}
				params := make(map[string]any)
				for k, v := range m.Params {
					id, name, _ := strings.Cut(k, ".")
					params[name], want[id] = v, params
				}
				for k, v := range want {
					if v == "-" {
						delete(want, k)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s\n(-want +got):\n%s", sent[i], diff)
				}
			}
		})
	}
}

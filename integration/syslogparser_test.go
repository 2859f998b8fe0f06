package integration

import (
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
)

// TestStrictSyslogParser: the strict parser of somebody else takes every message,
// whole and cut, and gives back the values of the event.
func TestStrictSyslogParser(t *testing.T) {
	events := formatstest.Events()
	for _, e := range events[:len(events):len(events)] {
		hostile := formatstest.Hostile()
		hostile.Type, hostile.Outcome, hostile.Severity = e.Type, e.Outcome, e.Severity
		events = append(events, hostile)
	}
	for _, e := range events {
		for _, name := range []formats.Name{formats.NameRFC5424, formats.NameJSON, formats.NameFlat, formats.NameCEF, formats.NameLEEF, formats.NameLEEF1} {
			for _, limit := range []int{0, formats.MinSize, 2048} {
				parseStrictly(t, e, formats.Options{Format: name, Header: formats.HeaderRFC5424, MaxSize: limit})
			}
		}
	}
}

func parseStrictly(t *testing.T, e *emitter.Event, opt formats.Options) {
	t.Helper()
	format, err := formats.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	line := format(nil, e)
	parsed, err := rfc5424.NewParser().Parse(line)
	if err != nil {
		t.Fatalf("%s: %v\n%s", opt.Format, err, line)
	}
	m := parsed.(*rfc5424.SyslogMessage)
	if *m.Facility != formats.DefaultFacility || *m.Severity != uint8(formats.SyslogSeverity(e.Severity)) || !m.Timestamp.Equal(e.LoggedAt) ||
		name(m.MsgID) != strings.ReplaceAll(string(e.Type), "mcp_later", "other") || name(m.Hostname) != headerName(e.Observer.Host, 255, notInHost) || name(m.Appname) != headerName(e.Component, 48, "|") {
		t.Errorf("header of %s", line)
	}
	if m.StructuredData == nil && opt.MaxSize > 0 {
		return // the header goes first where the body has to be cut
	}
	got := (*m.StructuredData)[formats.DefaultSDID]
	want := map[string]string{"audit_id": e.AuditID, "type": string(e.Type), "severity": strconv.Itoa(min(e.Severity, 10))}
	if e.Integrity.Seq > 0 {
		want["seq"] = strconv.FormatUint(e.Integrity.Seq, 10)
	}
	if opt.Format == formats.NameRFC5424 {
		for k, v := range map[string]string{
			"user": e.Subjects.User, "src": e.Source.Value, "session": e.Source.Extra.SessionID,
			"hash": e.Integrity.Hash, "server": e.Target.Server.Name, "trace_id": e.Trace.TraceID,
		} {
			_, there := got[k]
			if limit := map[string]int{"user": 256, "src": 64}[k]; v != "" && (there || opt.MaxSize == 0) {
				want[k] = shown(v, limit)
			}
		}
	}
	for k, v := range want {
		if diff := cmp.Diff(v, got[k]); diff != "" && !(opt.MaxSize > 0 && strings.HasSuffix(got[k], "…")) {
			t.Errorf("%s %s: -want +got\n%s", opt.Format, k, diff)
		}
	}
}

// name returns a name in the header as it was sent.
func name(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// notInHost are the characters of [formatstest.Evil] that are in no host name.
const notInHost = "|=\\\"]^,;:[@<>"

// headerName is what docs/formats.md says of the names in the header.
func headerName(s string, limit int, not string) string {
	if s == "" {
		return "-"
	}
	b := []byte(s)[:min(len(s), limit)]
	for i, c := range b {
		if c <= ' ' || c > '~' || strings.IndexByte(not, c) >= 0 {
			b[i] = '_'
		}
	}
	return string(b)
}

// shown is what docs/formats.md says of texts in structured data.
func shown(s string, limit int) string {
	if limit > 0 {
		s = emitter.Bounded(s, limit)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == 0x2028 || r == 0x2029:
			return ' '
		case unicode.IsControl(r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.TrimSpace(s))
}

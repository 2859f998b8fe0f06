package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// rules say which characters of a text a format cannot hold.
type rules struct {
	lines bool   // line ends stay
	tab   bool   // so do TABs
	exact bool   // and all others
	under string // these become an underscore
}

// shown returns what a reader of the format gets of s.
func (r rules) shown(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case r.exact, r.lines && (c == '\n' || c == '\r'), r.tab && c == '\t':
			return c
		case c == '\n' || c == '\r' || c == '\t' || c == 0x2028 || c == 0x2029:
			return ' '
		case unicode.IsControl(c):
			return unicode.ReplacementChar
		case strings.ContainsRune(r.under, c):
			return '_'
		}
		return c
	}, s)
}

// value returns what a reader gets of f, "" for nothing.
func (r rules) value(f *field, e *emitter.Event, limit int) string {
	cut := func(s string) string {
		if !r.exact {
			s = strings.TrimSpace(s)
		}
		if limit > 0 {
			s = emitter.Bounded(s, limit)
		}
		return r.shown(s)
	}
	switch f.kind {
	case kindText, kindAddr:
		return cut(emitter.Bounded(f.text(e), f.max))
	case kindList:
		return r.list(f, e, limit)
	case kindLabels:
		return r.labels(e)
	case kindBool:
		if _, ok := f.number(e); ok {
			return "true"
		}
	case kindNumber:
		if v, ok := f.number(e); ok {
			return strconv.FormatInt(v, 10)
		}
	case kindTime:
		return strconv.FormatInt(e.LoggedAt.UnixMilli(), 10)
	case kindJSON:
		return emitter.Bounded(string(f.raw(e)), emitter.MaxData)
	}
	return ""
}

func (r rules) item(s string, limit int) string {
	r.exact = false
	return strings.ReplaceAll(r.shown(strings.TrimSpace(emitter.Bounded(s, limit))), ",", ";")
}

func (r rules) list(f *field, e *emitter.Event, limit int) string {
	var items []string
	size := 0
	for i := range f.items {
		s, ok := f.item(e, i)
		if !ok {
			break
		}
		if size += len(strings.TrimSpace(emitter.Bounded(s, f.max))) + 1; limit > 0 && size > limit-3 {
			return strings.Join(items, ",") + "…"
		}
		items = append(items, r.item(s, f.max))
	}
	return strings.Join(items, ",")
}

func (r rules) labels(e *emitter.Event) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(e.Observer.Labels)) {
		if len(all) < 16 {
			all = append(all, r.item(k, 64)+"="+r.item(e.Observer.Labels[k], 256))
		}
	}
	return strings.Join(all, ",")
}

// wantPairs returns the pairs of CEF or LEEF that e has.
func wantPairs(e *emitter.Event, r rules, keyOf func(*field) key) map[string]string {
	want := make(map[string]string)
	for i := range fields {
		f := &fields[i]
		k := keyOf(f)
		v := r.value(f, e, map[bool]int{true: k.max}[f.kind != kindNumber])
		if v == "" || k.name == "" {
			continue
		}
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && f.kind == kindNumber && k.max > 0 {
			v = strconv.FormatInt(min(max(n, int64(k.min)), int64(k.max)), 10)
		}
		name, label := k.name, k.label
		if f.kind == kindAddr {
			addr, err := netip.ParseAddr(v)
			switch {
			case err != nil || addr.Zone() != "":
				name = k.host
			case addr.Is6() && k.v6 != "":
				name, label = k.v6, map[string]string{"c6a2": "Source IPv6 Address", "c6a3": "Destination IPv6 Address"}[k.v6]
			}
		}
		want[name] = v
		if label != "" {
			want[name+"Label"] = label
		}
	}
	return want
}

// compare checks what was read against what the event has. Of a record that was cut
// it has to be a part, with the digest of the whole.
func compare(want, got map[string]string, mark, digest string) error {
	if digest == "" {
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("-want +got\n%s", diff)
		}
		return nil
	}
	if got[mark] != digest {
		return fmt.Errorf("%s is %q, not %q", mark, got[mark], digest)
	}
	for k, v := range got {
		part, cut := strings.CutSuffix(v, "…")
		if begins := cut && strings.HasPrefix(want[k], part); k != mark && k != mark+"Label" && v != want[k] && !begins {
			return fmt.Errorf("%s is %q, the event has %q", k, v, want[k])
		}
	}
	return nil
}

// check renders e in every way that opt allows and reads it again.
func check(t *testing.T, e *emitter.Event, name Name, h Header, limit int) {
	t.Helper()
	format, err := New(Options{Format: name, Header: h, MaxSize: limit, BOM: limit%2 == 1})
	if err != nil {
		t.Fatal(err)
	}
	line := format([]byte("kept"), e)
	if !bytes.HasPrefix(line, []byte("kept")) {
		t.Fatalf("%s: what was in the buffer is gone", name)
	}
	line = line[4:]
	if limit > 0 && len(line) > limit {
		t.Errorf("%s %s: %d bytes, at most %d\n%s", name, h, len(line), limit, line)
	}
	if err := oneLine(line, name == NameLEEF1); err != nil {
		t.Errorf("%s %s: %v: %q", name, h, err, line)
	}
	if err := read(e, name, h, limit, string(line)); err != nil {
		t.Errorf("%s %s %d: %v\n%s", name, h, limit, err, line)
	}
}

func read(e *emitter.Event, name Name, h Header, limit int, line string) error {
	digest := ""
	if whole, err := New(Options{Format: name, BOM: limit%2 == 1}); err == nil && limit > 0 && name != NameRFC5424 {
		digest = digestOf(whole(nil, e))
	}
	switch {
	case name == NameRFC5424:
		return readSentence(e, limit, line)
	case h == HeaderRFC5424:
		m, err := parse5424(line)
		if err == nil && m.sdid != "" {
			err = compare(wantParams(e, func(f *field) bool { return f.brief }), m.params, "", "")
		}
		if err != nil {
			return err
		}
		line = m.msg
	case h == HeaderRFC3164:
		at := header3164.FindString(line)
		line = line[len(at):]
		if name != NameCEF && name != NameLEEF && name != NameLEEF1 {
			tag := tag3164.FindString(line)
			line = line[len(tag):]
			if tag == "" {
				return fmt.Errorf("no tag")
			}
		}
		if at == "" {
			return fmt.Errorf("no header")
		}
	}
	if whole, _ := New(Options{Format: name}); string(whole(nil, e)) == line {
		digest = ""
	}
	return readBody(e, name, line, digest)
}

func readBody(e *emitter.Event, name Name, line, digest string) error {
	switch name {
	case NameCEF:
		return readCEF(e, line, digest)
	case NameLEEF, NameLEEF1:
		return readLEEF(e, name, line, digest)
	case NameFlat:
		got, err := parseFlat(line)
		if err != nil {
			return err
		}
		want := make(map[string]string)
		for i := range fields {
			f := &fields[i]
			v := rules{exact: true, lines: true, tab: true}.value(f, e, 0)
			if f.kind == kindTime {
				v = e.LoggedAt.UTC().Format("2006-01-02T15:04:05.000000Z")
			}
			if v != "" && f.flat != "" {
				want[f.flat] = v
			}
		}
		return compare(want, got, "truncated", digest)
	case NameJSON:
		return readJSON(e, line, digest)
	default:
		return nil // compact is for people
	}
}

func readCEF(e *emitter.Event, line, digest string) error {
	l, err := parseCEF(line)
	if err != nil {
		return err
	}
	k := kindOf(e)
	version := strings.TrimSpace(emitter.Bounded(e.Observer.Version, 31))
	if version == "" {
		version = "unknown"
	}
	head := []string{"vmcp-audit", "vmcp-audit", rules{}.shown(version), string(k.Type), k.Name, strconv.Itoa(min(max(e.Severity, 0), 10))}
	if diff := cmp.Diff(head, l.header); diff != "" {
		return fmt.Errorf("header: -want +got\n%s", diff)
	}
	want := wantPairs(e, rules{lines: true}, func(f *field) key { return f.cef })
	want["rt"] = strconv.FormatInt(max(e.LoggedAt.UnixMilli(), 0), 10)
	return compare(want, l.pairs, "flexString2", digest)
}

func readLEEF(e *emitter.Event, name Name, line, digest string) error {
	header, got, err := parseLEEF(line)
	if err != nil {
		return err
	}
	if len(header) != 4 || header[0] != "vmcp-audit" || header[3] != string(kindOf(e).Type) {
		return fmt.Errorf("header %q", header)
	}
	under := "|"
	if name == NameLEEF {
		under = "|^"
	}
	want := wantPairs(e, rules{under: under}, func(f *field) key { return f.leef })
	want["devTime"] = got["devTime"]
	if ms, err := strconv.ParseInt(got["devTime"], 10, 64); err != nil || len(got["devTime"]) != 13 || ms != e.LoggedAt.UnixMilli() && e.LoggedAt.Year() > 2001 && e.LoggedAt.Year() < 2286 {
		return fmt.Errorf("devTime %s", got["devTime"])
	}
	return compare(want, got, "truncated", digest)
}

func wantParams(e *emitter.Event, in func(*field) bool) map[string]string {
	want := make(map[string]string)
	for i := range fields {
		if f := &fields[i]; f.sd != "" && in(f) {
			if v := (rules{}).value(f, e, 0); v != "" {
				want[f.sd] = v
			}
		}
	}
	return want
}

func readSentence(e *emitter.Event, limit int, line string) error {
	m, err := parse5424(line)
	if err != nil {
		return err
	}
	digest := ""
	if whole, err := New(Options{Format: NameRFC5424, BOM: limit%2 == 1}); err != nil {
		return err
	} else if text := whole(nil, e); string(text) != line {
		digest = digestOf(text)
	}
	if strings.HasPrefix(m.msg, "\xEF\xBB\xBF") != (limit%2 == 1) {
		return fmt.Errorf("byte order mark: %.10q", m.msg)
	}
	if name := kindOf(e).Name + ": "; !strings.HasPrefix(strings.TrimPrefix(m.msg, "\xEF\xBB\xBF"), name) || strings.Count(m.msg, `"`)%2 != 0 && digest == "" {
		return fmt.Errorf("sentence %q", m.msg)
	}
	return compare(wantParams(e, func(*field) bool { return true }), m.params, "truncated", digest)
}

func readJSON(e *emitter.Event, line, digest string) error {
	if digest == "" {
		if want := emitter.AppendStored(nil, e); string(want) != line {
			return fmt.Errorf("want %s", want)
		}
		return nil
	}
	var mark struct {
		Truncated struct {
			Digest  string
			Without []string
		}
	}
	if err := json.Unmarshal([]byte(line), &mark); err != nil || mark.Truncated.Digest != digest || len(mark.Truncated.Without) == 0 {
		return fmt.Errorf("marked %v, want %s: %w", mark, digest, err)
	}
	if _, _, ok := emitter.SplitIntegrity([]byte(line)); ok {
		return errors.New("it passes for a line whose hash can be checked")
	}
	got, err := emitter.Decode([]byte(line))
	if err != nil {
		return err
	}
	if string(got.Outcome) != emitter.Bounded(string(e.Outcome), 16) && got.Outcome != emitter.OutcomeError || got.Severity > 10 && got.Severity != e.Severity || !got.LoggedAt.Equal(e.LoggedAt.Truncate(1000)) {
		return fmt.Errorf("outcome %s, severity %d, time %s", got.Outcome, got.Severity, got.LoggedAt)
	}
	return nil
}

package formats

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The parsers here are written from the standards, take nothing that they do not
// allow, and share nothing with the code under test.

// cefLine is a line of CEF.
type cefLine struct {
	header []string // from the vendor to the severity
	pairs  map[string]string
}

func parseCEF(line string) (l cefLine, err error) {
	rest, ok := strings.CutPrefix(line, "CEF:0|")
	if !ok {
		return l, errors.New("no CEF:0")
	}
	var field strings.Builder
	for len(l.header) < 6 {
		if rest == "" {
			return l, errors.New("header ends early")
		}
		switch c := rest[0]; {
		case c == '\\' && len(rest) > 1 && (rest[1] == '\\' || rest[1] == '|'):
			field.WriteByte(rest[1])
			rest = rest[2:]
		case c == '\\':
			return l, errors.New("another escape in the header")
		case c == '|':
			l.header = append(l.header, field.String())
			field.Reset()
			rest = rest[1:]
		default:
			field.WriteByte(c)
			rest = rest[1:]
		}
	}
	l.pairs, err = parsePairs(rest)
	return l, err
}

var cefKey = regexp.MustCompile(`(?:^| )([A-Za-z0-9]+)$`)

// parsePairs reads the extension of CEF: every = without a backslash ends a key.
func parsePairs(s string) (map[string]string, error) {
	pairs := make(map[string]string)
	var text strings.Builder
	key := ""
	put := func(value string) error {
		switch _, twice := pairs[key]; {
		case key == "" && value == "":
			return nil
		case key == "" || twice || value == "" || value != strings.TrimSpace(value):
			return fmt.Errorf("pair %q=%q", key, value)
		}
		pairs[key] = value
		return nil
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i++; i == len(s) || !strings.ContainsRune(`\=nr`, rune(s[i])) {
				return nil, errors.New("another escape in a value")
			}
			text.WriteByte(map[byte]byte{'\\': '\\', '=': '=', 'n': '\n', 'r': '\r'}[s[i]])
		case '=':
			m := cefKey.FindStringSubmatch(text.String())
			if m == nil {
				return nil, fmt.Errorf("no key before = in %q", text.String())
			}
			if err := put(strings.TrimSuffix(text.String(), m[0])); err != nil {
				return nil, err
			}
			key = m[1]
			text.Reset()
		default:
			text.WriteByte(c)
		}
	}
	return pairs, put(text.String())
}

// parseLEEF reads LEEF 1.0 or 2.0.
func parseLEEF(line string) (header []string, pairs map[string]string, err error) {
	n, sep := 5, "\t"
	if strings.HasPrefix(line, "LEEF:2.0|") {
		n, sep = 6, "^"
	}
	parts := strings.SplitN(line, "|", n+1)
	if len(parts) != n+1 || strings.Contains(parts[n], "|") || n == 6 && parts[5] != "^" || n == 5 && parts[0] != "LEEF:1.0" {
		return nil, nil, errors.New("header")
	}
	pairs = make(map[string]string)
	for pair := range strings.SplitSeq(parts[n], sep) {
		k, v, ok := strings.Cut(pair, "=")
		if _, twice := pairs[k]; !ok || twice || v == "" || strings.TrimSpace(v) != v || !regexp.MustCompile(`^[A-Za-z0-9]+$`).MatchString(k) {
			return nil, nil, fmt.Errorf("attribute %q", pair)
		}
		pairs[k] = v
	}
	if slices.Contains(parts[:5], "") {
		return nil, nil, errors.New("empty field in the header")
	}
	return parts[1:5], pairs, nil
}

// message is a message of RFC 5424.
type message struct {
	pri, time, host, app, proc, id string
	sdid                           string
	params                         map[string]string
	msg                            string
}

var header5424 = regexp.MustCompile(`^<(0|[1-9][0-9]{0,2})>1 (-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) `)

func parse5424(line string) (m message, err error) {
	h := header5424.FindStringSubmatch(line)
	if h == nil {
		return m, errors.New("header")
	}
	m = message{pri: h[1], time: h[2], host: h[3], app: h[4], proc: h[5], id: h[6], params: map[string]string{}}
	rest := line[len(h[0]):]
	if strings.HasPrefix(rest, "- ") {
		m.msg = rest[2:]
		return m, nil
	}
	id := regexp.MustCompile(`^\[([!#-<>-\\^-~]{1,32})`).FindStringSubmatch(rest)
	if id == nil {
		return m, errors.New("id of the structured data")
	}
	m.sdid, rest = id[1], rest[len(id[0]):]
	for {
		p := regexp.MustCompile(`^ ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"`).FindStringSubmatch(rest)
		if p == nil {
			break
		}
		if _, twice := m.params[p[1]]; twice || p[2] == "" {
			return m, fmt.Errorf("parameter %q", p[0])
		}
		m.params[p[1]] = regexp.MustCompile(`\\(["\\\]])`).ReplaceAllString(p[2], "$1")
		rest = rest[len(p[0]):]
	}
	if !strings.HasPrefix(rest, "] ") {
		return m, fmt.Errorf("structured data ends in %.40q", rest)
	}
	m.msg = rest[2:]
	return m, nil
}

var (
	header3164 = regexp.MustCompile(`^<(0|[1-9][0-9]{0,2})>(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [!-~]{1,255} `)
	tag3164    = regexp.MustCompile(`^[-A-Za-z0-9_./]{1,32}: `)
)

// parseFlat reads an object whose members are no objects or lists.
func parseFlat(line string) (map[string]string, error) {
	dec := json.NewDecoder(strings.NewReader(line))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("no object: %w", err)
	}
	all := make(map[string]string)
	for dec.More() {
		k, _ := dec.Token()
		v, err := dec.Token()
		if _, nested := v.(json.Delim); err != nil || nested {
			return nil, fmt.Errorf("member %v: %w", k, err)
		}
		if _, twice := all[k.(string)]; twice {
			return nil, fmt.Errorf("member %v twice", k)
		}
		all[k.(string)] = fmt.Sprint(v)
	}
	if _, err := dec.Token(); err != nil || dec.InputOffset() != int64(len(line)) {
		return nil, errors.New("something behind the object")
	}
	return all, nil
}

// oneLine says what is wrong with line as a line of text.
func oneLine(line []byte, tabs bool) error {
	if !utf8.Valid(line) {
		return errors.New("no UTF-8")
	}
	for i, r := range string(line) {
		if r < 0x20 && (r != '\t' || !tabs) || r >= 0x7F && r < 0xA0 || r == 0x2028 || r == 0x2029 {
			return fmt.Errorf("control character %U at %d", r, i)
		}
	}
	return nil
}

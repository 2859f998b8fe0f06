package formats

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// timeLayout is RFC 3339 with the six digits that RFC 5424 allows at most.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// Lengths of the header's fields, RFC 5424 section 6.
const (
	maxHostName = 255
	maxAppName  = 48
	maxProcID   = 128
	maxTag      = 32 // RFC 3164 section 5.3
)

// header is a syslog header:
//
//	<134>1 2026-11-22T13:39:50.678166Z gw-prod vmcp-server gw-7c9f mcp_tool_call [vmcp@32473 audit_id="..." ...] BODY
//	<134>Nov 22 13:39:50 gw-prod vmcp-server: BODY
type header struct {
	facility int64
	host     string // "": that of the event
	app      string
	sdid     string
	old      bool // RFC 3164
}

func newHeader(opt Options) *header {
	return &header{
		facility: int64(cmp.Or(opt.Facility, DefaultFacility)),
		host:     opt.Host, app: opt.AppName,
		sdid: cmp.Or(opt.SDID, DefaultSDID),
		old:  opt.Header == HeaderRFC3164,
	}
}

// append appends the header and the space behind it; tag says whether the body
// needs one in RFC 3164.
func (h *header) append(dst []byte, e *emitter.Event, tag bool) []byte {
	if h.old {
		return h.appendOld(dst, e, tag)
	}
	dst = append(append(h.fields(dst, e, maxProcID), '['), h.sdid...)
	for i := range fields {
		if f := &fields[i]; f.brief {
			dst = appendParam(dst, e, f, 0)
		}
	}
	return append(dst, "] "...)
}

// least appends the header of RFC 5424 without process id and structured data.
func (h *header) least(dst []byte, e *emitter.Event) []byte {
	return append(h.fields(dst, e, 0), "- "...)
}

// fields appends all before the structured data, with at most so many bytes of the
// process id.
func (h *header) fields(dst []byte, e *emitter.Event, proc int) []byte {
	dst = append(h.priority(dst, e), "1 "...)
	if t := e.LoggedAt.UTC(); t.Year() < 0 || t.Year() > 9999 {
		dst = append(dst, '-') // no such time can be written
	} else {
		dst = t.AppendFormat(dst, timeLayout)
	}
	dst = appendHost(append(dst, ' '), cmp.Or(h.host, e.Observer.Host))
	dst = appendName(append(dst, ' '), cmp.Or(h.app, e.Component), maxAppName)
	dst = appendName(append(dst, ' '), e.Observer.Instance, proc)
	dst = append(append(dst, ' '), kindOf(e).Type...)
	return append(dst, ' ')
}

func (h *header) priority(dst []byte, e *emitter.Event) []byte {
	dst = strconv.AppendInt(append(dst, '<'), 8*h.facility+syslogSeverity(severityOf(e)), 10)
	return append(dst, '>')
}

// syslogSeverity returns the severity of RFC 5424 section 6.2.1 for one of CEF:
// informational, notice, warning, error, critical; never alert or emergency.
func syslogSeverity(severity int64) int64 {
	switch {
	case severity >= 8:
		return 2
	case severity >= 7:
		return 3
	case severity >= 4:
		return 4
	case severity >= 3:
		return 5
	}
	return 6
}

// appendOld appends the header of RFC 3164 section 4.1.
func (h *header) appendOld(dst []byte, e *emitter.Event, tag bool) []byte {
	dst = h.priority(dst, e)
	dst = e.LoggedAt.UTC().AppendFormat(dst, time.Stamp)
	dst = appendOldHost(append(dst, ' '), cmp.Or(h.host, e.Observer.Host))
	dst = append(dst, ' ')
	if tag {
		from := len(dst)
		dst = appendName(dst, cmp.Or(h.app, e.Component), maxTag)
		for i, c := range dst[from:] { // a colon or bracket would end the tag
			if !isAlnum(c) && c != '-' && c != '_' && c != '.' && c != '/' {
				dst[from+i] = '_'
			}
		}
		dst = append(dst, ": "...)
	}
	return dst
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// appendHost appends a host name or an address: in place of anything that is in
// neither, an underscore. syslog-ng 3.38 refuses a message whose HOSTNAME has a [,
// or a colon without being an IPv6 address.
func appendHost(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	v6 := parseAddr(s).Is6()
	for i := range min(len(s), maxHostName) {
		c := s[i]
		if !isAlnum(c) && c != '.' && c != '-' && c != '_' && (c != ':' || !v6) {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendOldHost appends a host name as the readers of RFC 3164 take one: rsyslog
// 8.2302 takes what does not end in a letter or digit for the tag, and any receiver
// what stands before a colon; so an address of IPv6 is written with dashes.
func appendOldHost(dst []byte, s string) []byte {
	from := len(dst)
	dst = appendHost(dst, s)
	for i, c := range dst[from:] {
		if c == ':' {
			dst[from+i] = '-'
		}
	}
	for len(dst) > from && !isAlnum(dst[len(dst)-1]) {
		dst = dst[:len(dst)-1]
	}
	if len(dst) == from {
		return append(dst, "unknown"...)
	}
	return dst
}

// appendName appends s as a field of the header: printable ASCII without spaces, in
// place of anything else an underscore, at most limit bytes; "-" for none. A pipe
// is replaced, too: some readers of CEF and LEEF take the first CEF:0| in a line.
func appendName(dst []byte, s string, limit int) []byte {
	if s == "" || limit == 0 {
		return append(dst, '-')
	}
	for i := range min(len(s), limit) {
		c := s[i]
		if c <= ' ' || c >= 0x7F || c == '|' {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// sdText is the text of a parameter's value, sdItem that of an item in a list.
// RFC 5424 section 6.3.3: a backslash stands before ", \ and ], before nothing
// else.
var (
	sdText = newSyntax(`"`, `\"`, `\`, `\\`, "]", `\]`)
	sdItem = sdText.with(",", ";")
)

// appendParam appends a space and one parameter of the structured data, of a text
// at most what takes room bytes; 0: no limit.
func appendParam(dst []byte, e *emitter.Event, f *field, room int) []byte {
	from := len(dst)
	dst = append(append(append(dst, ' '), f.sd...), `="`...)
	begin := len(dst)
	switch f.kind {
	case kindText, kindAddr:
		if room > 0 {
			dst = sdText.appendWithin(dst, f.value(e, 0), room)
		} else {
			dst = sdText.append(dst, f.value(e, 0))
		}
	case kindList:
		dst = f.appendItems(dst, e, sdItem, 0)
	case kindBool:
		if _, ok := f.number(e); ok {
			dst = append(dst, "true"...)
		}
	case kindNumber:
		if v, ok := f.number(e); ok {
			dst = strconv.AppendInt(dst, v, 10)
		}
	case kindTime, kindJSON, kindLabels: // in no structured data
	}
	if len(dst) == begin {
		return dst[:from]
	}
	return append(dst, '"')
}

// isSDID reports whether s is name@number, of at most 32 bytes (RFC 5424 section
// 6.3.2). Names without a number are those that IANA has registered.
func isSDID(s string) bool {
	name, number, ok := strings.Cut(s, "@")
	if !ok || name == "" || number == "" || len(s) > 32 {
		return false
	}
	for i := range len(number) {
		if (number[i] < '0' || number[i] > '9') && (number[i] != '.' || i == 0 || i == len(number)-1) {
			return false
		}
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7F || r == '=' || r == ']' || r == '"'
	}) < 0
}

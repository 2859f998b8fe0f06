package formats

import (
	"fmt"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Name is a format's name, in settings and on the command line.
type Name string

// The formats.
const (
	NameJSON    Name = "json"    // the canonical line, as it is stored
	NameFlat    Name = "flat"    // JSON without nested members
	NameCEF     Name = "cef"     // ArcSight Common Event Format, version 0
	NameLEEF    Name = "leef"    // QRadar Log Event Extended Format 2.0, with ^ between its attributes
	NameLEEF1   Name = "leef1"   // LEEF 1.0, with a TAB
	NameRFC5424 Name = "rfc5424" // a sentence, and the fields as structured data
	NameCompact Name = "compact" // a short line for people
)

// Names returns the formats in the order of the documents.
func Names() []Name {
	return []Name{NameJSON, NameFlat, NameCEF, NameLEEF, NameLEEF1, NameRFC5424, NameCompact}
}

// Header is the syslog header around a format.
type Header string

// The headers. Times in both are UTC.
const (
	HeaderNone    Header = "none"
	HeaderRFC5424 Header = "rfc5424"
	HeaderRFC3164 Header = "rfc3164" // has neither year nor time zone: the receiver has to take it for UTC
)

// Headers returns the headers in the order of the documents.
func Headers() []Header { return []Header{HeaderNone, HeaderRFC5424, HeaderRFC3164} }

const (
	// MinSize is the least Options.MaxSize, in bytes: what every record keeps fits
	// in it with every header.
	MinSize = 1024
	// DefaultFacility is local0 of RFC 5424 section 6.2.1.
	DefaultFacility = 16
	// DefaultSDID has the enterprise number that RFC 5612 reserves for documents:
	// who has one sets SDID.
	DefaultSDID = "vmcp@32473"
)

// Options of a rendering; the zero value of everything but Format is a working
// default.
type Options struct {
	// Format is what is rendered. It has to be set.
	Format Name
	// Header is the syslog header around it; empty: none, but that of RFC 5424
	// where the format is rfc5424.
	Header Header
	// MaxSize is the most bytes of a record with its header, a hard limit: what is
	// longer is cut to a record that is valid and says so. 0: no limit; else at
	// least MinSize. Compact takes none.
	MaxSize int
	// Facility of the header, 1 to 23; 0: DefaultFacility, as facility 0 is the
	// kernel's.
	Facility int
	// Host in the header; empty: observer.host of the event.
	Host string
	// AppName in the header; empty: the component of the event.
	AppName string
	// SDID is the SD-ID of the structured data, name@number; empty: DefaultSDID.
	SDID string
	// BOM puts a byte order mark before the sentence of rfc5424, as RFC 5424 section
	// 6.4 wants it for UTF-8. rsyslog and Fluent Bit take it for a part of the text.
	// Before JSON, CEF and LEEF it never stands: their readers would not find their
	// beginning.
	BOM bool
}

// New returns the format that opt describes. An error names the option that is
// wrong. The format is pure and safe for concurrent use, its times are UTC, and it
// renders any event as one line of valid UTF-8. Into a buffer with room it
// allocates nothing, unless texts of the event break their bounds, or it has
// labels or data, or has to be cut.
func New(opt Options) (emitter.Format, error) {
	if err := opt.check(); err != nil {
		return nil, fmt.Errorf("format %s: %w", opt.Format, err)
	}
	if opt.Format == NameJSON && opt.Header == HeaderNone && opt.MaxSize == 0 {
		return JSON, nil
	}
	if opt.Format == NameRFC5424 {
		return newSentence(opt).append, nil
	}
	r := &record{body: bodies[opt.Format], limit: opt.MaxSize}
	if opt.Header != HeaderNone {
		r.header = newHeader(opt)
	}
	return r.append, nil
}

func (opt *Options) check() error {
	switch {
	case !slices.Contains(Names(), opt.Format):
		return fmt.Errorf("is none of %v", Names())
	case opt.Header != "" && !slices.Contains(Headers(), opt.Header):
		return fmt.Errorf("header %q is none of %v", opt.Header, Headers())
	case opt.Format == NameRFC5424 && opt.Header != "" && opt.Header != HeaderRFC5424:
		return fmt.Errorf("its header is that of RFC 5424, not %s", opt.Header)
	case opt.MaxSize != 0 && opt.Format == NameCompact:
		return fmt.Errorf("it takes no largest size")
	case opt.MaxSize != 0 && opt.MaxSize < MinSize:
		return fmt.Errorf("largest size %d is below %d", opt.MaxSize, MinSize)
	case opt.Facility < 0 || opt.Facility > 23:
		return fmt.Errorf("facility %d is not one of 1 to 23", opt.Facility)
	case opt.SDID != "" && !isSDID(opt.SDID):
		return fmt.Errorf("structured data id %q is not name@number", opt.SDID)
	}
	switch {
	case opt.Format == NameRFC5424:
		opt.Header = HeaderRFC5424
	case opt.Header == "":
		opt.Header = HeaderNone
	}
	return nil
}

// body renders an event without a header. Both functions render the same; within
// appends at most limit bytes, of which some name digest, that of the whole.
type body struct {
	whole  emitter.Format
	within func(dst []byte, e *emitter.Event, limit int, digest string) []byte
	tagged bool // where the header of RFC 3164 needs no tag before it
}

var bodies = map[Name]body{
	NameJSON:    {whole: JSON, within: cutJSON},
	NameFlat:    {whole: flat, within: cutFlat},
	NameCEF:     {whole: cef.whole, within: cef.within, tagged: true},
	NameLEEF:    {whole: leef2.whole, within: leef2.within, tagged: true},
	NameLEEF1:   {whole: leef1.whole, within: leef1.within, tagged: true},
	NameCompact: {whole: Compact},
}

// record is a body with its header and its limit.
type record struct {
	body   body
	header *header // nil: none
	limit  int     // 0: none
}

func (r *record) append(dst []byte, e *emitter.Event) []byte {
	from := len(dst)
	if r.header != nil {
		dst = r.header.append(dst, e, !r.body.tagged)
	}
	at := len(dst)
	dst = r.body.whole(dst, e)
	if r.limit == 0 || len(dst)-from <= r.limit {
		return dst
	}
	digest := digestOf(dst[at:])
	if r.header != nil && !r.header.old { // what only repeats the body goes first
		at = len(r.header.least(dst[:from], e))
		if dst = r.body.whole(dst[:at], e); len(dst)-from <= r.limit {
			return dst
		}
	}
	return r.body.within(dst[:at], e, r.limit-(at-from), digest)
}

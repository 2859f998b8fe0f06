package redact

import "strings"

// URI removes secrets from a resource URI or endpoint URL: user and password,
// values of secret parameters in query, fragment and path, the payload of a
// data: URI, and all that [Text] removes. It works on the text, so it also
// takes what net/url refuses: opaque URIs, stray percent signs, ';' between
// parameters, percent-encoded names, a password with a slash.
func URI(s string) (string, []Rule) {
	return settle(s, true)
}

// start redacts what only the start of a URI can be, and returns where to go
// on.
func (sc *scanner) start() int {
	if strings.HasPrefix(sc.s, "//") {
		return sc.userInfo(2, false)
	}
	return sc.opaque()
}

// opaqueSchemes are followed by something with an @ that is no host.
var opaqueSchemes = setOf(`mailto sip sips acct xmpp im pres urn tag cid mid news npm jsr pkg oci docker git
	data file http https ws wss`)

// opaque redacts user:password@ at the start of a URI without slashes, and
// returns where to go on.
func (sc *scanner) opaque() int {
	end := strings.IndexAny(sc.s, `/?#\`)
	if end < 0 {
		end = len(sc.s)
	}
	at := strings.LastIndexByte(sc.s[:end], '@')
	colon := strings.IndexByte(sc.s[:end], ':')
	if colon < 0 || at <= colon+1 || opaqueSchemes.hasWord(sc.s[:colon]) || markerAt(sc.s) == at {
		return 0
	}
	return sc.redact(0, at, UserInfo)
}

// authority looks at a colon that may be followed by two slashes. It redacts
// the user information after them and returns where to go on, 0 if there are
// no slashes.
func (sc *scanner) authority(p sep) int {
	i := p.end()
	for range 2 {
		if i < len(sc.s) && sc.s[i] == '\\' { // JSON in text: http:\/\/
			i++
		}
		if i == len(sc.s) {
			return 0
		}
		c, n := sc.peek(i, p.encoded)
		if c != '/' {
			return 0
		}
		i += n
	}
	if !p.encoded && p.at >= sc.urlEnd {
		sc.urlEnd = sc.uriEnd(p.at)
	}
	return sc.userInfo(i, p.encoded)
}

// userInfo redacts what stands before the last @ of the authority that begins
// at s[start], and returns where to go on.
func (sc *scanner) userInfo(start int, encoded bool) int {
	at, colon := -1, -1
	i := start
	for i < len(sc.s) {
		c, n := sc.peek(i, encoded)
		if strings.IndexByte(`/?#\`, c) >= 0 || sc.endsURI(c) {
			break
		}
		if c == '@' {
			at = i
		}
		if c == ':' && colon < 0 {
			colon = i + n
		}
		i += n
	}
	if at < 0 && colon > 0 && sc.s[start] != '[' && !isPort(sc.s[colon:i]) {
		at = sc.farAt(i, encoded)
	}
	if at <= start || markerAt(sc.s[start:]) == at-start {
		return start
	}
	return sc.redact(start, at, UserInfo)
}

// farAt returns the index of an @ soon after s[i], -1 if there is none. A
// password may hold a slash; what follows the colon was no port number.
func (sc *scanner) farAt(i int, encoded bool) int {
	const most = 128 // bytes
	at := -1
	for end := min(len(sc.s), i+most); i < end; {
		c, n := sc.peek(i, encoded)
		if sc.endsURI(c) {
			break
		}
		if c == '@' {
			at = i
		}
		i += n
	}
	return at
}

func isPort(s string) bool { return len(s) <= 5 && run(s, 0, clDigit, 5) == len(s) }

// endsURI reports whether c ends a URI in running text.
func (sc *scanner) endsURI(c byte) bool {
	return !sc.whole && (is(c, clSpace) || c == '"' || c == '`' || c == '<' || c == '>')
}

// uriEnd returns the end of the URI that s[i] is part of.
func (sc *scanner) uriEnd(i int) int {
	for i < len(sc.s) && !sc.endsURI(sc.s[i]) {
		i++
	}
	return i
}

// data looks at a colon that may follow "data". It redacts the payload of the
// data: URI and returns where to go on, 0 if it is none.
func (sc *scanner) data(p sep) int {
	const scheme = "data"
	start := p.at - len(scheme)
	if p.encoded || start < sc.last || !hasFold(sc.s[start:], scheme) || !sc.edge(start) {
		return 0
	}
	head := p.end()
	comma := head
	for comma < len(sc.s) && sc.s[comma] != ',' && comma-head < 128 && !is(sc.s[comma], clSpace) {
		comma++
	}
	if comma == len(sc.s) || sc.s[comma] != ',' {
		if sc.whole && start == 0 {
			return sc.dropData(head, head)
		}
		return 0
	}
	media := mediaType(sc.s[head:comma])
	alone := sc.whole && start == 0
	if media == 0 && !alone && !containsFold(sc.s[head:comma], ";base64") {
		return 0
	}
	return sc.dropData(head+media, comma+1)
}

// dropData replaces a payload at s[from:], and what stands between it and the
// end of the media type, by a comma and a marker.
func (sc *scanner) dropData(media, from int) int {
	end := from
	for end < len(sc.s) && !sc.endsURI(sc.s[end]) && (sc.whole || sc.s[end] != ')' && sc.s[end] != '\'') {
		end++
	}
	if from == media+1 && markerAt(sc.s[from:end]) == end-from || end == from {
		return end
	}
	// The comma of the result stands for s[media:from].
	sc.out = append(sc.out, sc.s[sc.last:media]...)
	sc.out = append(sc.out, ',')
	sc.last = media
	return sc.redact(media, end, DataURI)
}

// mediaType returns the length of the media type at the start of s, 0 if
// there is none that may stay.
func mediaType(s string) int {
	const most = 80 // bytes
	end := strings.IndexByte(s, ';')
	if end < 0 {
		end = len(s)
	}
	slash := strings.IndexByte(s[:end], '/')
	if slash < 1 || slash == end-1 || end > most {
		return 0
	}
	for i := range end {
		if c := s[i]; i != slash && c != '+' && !is(c, clDotted) {
			return 0
		}
	}
	if _, fired := Text(s[:end]); fired != nil {
		return 0
	}
	return end
}

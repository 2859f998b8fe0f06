package middleware

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware/internal/jsonscan"
)

// The values of a request that are wanted.
const (
	qRoot = iota
	qID
	qMethod
	qResult
	qError
	qParams
	qName
	qURI
	qTaskID
	qRequestID
	qLevel
	qVersion
	qClient
	qClientName
	qClientVersion
	qRef
	qRefName
	qRefURI
	qMeta
	qMetaVersion
	qMetaClient
	qMetaClientName
	qMetaClientVersion
	qMetaTrace
	qFields
)

const (
	maxName = 4 << 10 // bytes kept of a name, before it is redacted and cut
	maxID   = 256     // bytes kept of a JSON-RPC id
	metaKey = "io.modelcontextprotocol/"
)

func member(key string, field, limit int, members ...*jsonscan.Node) *jsonscan.Node {
	return &jsonscan.Node{Key: key, Field: field, Max: limit, Members: members}
}

var requestShape = member("", qRoot, 0,
	member("id", qID, maxID+1),
	member("method", qMethod, 256),
	member("result", qResult, 0),
	member("error", qError, 0),
	member("params", qParams, 0,
		member("name", qName, maxName),
		member("uri", qURI, maxName),
		member("taskId", qTaskID, 512),
		member("requestId", qRequestID, maxID+1),
		member("level", qLevel, 32),
		member("protocolVersion", qVersion, 64),
		member("clientInfo", qClient, 0,
			member("name", qClientName, 512),
			member("version", qClientVersion, 256)),
		member("ref", qRef, 0,
			member("name", qRefName, maxName),
			member("uri", qRefURI, maxName)),
		member("_meta", qMeta, 0,
			member(metaKey+"protocolVersion", qMetaVersion, 64),
			member(metaKey+"clientInfo", qMetaClient, 0,
				member("name", qMetaClientName, 512),
				member("version", qMetaClientVersion, 256)),
			member("traceparent", qMetaTrace, 64))))

// message is what a request's body says so far. It is read as Go's
// encoding/json would, since that is how the handler reads it.
type message struct {
	scan *jsonscan.Scanner
}

func newMessage() message {
	return message{scan: jsonscan.New(requestShape, qFields, jsonscan.Struct)}
}

func (m message) kind(field int) jsonscan.Kind { return m.scan.Value(field).Kind }
func (m message) text(field int) string        { return m.scan.Value(field).Text() }

// id returns the id as JSON text, "" for none and for one that is neither a
// string nor a number.
func (m message) id() string { return idText(m.scan.Value(qID)) }

// idKey returns what answers to the message are recognised by.
func (m message) idKey() string { return idKey(m.scan.Value(qID)) }

func idText(v *jsonscan.Value) string {
	switch v.Kind {
	case jsonscan.String:
		return `"` + string(v.Raw()) + `"`
	case jsonscan.Number:
		return string(v.Raw())
	default:
		return ""
	}
}

// idKey makes ids comparable that are written differently: a server may send
// back 1 for 1.0, and a string with other escapes.
func idKey(v *jsonscan.Value) string {
	switch {
	case v.Kind == jsonscan.String:
		return `"` + v.Text()
	case v.Kind != jsonscan.Number:
		return ""
	}
	text := string(v.Raw())
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	return floatID(text)
}

// sameID reports whether a response with the id key got answers a request with
// the id key sent. A server in JavaScript rounds what is beyond 2^53.
func sameID(got, sent string) bool {
	if got == sent {
		return true
	}
	return got != "" && sent != "" && got[0] != '"' && sent[0] != '"' && floatID(got) == floatID(sent)
}

func floatID(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func (m message) method() string { return m.text(qMethod) }
func (m message) batch() bool    { return m.kind(qRoot) == jsonscan.Array }

// object reports whether the message is an object, as far as it was read: a
// server in another language may take what encoding/json refuses.
func (m message) object() bool { return m.kind(qRoot) == jsonscan.Object }

// response reports whether the message is a client's answer to a request of
// the server.
func (m message) response() bool {
	return m.object() && m.method() == "" && (m.kind(qResult) != jsonscan.None || m.kind(qError) != jsonscan.None)
}

// notification reports whether the method asks for no answer.
func (m message) notification() bool { return strings.HasPrefix(m.method(), "notifications/") }

// wantsResponse reports whether the message is a request with a usable id.
func (m message) wantsResponse() bool {
	return m.object() && m.method() != "" && m.id() != ""
}

// version returns the revision that the message itself names, "" for none.
func (m message) version() string { return m.text(qMetaVersion) }

// revision returns the one that counts: the message's, else the header's.
func (m message) revision(header string) string { return cmp.Or(m.version(), header) }

const firstModern = "2026-07-28"

// modern reports whether version is a stateless revision of the protocol.
func modern(version string) bool { return version >= firstModern }

// anomalies notes what was odd about the message in e.
func (m message) anomalies(e *emitter.Event) {
	if m.batch() {
		addAnomaly(e, emitter.AnomalyBatch)
		return
	}
	if m.scan.Duplicate() {
		addAnomaly(e, emitter.AnomalyDuplicateKey)
	}
	if m.scan.Folded() {
		addAnomaly(e, emitter.AnomalyKeyCase)
	}
	if m.scan.Done() && m.object() && m.method() != "" && m.id() == "" && (!m.notification() || m.kind(qID) != jsonscan.None) {
		addAnomaly(e, emitter.AnomalyNoID)
	}
}

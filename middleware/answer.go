package middleware

import (
	"mime"
	"net/http"
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware/internal/jsonscan"
	"github.com/vmcp-audit/vmcp-audit/middleware/internal/sse"
)

// The values of an answer that are wanted.
const (
	aRoot = iota
	aID
	aMethod
	aError
	aCode
	aMessage
	aResult
	aIsError
	aResultType
	aTask
	aVersion
	aFields
)

var answerShape = member("", aRoot, 0,
	member("id", aID, maxID+1),
	member("method", aMethod, 0),
	member("error", aError, 0,
		member("code", aCode, 32),
		member("message", aMessage, maxName)),
	member("result", aResult, 0,
		member("isError", aIsError, 0),
		member("resultType", aResultType, 32),
		member("task", aTask, 0),
		member("protocolVersion", aVersion, 64)))

// reply is what one JSON-RPC response says.
type reply struct {
	id         string // as idKey
	isError    bool   // has an error member
	code       emitter.Int
	message    string
	messageCut bool
	toolError  bool
	resultType string
	task       bool
	version    string
	size       int64
	digest     string
	data       []byte
}

// media says how the body of an answer is read.
type media uint8

const (
	mediaNone    media = iota // not looked into
	mediaJSON                 // one JSON text
	mediaSSE                  // server-sent events
	mediaText                 // plain text, whose beginning may explain an error
	mediaEncoded              // compressed
)

func mediaOf(h http.Header) media {
	if encoded(h) {
		return mediaEncoded
	}
	ct := h.Get("Content-Type")
	if ct == "" {
		return mediaJSON
	}
	switch t, _, _ := mime.ParseMediaType(ct); t {
	case "application/json":
		return mediaJSON
	case "text/event-stream":
		return mediaSSE
	case "text/plain":
		return mediaText
	}
	return mediaNone
}

// answer reads the body of one HTTP answer as it passes.
type answer struct {
	op     *operation
	media  media
	status int   // 0: none yet
	body   int64 // bytes of the body
	events int64 // messages of a stream
	stream sse.Reader
	scan   *jsonscan.Scanner
	seen   measure // of the message that is passing
	kept   []byte  // its beginning, where data is recorded; or that of a text
	other  bool    // a response to another id passed
	length int64   // bytes that the header announced, 0 for not said
	none   bool    // the client gets no body, whatever the handler writes
}

const keptText = 1 << 10 // bytes kept of a plain text answer

// begin decides how the body will be read.
func (an *answer) begin(status int, h http.Header) {
	an.status = status
	an.none = an.op.httpMethod == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
	if an.none {
		return
	}
	an.length, _ = strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	an.media = mediaOf(h)
	switch an.media {
	case mediaSSE:
		an.stream.Sink = an
	case mediaJSON:
	default:
		return
	}
	an.scan = jsonscan.New(answerShape, aFields, jsonscan.Exact)
	an.op.a.digests.start(&an.seen)
}

// pass reads a piece of the body.
func (an *answer) pass(p []byte) {
	if an.none {
		return
	}
	an.body += int64(len(p))
	switch an.media {
	case mediaJSON:
		an.Data(p)
	case mediaSSE:
		an.stream.Write(p)
	case mediaText:
		an.keep(p, keptText)
	default:
	}
}

// whole reports whether the body has passed to its announced end. A stream of
// events may go on elsewhere, so it never is.
func (an *answer) whole() bool {
	return an.length > 0 && an.body >= an.length && an.media != mediaSSE
}

// Data reads a piece of a message. It implements [sse.Sink].
func (an *answer) Data(p []byte) {
	if an.scan.Done() || an.scan.Failed() {
		return
	}
	if !an.scan.Started() {
		for len(p) > 0 && isSpace(p[0]) {
			p = p[1:]
		}
	}
	p = p[:an.scan.Write(p)]
	an.seen.add(p)
	if an.op.a.opt.ResponseData {
		an.keep(p, dataCapture)
	}
	if an.scan.Done() && an.isResponse() {
		an.op.answered(an.reply())
	}
}

// EndEvent makes ready for the next message. It implements [sse.Sink].
func (an *answer) EndEvent() {
	an.events++
	an.scan.Reset()
	an.op.a.digests.start(&an.seen)
	an.kept = an.kept[:0]
	an.op.streamed()
}

func (an *answer) keep(p []byte, limit int) {
	if room := limit - len(an.kept); room > 0 {
		an.kept = append(an.kept, p[:min(len(p), room)]...)
	}
}

func (an *answer) kind(field int) jsonscan.Kind { return an.scan.Value(field).Kind }

// isResponse reports whether the message that has ended is a JSON-RPC response.
func (an *answer) isResponse() bool {
	if an.kind(aRoot) != jsonscan.Object || an.kind(aMethod) != jsonscan.None {
		return false
	}
	return an.kind(aResult) != jsonscan.None || an.kind(aError) > jsonscan.Null
}

func (an *answer) reply() reply {
	r := reply{
		id:         idKey(an.scan.Value(aID)),
		isError:    an.kind(aError) > jsonscan.Null,
		toolError:  an.kind(aIsError) == jsonscan.True,
		resultType: an.scan.Value(aResultType).Text(),
		task:       an.kind(aTask) == jsonscan.Object,
		version:    an.scan.Value(aVersion).Text(),
		size:       an.seen.size,
		digest:     an.op.a.digests.digest(&an.seen),
	}
	if r.isError {
		r.code = codeOf(an.scan.Value(aCode))
		r.message, r.messageCut = an.scan.Value(aMessage).Text(), an.scan.Value(aMessage).Cut
	}
	if an.op.a.opt.ResponseData {
		r.data = append([]byte(nil), an.kept...)
	}
	return r
}

// codeOf reads an error code. JSON-RPC asks for an integer; some servers send
// 1.0, and what is neither has no code.
func codeOf(v *jsonscan.Value) emitter.Int {
	if v.Kind != jsonscan.Number {
		return emitter.Int{}
	}
	f, err := strconv.ParseFloat(string(v.Raw()), 64)
	if err != nil || f != float64(int64(f)) {
		return emitter.Int{}
	}
	return emitter.Of(int64(f))
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

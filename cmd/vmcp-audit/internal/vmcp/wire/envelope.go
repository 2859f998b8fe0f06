package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Error is a JSON-RPC error that is passed on as it came.
type Error struct {
	Raw Raw // the object with code, message and data
}

// NewError returns an error of the gateway itself. data is nil for none.
func NewError(code int, message string, data Raw) *Error {
	raw := append(strconv.AppendInt([]byte(`{"code":`), int64(code), 10), `,"message":`...)
	raw = append(raw, Quote(message)...)
	if data != nil {
		raw = append(append(raw, `,"data":`...), data...)
	}
	return &Error{Raw: append(raw, '}')}
}

func (e *Error) Error() string { return "JSON-RPC error " + string(Get(e.Raw, "code")) }

// Code returns the error's code, 0 if it has none that fits.
func (e *Error) Code() int {
	n, _ := strconv.Atoi(string(Get(e.Raw, "code")))
	return n
}

const head = `{"jsonrpc":"2.0"`

// AppendRequest writes a request, or a notification if id is nil.
func AppendRequest(dst []byte, id Raw, method string, params Raw) []byte {
	dst = append(dst, head...)
	if id != nil {
		dst = append(append(dst, `,"id":`...), id...)
	}
	dst = append(append(dst, `,"method":`...), Quote(method)...)
	if params != nil {
		dst = append(append(dst, `,"params":`...), params...)
	}
	return append(dst, '}')
}

// AppendResult writes a response. A nil id is written as null, as it is for a
// request that could not be read.
func AppendResult(dst []byte, id, result Raw) []byte {
	return appendResponse(dst, id, `,"result":`, result)
}

// AppendError writes an error response.
func AppendError(dst []byte, id Raw, e *Error) []byte {
	return appendResponse(dst, id, `,"error":`, e.Raw)
}

func appendResponse(dst []byte, id Raw, member string, value Raw) []byte {
	if id == nil {
		id = Raw("null")
	}
	dst = append(append(append(dst, head...), `,"id":`...), id...)
	return append(append(append(dst, member...), value...), '}')
}

// OneLine returns a message without line ends, which a stream of events or of
// lines cannot carry. It changes white space between values only.
func OneLine(message []byte) []byte {
	if !bytes.ContainsAny(message, "\r\n") {
		return message
	}
	var buf bytes.Buffer
	if json.Compact(&buf, message) != nil {
		return bytes.ReplaceAll(bytes.ReplaceAll(message, []byte("\r"), []byte(" ")), []byte("\n"), []byte(" "))
	}
	return buf.Bytes()
}

// IDKey returns what ids are compared by: servers may write the same one in
// another way. It is what the audit compares them by, too: else a cancel could
// mean one call here and another one there.
func IDKey(id Raw) string {
	if len(id) > 0 && id[0] == '"' {
		return `"` + Text(id)
	}
	if n, err := strconv.ParseInt(string(id), 10, 64); err == nil { // a float64 has no room for all of them
		return strconv.FormatInt(n, 10)
	}
	if f, err := strconv.ParseFloat(string(id), 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return string(id)
}

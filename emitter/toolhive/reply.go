package toolhive

import (
	"encoding/json"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// reply is what a recorded answer says of its success, whatever the line concludes.
type reply struct {
	failed     bool        // it is a JSON-RPC error
	code       emitter.Int // of that
	toolFailed bool        // the tool ran, and isError
}

// replyOf reads a recorded answer: a JSON-RPC message or, as a string, an event
// stream that ends in one. Of what was cut, or is neither, it knows nothing.
func replyOf(response json.RawMessage) (r reply) {
	if len(response) == 0 {
		return reply{}
	}
	var stream string
	if json.Unmarshal(response, &stream) == nil {
		for line := range strings.Lines(stream) {
			if data, ok := strings.CutPrefix(line, "data:"); ok {
				response = json.RawMessage(strings.TrimSpace(data))
			}
		}
	}
	var message struct {
		Error *struct {
			Code *int64 `json:"code"`
		} `json:"error"`
		Result struct {
			IsError bool `json:"isError"`
		} `json:"result"`
	}
	if json.Unmarshal(response, &message) != nil {
		return reply{}
	}
	if message.Error == nil {
		return reply{toolFailed: message.Result.IsError}
	}
	r.failed = true
	if code := message.Error.Code; code != nil {
		r.code = emitter.Of(*code)
	}
	return r
}

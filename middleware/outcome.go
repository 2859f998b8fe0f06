package middleware

import (
	"net/http"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// ending is all that decides an outcome.
type ending struct {
	denied    emitter.Reason // an authorizer's, "" for none
	failed    emitter.Reason // the handler's own word on why it could not answer
	status    int            // HTTP status, 0 for none
	session   bool           // the request named a session
	wants     bool           // the request asks for a JSON-RPC response
	opened    bool           // the answer is a stream that has begun
	encoded   bool           // the answer could not be looked into
	cancelled bool
	gone      bool // the client's connection was lost
	modern    bool // a message of a revision in which that is a cancel
	panicked  bool
	aborted   bool // the handler broke off with http.ErrAbortHandler
	method    string
	reply     *reply // the response to this request, nil for none
}

// outcome says how an operation ended, by the first of these that is known: a
// denial, a cancel, the JSON-RPC response, a break, the HTTP status.
func (x *ending) outcome() (emitter.Outcome, emitter.Reason) {
	if x.denied != "" {
		return emitter.OutcomeDenied, x.denied
	}
	switch x.status {
	case http.StatusUnauthorized:
		return emitter.OutcomeDenied, emitter.ReasonUnauthenticated
	case http.StatusForbidden:
		return emitter.OutcomeDenied, emitter.ReasonForbidden
	case http.StatusTooManyRequests:
		return emitter.OutcomeDenied, emitter.ReasonRateLimited
	}
	switch {
	case x.cancelled:
		return emitter.OutcomeFailure, emitter.ReasonCancelled
	case x.reply != nil && x.reply.isError && x.failed != "":
		return emitter.OutcomeError, x.failed // it says more than the code
	case x.reply != nil && x.noSession():
		return emitter.OutcomeFailure, emitter.ReasonSessionNotFound
	case x.reply != nil:
		return x.reply.outcome(x.method)
	case x.lost() && x.modern:
		return emitter.OutcomeFailure, emitter.ReasonCancelled
	case x.lost():
		return emitter.OutcomeFailure, emitter.ReasonDisconnected
	case x.panicked:
		return emitter.OutcomeError, emitter.ReasonPanic
	case x.failed != "":
		return emitter.OutcomeError, x.failed
	case x.aborted:
		return emitter.OutcomeError, emitter.ReasonUpstreamAborted
	}
	return x.byStatus()
}

// noSession reports whether the response says that the session is unknown: the
// status does, with the code for an invalid request or that of the TypeScript SDK.
func (x *ending) noSession() bool {
	code := x.reply.code.Value
	return x.status == http.StatusNotFound && x.session && x.reply.isError && (code == codeInvalidRequest || code == -32001)
}

// lost reports whether the client went before it had its answer. To what asks
// for no JSON-RPC response, the status is the answer.
func (x *ending) lost() bool { return x.gone && (x.wants || x.status == 0) }

// byStatus decides where no response was seen.
func (x *ending) byStatus() (emitter.Outcome, emitter.Reason) {
	switch {
	case x.status >= 500:
		return emitter.OutcomeError, emitter.ReasonHTTPError
	case x.status >= 400:
		return emitter.OutcomeFailure, x.clientError()
	case x.status >= 300 && x.status != http.StatusNotModified:
		return emitter.OutcomeFailure, emitter.ReasonRedirected
	case x.wants && !x.opened && !x.encoded:
		return emitter.OutcomeError, emitter.ReasonNoResponse
	}
	return emitter.OutcomeSuccess, ""
}

func (x *ending) clientError() emitter.Reason {
	switch x.status {
	case http.StatusNotFound:
		if x.session {
			return emitter.ReasonSessionNotFound
		}
		return emitter.ReasonNotFound
	case http.StatusMethodNotAllowed:
		return emitter.ReasonMethodNotAllowed
	case http.StatusNotAcceptable:
		return emitter.ReasonNotAcceptable
	case http.StatusRequestEntityTooLarge:
		return emitter.ReasonTooLarge
	case http.StatusUnsupportedMediaType:
		return emitter.ReasonMediaType
	}
	return emitter.ReasonBadRequest
}

// outcome says what a response means to the request that it answers.
func (r *reply) outcome(method string) (emitter.Outcome, emitter.Reason) {
	switch {
	case r.isError && r.code.Set && r.code.Value == codeInternalError:
		return emitter.OutcomeError, emitter.ReasonInternalError
	case r.isError:
		return emitter.OutcomeFailure, reasonOf(r.code)
	case r.toolError:
		return emitter.OutcomeFailure, emitter.ReasonToolError
	case r.resultType == "input_required":
		return emitter.OutcomePending, emitter.ReasonInputRequired
	case r.resultType == "task", r.task && method == "tools/call":
		return emitter.OutcomePending, emitter.ReasonTaskStarted
	}
	return emitter.OutcomeSuccess, ""
}

const (
	codeInternalError  = -32603
	codeInvalidRequest = -32600
)

func reasonOf(code emitter.Int) emitter.Reason {
	if !code.Set {
		return emitter.ReasonRPCError
	}
	return emitter.ReasonOfCode(code.Value)
}

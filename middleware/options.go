package middleware

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Recorder stores events; [emitter.Emitter] is one. It must be safe for
// concurrent use.
type Recorder interface {
	// Ready reports whether an event can be stored. While it reports an error
	// every request is refused with status 503. It must not block.
	Ready() error
	// Emit stores e, which it takes over. The answer that e is about waits for
	// it; an error is the recorder's to count and to tell, and in strict mode
	// keeps a request whose event `received` this is from running.
	Emit(ctx context.Context, e *emitter.Event) error
}

var _ Recorder = (*emitter.Emitter)(nil)

// Bounds and times of the middleware.
const (
	// PeekLimit is how many bytes of a request's body are read before the
	// handler runs; the rest is scanned as the handler reads it.
	PeekLimit = 1 << 20
	// DefaultMaxData bounds recorded arguments and results, in bytes of JSON.
	DefaultMaxData = 1 << 10
	// ResumeWait is how long an answer that was broken off on a resumable
	// stream may take to arrive on another one.
	ResumeWait = 5 * time.Minute
	// CancelWait is how long after a lost connection a client may still say
	// that it cancels: some close first and send their cancel then.
	CancelWait = 2 * time.Second
	// EmitTimeout bounds the wait for one event to be stored, whatever has become
	// of the request. A recorder that blocks without looking at its context is
	// not bounded by it.
	EmitTimeout = 10 * time.Second
	// DefaultFloodLimit is how many refused requests of a source that proved no
	// identity are recorded one by one in each FloodWindow.
	DefaultFloodLimit = 60
	// FloodWindow is the time that one event stands for when requests are folded.
	FloodWindow = time.Minute

	maxSessions = 10000    // sessions remembered, for their client's name and their length
	maxInFlight = 1024     // requests of one session that can be cancelled or resumed
	dataCapture = 64 << 10 // bytes of a message kept for redaction where data is recorded
)

// Digest says how the digests of messages are made.
type Digest string

// The digests.
const (
	DigestHMAC   Digest = "hmac"   // keyed: cannot be guessed; the default
	DigestSHA256 Digest = "sha256" // comparable by anyone, guessable for short messages
	DigestNone   Digest = "none"
)

// Options configure the middleware. The zero value works.
type Options struct {
	// Key of the digests of sessions, tokens and messages. Empty: a random key,
	// so that digests can be compared within this process only.
	Key []byte
	// Digest of requests and answers; empty: DigestHMAC. Session ids and tokens
	// are keyed whatever it says.
	Digest Digest
	// TrustedProxies may name the client's address in X-Forwarded-For.
	TrustedProxies []netip.Prefix
	// PrivilegedTools are patterns as in [path.Match] for names of tools whose
	// calls are marked as privileged.
	PrivilegedTools []string
	// RequestData and ResponseData record the messages themselves, redacted.
	RequestData, ResponseData bool
	// MaxData bounds each of them, in bytes of JSON; zero: DefaultMaxData, at
	// most [emitter.MaxData].
	MaxData int
	// Strict lets no request run, and no stream open, before an event of stage
	// `received` is stored; if that fails the request is refused with status 503.
	// JSON-RPC notifications and the responses of a client need none. A compressed
	// POST is refused with 415, one of more than PeekLimit bytes with 413, and while
	// a source is over its FloodLimit whatever comes from it with 429, except with a
	// token by which a request has succeeded before.
	Strict bool
	// FloodLimit is how many requests of one source (IPv6: of one /64) that were
	// refused before anybody had verified its identity are recorded one by one in
	// each FloodWindow. What goes beyond has one event for each reason, with the
	// number. 0: DefaultFloodLimit; less than 0: no limit.
	FloodLimit int
	// Log takes one line when requests begin to be refused because their events
	// cannot be stored, and one when that ends; nil: none.
	Log *slog.Logger
}

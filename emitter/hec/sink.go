// Package hec delivers records to a Splunk HTTP Event Collector (HEC), or to
// whatever else speaks its protocol.
//
// Guaranteed: a record that [Sink.Send] counts was taken by the collector, and is
// indexed where the token has indexer acknowledgement ([AckMode] says when that
// is waited for). An answer counts by the code of HEC in it, so that no login
// page or balancer is taken for the collector. Records are sent in order, and the
// error for one that is refused for good names that one alone. Errors and logs
// never show the token, and of the URL the scheme and host only.
//
// Not guaranteed: without acknowledgements the collector has a counted record in
// memory only, and loses it when it crashes. A record may be indexed twice: when
// an answer or an acknowledgement is lost or late it is sent again. Its audit_id
// tells the duplicates.
package hec

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/klauspost/compress/gzip"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/internal/reread"
)

const (
	eventEndpoint  = collectorPath + "/event"
	ackEndpoint    = collectorPath + "/ack"
	healthEndpoint = collectorPath + "/health"
)

const (
	// restTime is the rest before the next request when the collector has said
	// that its queues are filling up.
	restTime = time.Second
	// suspectBytes is the size of a body above which the refusal of its first
	// event may be one of its size, as Splunk Cloud puts it. If it was not, the
	// event is found all the same, a few requests later.
	suspectBytes = 64 << 10
)

// Sink sends records to one collector. Send, Probe and Close are never to be
// called concurrently; Stats and String may be called at any time.
type Sink struct {
	opt      Options // immutable, with defaults
	where    string  // scheme and host, for errors and logs
	base     string  // URL up to the endpoints
	envelope envelope

	web   *retryablehttp.Client
	token token
	tls   reread.Certificates
	stale bool // the certificate files have changed and cannot be used
	acks  acks

	raw     []byte // body of the present request, reused
	zip     *gzip.Writer
	restEnd time.Time // no request with events before this
	large   bool      // Log was told that requests are too large

	count counters
}

var _ emitter.Sink = (*Sink)(nil)

// New returns a sink for the collector at address: scheme, host and port, the
// prefix of a proxy if there is one, and, or not, /services/collector/event. It
// reads the files of opt, and connects to nothing. HTTPS_PROXY, HTTP_PROXY and
// NO_PROXY are honoured.
func New(address string, opt Options) (*Sink, error) {
	base, err := parseURL(address)
	if err != nil {
		return nil, fmt.Errorf("hec: %w", err)
	}
	if opt, err = opt.withDefaults(); err != nil {
		return nil, fmt.Errorf("hec: %w", err)
	}
	s := &Sink{
		opt:      opt,
		where:    base.Scheme + "://" + base.Host,
		base:     base.String(),
		envelope: newEnvelope(opt),
		token:    token{ask: opt.Token, file: reread.File{Path: opt.TokenFile}},
		tls: reread.Certificates{
			CA:   reread.File{Path: opt.CAFile},
			Cert: reread.File{Path: opt.CertFile},
			Key:  reread.File{Path: opt.KeyFile},
		},
	}
	if _, err := s.token.get(); err != nil {
		return nil, fmt.Errorf("hec: %w", err)
	}
	config, err := s.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("hec: %w", err)
	}
	s.web = s.newClient(newTransport(config))
	s.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // audit events shrink well at any level
	s.newEpoch()
	if opt.InsecureSkipVerify {
		opt.Log.Warn("THE CERTIFICATE OF THE COLLECTOR IS NOT CHECKED: anybody on the way can read and change events and take the token",
			"destination", s.where)
	}
	return s, nil
}

// String names the destination, by scheme and host.
func (s *Sink) String() string { return "hec " + s.where }

// Close closes idle connections. Nothing is buffered.
func (s *Sink) Close() error {
	s.web.HTTPClient.CloseIdleConnections()
	return nil
}

// Send sends batch in as many requests as its size asks for, one after another,
// and then waits for their acknowledgements together, if there are any: large
// batches make that wait cheap. It may take AckTimeout and longer; end it with
// ctx only to give up, for what is not acknowledged then will come twice.
//
// A fault of one record is a [emitter.Permanent] error, one of the configuration
// (token, index, URL, certificate) a [emitter.Blocked] one.
func (s *Sink) Send(ctx context.Context, batch []emitter.Record) (int, error) {
	if err := ctx.Err(); err != nil || len(batch) == 0 {
		return 0, err
	}
	s.refreshTLS()
	if err := s.beginAcks(ctx); err != nil {
		return 0, err
	}
	sent, sendErr := s.send(ctx, batch)
	ackErr := s.await(ctx)
	_, n := s.acks.confirmed()
	s.count.pending.Store(0)
	s.count.confirmed.Add(uint64(n))
	s.count.unconfirmed.Add(uint64(sent - n))
	return n, cmp.Or(ackErr, sendErr)
}

// send sends batch request by request. It returns how many records were taken
// and what kept the next one out.
func (s *Sink) send(ctx context.Context, batch []emitter.Record) (sent int, err error) {
	limit := s.opt.MaxBytes
	for sent < len(batch) {
		if err := sleep(ctx, time.Until(s.restEnd)); err != nil {
			return sent, err
		}
		body, events, err := s.cut(batch[sent:], limit)
		if err != nil {
			return sent, err
		}
		a, err := s.post(ctx, body)
		if err != nil {
			return sent, err
		}
		if halve(a, events, len(body)) {
			limit = len(body) / 2
			s.noteLarge(a, len(body))
			continue
		}
		n, err := s.judge(a, sent, events)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// post sends one request with events.
func (s *Sink) post(ctx context.Context, body []byte) (answer, error) {
	packed, encoding := s.pack(body)
	s.count.requests.Add(1)
	s.count.bytes.Add(uint64(len(body)))
	s.count.bytesSent.Add(uint64(len(packed)))
	return s.call(ctx, http.MethodPost, eventEndpoint, packed, encoding)
}

// halve reports whether half the body may pass: it is too large, or refused
// for one event without saying which. Splunk Cloud says of a body that is too
// large that its event 0 is bad.
func halve(a answer, events, size int) bool {
	if events == 1 {
		return false
	}
	switch a.verdict().do {
	case large:
		return true
	case bad:
		unnamed := !a.invalid.set || a.invalid.value < 0 || a.invalid.value >= int64(events)
		return unnamed || a.invalid.value == 0 && a.code.is(codeInvalidFormat) && size > suspectBytes
	default:
		return false
	}
}

// judge returns how many of the events of a request were taken, which are in
// the batch behind sent others, and what kept the next one out. Of a request
// with one bad event those before it are taken.
func (s *Sink) judge(a answer, sent, events int) (n int, err error) {
	switch a.verdict().do {
	case taken:
		n = events
	case slower:
		n = events
		s.count.slowed.Add(1)
		s.restEnd = time.Now().Add(restTime)
	case bad:
		if events > 1 {
			n = int(a.invalid.value) // one of them: see halve
		}
		err = s.fail(a)
	case crowded:
		if len(s.acks.open()) == 0 {
			s.newEpoch()
		}
		err = s.fail(a)
	default:
		err = s.fail(a)
	}
	if n > 0 {
		err = cmp.Or(s.take(sent+n, a), err)
	}
	return n, err
}

// noteLarge tells the log, once, that the limits are set too high.
func (s *Sink) noteLarge(a answer, size int) {
	if a.verdict().do == large && !s.large {
		s.large = true
		s.opt.Log.Warn("a request was too large and is halved; each one costs a second try until the bytes of a request are set lower",
			"destination", s.where, "bytes", size, "answer", a.describe())
	}
}

package hec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// quickRetry is the wait before the one retry of a request that got no answer,
// most often since an idle connection had been closed. All longer waits belong
// to the delivery loop.
const quickRetry = 200 * time.Millisecond

func (s *Sink) newClient(t http.RoundTripper) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport: t,
			Timeout:   s.opt.Timeout,
			// Followed, a redirect would turn POST into GET, and the 200 of a
			// login page would look like a delivery.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:       nil, // it would log URLs
		RetryMax:     1,
		CheckRetry:   checkRetry,
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return quickRetry },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		RequestLogHook: func(_ retryablehttp.Logger, _ *http.Request, attempt int) {
			if attempt > 0 {
				s.count.retries.Add(1)
			}
		},
	}
}

// checkRetry retries what broke before there was an answer, which may send the
// events twice. Every answer is for us to judge; after a timeout the far end is
// not asked again in a hurry. An error that is not retried is passed through.
func checkRetry(ctx context.Context, _ *http.Response, err error) (bool, error) {
	if err == nil || ctx.Err() != nil || certificateFault(err) {
		return false, nil
	}
	timeout, ok := errors.AsType[net.Error](err)
	return !ok || !timeout.Timeout(), nil
}

// call makes one request and reads its answer. Where the token is refused and
// has changed since, it makes the request again with the new one.
func (s *Sink) call(ctx context.Context, method, endpoint string, body []byte, encoding string) (answer, error) {
	for first := true; ; first = false {
		secret, err := s.token.get()
		if err != nil {
			return answer{}, emitter.Blocked(fmt.Errorf("hec %s: %w", s.where, err))
		}
		a, err := s.roundTrip(ctx, method, endpoint, body, encoding, secret)
		if err != nil {
			return answer{}, s.broken(ctx, err, secret)
		}
		if a.verdict().do != refused || !first || !s.token.replaced(secret) {
			return a, nil
		}
	}
}

func (s *Sink) roundTrip(ctx context.Context, method, endpoint string, body []byte, encoding, secret string) (answer, error) {
	var content any // must be nil and not an empty slice where there is no body
	if body != nil {
		content = body
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, s.base+endpoint, content)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Splunk "+secret)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "vmcp-audit")
	// Sent without acknowledgements too: a token that has them asks for it.
	req.Header.Set("X-Splunk-Request-Channel", s.acks.channel)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := s.web.Do(req)
	if err != nil {
		return answer{}, err
	}
	return readAnswer(resp, secret)
}

// broken returns the error of a request that got no answer, without the URL
// and the secret that err may hold.
func (s *Sink) broken(ctx context.Context, err error, secret string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text := fmt.Sprintf("hec %s: %s", s.where, clean(err.Error(), secret))
	failed := &brokenError{text: text, err: err}
	if certificateFault(err) {
		return emitter.Blocked(failed)
	}
	return failed
}

// brokenError is err in words that are fit to be shown.
type brokenError struct {
	text string
	err  error
}

func (e *brokenError) Error() string { return e.text }
func (e *brokenError) Unwrap() error { return e.err }

// cut renders as many records of batch as fit in one request of at most limit
// bytes, and at least one. The result is valid until the next call.
func (s *Sink) cut(batch []emitter.Record, limit int) (body []byte, events int, err error) {
	body = s.raw[:0]
	if cap(body) > 2*s.opt.MaxBytes {
		body = nil // one huge record must not hold its memory for good
	}
	for _, r := range batch[:min(len(batch), s.opt.MaxEvents)] {
		end := len(body)
		body, err = s.envelope.append(body, r)
		body = append(body, '\n')
		if events > 0 && (err != nil || len(body) > limit) {
			body, err = body[:end], nil // for the next request to tell
			break
		}
		if err != nil {
			break
		}
		events++
	}
	s.raw = body
	return body, events, err
}

// pack returns body as it goes on the wire, and its encoding. It is a copy:
// when an answer comes early, net/http may still read the body of the request
// after the answer was returned.
func (s *Sink) pack(body []byte) (packed []byte, encoding string) {
	if s.opt.NoGzip {
		return bytes.Clone(body), ""
	}
	var out bytes.Buffer
	s.zip.Reset(&out)
	_, _ = s.zip.Write(body) // a Buffer takes everything
	_ = s.zip.Close()
	return out.Bytes(), "gzip"
}

package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// do sends a request. Its error has no URL, which may hold secrets, and tells
// when nothing was sent.
func (b *Backend) do(req *http.Request) (*http.Response, error) {
	resp, err := b.client.Do(req)
	if err == nil {
		return resp, nil
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return nil, &NotRun{err}
	}
	if b.quotes(err) {
		err = ErrHTTP
	}
	return nil, err
}

const (
	maxErrorText   = 512 // bytes
	shortestSecret = 6   // bytes; shorter values stand in any text
)

// quotes reports whether an error holds much of what the back end wrote, which
// net/http quotes where it cannot read it, or something that only the back end is
// to know and may have written back.
func (b *Backend) quotes(err error) bool {
	var network net.Error
	if errors.As(err, &network) || errors.As(err, new(*tls.CertificateVerificationError)) {
		return false
	}
	text := strings.ToLower(err.Error())
	secrets := []string{b.URL.RawQuery}
	for _, values := range b.Header {
		for _, value := range values {
			_, credentials, _ := strings.Cut(value, " ") // behind a scheme as Bearer
			secrets = append(secrets, value, credentials)
		}
	}
	return len(text) > maxErrorText || slices.ContainsFunc(secrets, func(s string) bool {
		return len(s) >= shortestSecret && strings.Contains(text, strings.ToLower(s))
	})
}

// Bounds of what is read of an answer behind that which was waited for.
const (
	restTimeout = 250 * time.Millisecond
	maxRest     = 64 << 10
)

// post sends a request, which ends with its context and with a session's. When
// the body of the answer is closed, its connection is given back: a server ends
// a stream, or the answer to a notification, a moment after what is waited for,
// and a connection that is closed before that cannot be used again.
func (b *Backend) post(session context.Context, req *http.Request, background *tasks) (*http.Response, error) {
	outer := req.Context()
	ctx, cancel := context.WithCancel(context.WithoutCancel(outer))
	leave, end := context.AfterFunc(outer, cancel), context.AfterFunc(session, cancel)
	stop := func() { leave(); end(); cancel() }
	resp, err := b.do(req.WithContext(ctx))
	if err != nil {
		stop()
		switch {
		case outer.Err() != nil:
			err = context.Cause(outer)
		case session.Err() != nil:
			err = ErrBroken
		}
		return nil, err
	}
	resp.Body = &shared{ReadCloser: resp.Body, stop: stop, rest: func(read func()) bool {
		return leave() && background.Go(func() {
			defer stop()
			defer time.AfterFunc(restTimeout, cancel).Stop()
			read()
		})
	}}
	return resp, nil
}

// shared is the body of an answer whose connection others want to use.
type shared struct {
	io.ReadCloser
	ended bool                   // nothing is left to read
	stop  func()                 // ends the request
	rest  func(read func()) bool // has the rest read in the background, if nothing has ended the request
}

func (s *shared) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.ended = err != nil
	return n, err
}

func (s *shared) Close() error {
	if !s.ended && s.rest(func() {
		_, _ = io.CopyN(io.Discard, s.ReadCloser, maxRest)
		_ = s.ReadCloser.Close()
	}) {
		return nil
	}
	s.stop()
	return s.ReadCloser.Close()
}

package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// fault is err in words that are fit to be shown.
type fault struct {
	text string
	err  error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.err }

// fault returns err with the name of the destination, fit to be shown.
func (s *Sink) fault(err error) error {
	return &fault{fmt.Sprintf("syslog %s: %s", s.to, clean(err.Error())), err}
}

// faultf is fault with words of our own before err, or, if the words say it all,
// without it.
func (s *Sink) faultf(err error, format string, args ...any) error {
	return &fault{fmt.Sprintf("syslog %s: %s", s.to, clean(fmt.Sprintf(format, args...))), err}
}

// cannotDial returns the error of a connection that could not be opened. That a
// socket may not be used or is of another kind is a fault of the configuration.
func (s *Sink) cannotDial(err error) error {
	local := strings.HasPrefix(s.to.Network, "unix")
	switch {
	case local && errors.Is(err, syscall.EPROTOTYPE) && s.to.Network == "unix":
		return emitter.Blocked(s.faultf(err, "the socket takes datagrams: the address begins with unixgram://"))
	case local && errors.Is(err, syscall.EPROTOTYPE):
		return emitter.Blocked(s.faultf(err, "the socket takes a stream: the address begins with unix://"))
	case local && errors.Is(err, fs.ErrPermission):
		return emitter.Blocked(s.fault(err))
	}
	return s.fault(err)
}

// tlsFault says what is wrong with certificates or the kind of connection. These
// are faults of the configuration, here or there: time does not mend them. asked
// says that the receiver asked for our certificate.
func (s *Sink) tlsFault(err error, asked bool) error {
	if text := s.certificateText(err); text != "" {
		return emitter.Blocked(s.faultf(err, "%s", text))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return emitter.Blocked(s.faultf(err, "the receiver does not speak TLS there"))
	}
	if strings.Contains(err.Error(), "protocol version") { // our alert or the receiver's, neither has a type
		return emitter.Blocked(s.faultf(err, "the receiver speaks no TLS 1.2 or later: %v", err))
	}
	if errors.Is(err, io.EOF) {
		return s.faultf(err, "the receiver closed the connection during the TLS handshake: does it speak TLS there?")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return s.faultf(err, "the receiver does not answer the TLS handshake: does it speak TLS there?")
	}
	op, ok := errors.AsType[*net.OpError](err)
	switch alert := ok && op.Op == "remote error"; {
	case alert && asked && s.opt.CertFile == "":
		return emitter.Blocked(s.faultf(err, "the receiver wants a client certificate, and none is set: %v", err))
	case alert && asked:
		return emitter.Blocked(s.faultf(err, "the receiver refuses our client certificate: %v", err))
	case alert:
		return emitter.Blocked(s.faultf(err, "the receiver refuses the TLS handshake: %v", err))
	}
	return s.faultf(err, "TLS handshake: %v", err)
}

// certificateText says what is wrong with the receiver's certificate, nothing if
// err is about something else.
func (s *Sink) certificateText(err error) string {
	failed, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok {
		return ""
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		names := slices.Clone(host.Certificate.DNSNames)
		for _, ip := range host.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			names = []string{"none (a common name does not count)"}
		}
		return fmt.Sprintf("the receiver's certificate is for another host: it names %s, and not %s", strings.Join(names, ", "), host.Host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the receiver's certificate has expired or is not valid yet: " + invalid.Detail
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		leaf := failed.UnverifiedCertificates[0]
		if leaf.Subject.String() == leaf.Issuer.String() && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
			return "the receiver's certificate is self-signed: the CA file would have to hold it"
		}
		return "the receiver's certificate is signed by an authority that is not known: the CA file would have to hold it (" + unknown.Error() + ")"
	}
	return "the receiver's certificate is not valid: " + failed.Err.Error()
}

// lost returns why what was handed over on c must be sent again.
func (s *Sink) lost(c *conn, cause error) error {
	refused := errors.Is(cause, syscall.ECONNREFUSED)
	if refused && s.to.Datagrams() {
		s.count.refused.Add(1)
		return s.faultf(cause, "nobody takes the datagrams: %v", cause)
	}
	if op, ok := errors.AsType[*net.OpError](cause); ok && op.Op == "remote error" && c.asked {
		return s.tlsFault(cause, true)
	}
	text := "the connection broke: " + cause.Error()
	if errors.Is(cause, io.EOF) {
		text = "the receiver closed the connection"
	}
	if s.fresh {
		text += " again before anything counted as delivered: " + framingHint[s.opt.Framing]
	}
	return s.faultf(cause, "%s", text)
}

// framingHint says what to try with a receiver that closes connections.
var framingHint = map[Framing]string{
	FramingOctet: "if it always does, it may want a line for each message (framing lf) instead of octet counting, or take fewer bytes",
	FramingLF:    "if it always does, it may want octet counting (framing octet) instead of lines, TLS, or take fewer bytes",
}

// maxText bounds what of a stranger's text stands in an error, in bytes.
const maxText = 400

// clean makes text in which strangers have a say fit for an error: without
// control and invisible characters, short.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

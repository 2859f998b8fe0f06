package syslog

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Framing says how a stream is divided into messages (RFC 6587 section 3.4).
type Framing uint8

const (
	// FramingAuto is FramingOctet over TLS, which RFC 5425 demands, and
	// FramingLF elsewhere, which most receivers take.
	FramingAuto Framing = iota
	// FramingOctet is octet counting, MSG-LEN SP SYSLOG-MSG: any message.
	FramingOctet
	// FramingLF ends each message with LF: it must not hold one, nor begin with
	// a digit.
	FramingLF
)

// Defaults and limits of [Options].
const (
	DefaultMaxSize     = 8 << 10 // what rsyslog takes, and RFC 5425 section 4.3.1 asks for
	DefaultMaxDatagram = 1 << 10 // what every receiver takes, QRadar included; RFC 5426 section 3.2 asks them for 2 KiB
	LargestMaxSize     = 1 << 20
	LargestDatagram    = 65_507 // UDP over IPv4
	DefaultWindow      = 8 << 20
	DefaultSettleTime  = 5 * time.Second
	DefaultDialTimeout = 10 * time.Second
	DefaultTimeout     = 30 * time.Second
	settleTimeDatagram = time.Second
)

// Options of a [Sink]. The zero value works.
type Options struct {
	Framing Framing // of streams; datagrams have none

	// MaxSize is the longest message in bytes; a longer one is refused. 0 means
	// DefaultMaxSize, over UDP DefaultMaxDatagram.
	MaxSize int

	// Window and SettleTime say how far behind the settled records are, see the
	// package. Window is in bytes on the wire, and should not be less than what
	// the receiver's system buffers for a connection: 6 MiB at most on Linux by
	// default (tcp_rmem), from 6.16 on 32 MiB, though seldom so much. 0 means
	// DefaultWindow and DefaultSettleTime, for datagrams one second.
	Window     int64
	SettleTime time.Duration

	DialTimeout time.Duration // of a connection with its TLS handshake; 0 means DefaultDialTimeout
	Timeout     time.Duration // of each write, and until it is acknowledged; 0 means DefaultTimeout

	// CAFile holds the PEM certificates that the receiver's must lead to,
	// instead of those of the system. CertFile and KeyFile are the PEM
	// certificate and key that we show. All are read again when they change,
	// for the next connection.
	CAFile, CertFile, KeyFile string
	// ServerName is what the receiver's certificate must be for; empty: the
	// host of the address.
	ServerName string

	// Log hears what an error of Send cannot tell. Nil discards.
	Log *slog.Logger
}

// withDefaults checks o and fills in its defaults. All mistakes are reported.
func (o Options) withDefaults(to Address) (Options, error) {
	var errs []error
	size, longest, settle := DefaultMaxSize, LargestMaxSize, DefaultSettleTime
	if to.Datagrams() {
		longest, settle = LargestDatagram, settleTimeDatagram
	}
	if to.Network == "udp" {
		size = DefaultMaxDatagram
	}
	if o.Framing > FramingLF {
		errs = append(errs, fmt.Errorf("unknown framing: %d", o.Framing))
	}
	if o.MaxSize > longest {
		errs = append(errs, fmt.Errorf("size of a message: %d is more than %d", o.MaxSize, longest))
	}
	if o.MaxSize < 0 || o.Window < 0 || o.SettleTime < 0 || o.DialTimeout < 0 || o.Timeout < 0 {
		errs = append(errs, errors.New("sizes and times must not be negative"))
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		errs = append(errs, errors.New("certificate file and key file go together"))
	}
	if to.Network != "tls" && o.CAFile+o.CertFile+o.KeyFile+o.ServerName != "" {
		errs = append(errs, errors.New("certificates are for tls:// alone"))
	}
	if o.Framing == FramingAuto {
		o.Framing = FramingLF
		if to.Network == "tls" {
			o.Framing = FramingOctet
		}
	}
	setDefault(&o.MaxSize, size)
	setDefault(&o.Window, DefaultWindow)
	setDefault(&o.SettleTime, settle)
	setDefault(&o.DialTimeout, DefaultDialTimeout)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.Log, slog.New(slog.DiscardHandler))
	return o, errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

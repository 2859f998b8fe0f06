package hec

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Defaults and limits of [Options].
const (
	DefaultSource     = "vmcp-audit"
	DefaultSourceType = "vmcp:audit"
	DefaultMaxBytes   = 1_000_000 // what the oldest releases take: max_content_length of [http_input] was 1,000,000
	LargestMaxBytes   = 5_000_000 // Splunk Cloud refuses more than 5,242,881 as bad data (seen on 10.5.2605)
	DefaultMaxEvents  = 1000
	DefaultTimeout    = time.Minute
	DefaultAckTimeout = 5 * time.Minute // an idle indexer may take minutes to acknowledge
)

// AckMode says what is done with indexer acknowledgements.
type AckMode uint8

const (
	// AckAuto waits for the acknowledgement of every answer that names one. If
	// none comes true over two whole timeouts in a row, the sink goes without
	// them for a day: it logs that as an error, and Stats tells.
	AckAuto AckMode = iota
	// AckOn counts nothing that is not acknowledged. A token that has none
	// enabled, or two timeouts in a row, is a fault of the configuration.
	AckOn
	// AckOff takes the answer for the confirmation, which means no more than
	// that the events are in a queue in the collector's memory.
	AckOff
)

// Options of a [Sink]. One of Token and TokenFile is needed; all others work
// with their zero value.
type Options struct {
	// Token returns the token of the collector, without the word Splunk. It is
	// asked before every request and must be quick.
	Token func() (string, error)
	// TokenFile holds the token; space around it does not count. It is read
	// again when it changes and when the token in use was refused.
	TokenFile string

	// Text says that the bodies of records are text, such as CEF, and not
	// JSON. A body that is not valid JSON is refused unless Text is set.
	Text bool
	// Trusted says that the bodies are valid JSON without being looked through: of
	// what an emitter has stored and the formats json and flat render they are. What
	// is none after all the collector refuses, with the number of the event.
	Trusted bool
	// Host, Source and SourceType are metadata of every event. An empty Host is
	// left out, the others have defaults.
	Host, Source, SourceType string
	// Index is where events go; empty: the default index of the token.
	Index string
	// Fields are indexed fields that every event is given.
	Fields map[string]string

	// Ack says what is done with indexer acknowledgements.
	Ack AckMode
	// AckTimeout is how long a Send waits, after its last request, for what it
	// sent to be acknowledged. 0 means DefaultAckTimeout.
	AckTimeout time.Duration

	// MaxBytes bounds the body of a request before compression, in bytes; 0
	// means DefaultMaxBytes, more than LargestMaxBytes is refused. An event
	// that alone is larger is sent alone.
	MaxBytes int
	// MaxEvents bounds the events in a request; 0 means DefaultMaxEvents.
	MaxEvents int
	// NoGzip sends bodies as they are.
	NoGzip bool
	// Timeout bounds one request with its answer; 0 means DefaultTimeout.
	Timeout time.Duration

	// CAFile holds the PEM certificates that the collector's must lead to,
	// instead of those of the system. CertFile and KeyFile are the PEM
	// certificate and key that we show. All are read again when they change.
	CAFile, CertFile, KeyFile string
	// InsecureSkipVerify takes any certificate, and so anybody for the
	// collector, who is then handed token and events. Log is told.
	InsecureSkipVerify bool

	// Log hears what an error of Send cannot tell. Nil discards.
	Log *slog.Logger
}

// withDefaults checks o and fills in its defaults. All mistakes are reported.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	if (o.Token == nil) == (o.TokenFile == "") {
		errs = append(errs, errors.New("one of token and token file is needed"))
	}
	if o.Ack > AckOff {
		errs = append(errs, fmt.Errorf("unknown mode of acknowledgement: %d", o.Ack))
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		errs = append(errs, errors.New("certificate file and key file go together"))
	}
	if o.MaxBytes > LargestMaxBytes {
		errs = append(errs, fmt.Errorf("bytes of a request: %d is more than %d", o.MaxBytes, LargestMaxBytes))
	}
	if o.MaxBytes < 0 || o.MaxEvents < 0 || o.Timeout < 0 || o.AckTimeout < 0 {
		errs = append(errs, errors.New("sizes and times must not be negative"))
	}
	setDefault(&o.Source, DefaultSource)
	setDefault(&o.SourceType, DefaultSourceType)
	setDefault(&o.MaxBytes, DefaultMaxBytes)
	setDefault(&o.MaxEvents, DefaultMaxEvents)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.AckTimeout, DefaultAckTimeout)
	setDefault(&o.Log, slog.New(slog.DiscardHandler))
	return o, errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// collectorPath is where every HEC has its endpoints.
const collectorPath = "/services/collector"

// parseURL returns the address up to and without collectorPath. Its errors do
// not show the URL, which may hold a secret that was put there by mistake.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("URL cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("URL must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("URL has no host")
	case u.User != nil:
		return nil, errors.New("URL must not hold a user or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("URL must not have a query or fragment")
	}
	before, after, _ := strings.Cut(u.Path, collectorPath)
	switch strings.Trim(after, "/") {
	case "", "event", "1.0", "event/1.0":
	default:
		return nil, errors.New("URL must end in " + collectorPath + "/event, or before it")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(before, "/")}, nil
}

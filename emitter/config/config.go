// Package config turns environment variables into the settings of vmcp-audit.
//
// [Load] reads an environment that it is given, never the one of the process,
// and answers with ready values or with every mistake at once: one line for
// each, by the name of the variable, with what is allowed and an example. A
// name with our prefix that nothing knows is a mistake too. The value of a
// secret is in no message, document or log line; a mistyped name's value and
// one that may hold a password are not shown either.
//
// The tags of [Config] and of the destinations are the one source of names,
// defaults and documents. Load opens no file other than those that hold
// secrets and certificates, and nothing dials; [Open] opens the spool and the
// destinations.
package config

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// Prefix begins the name of every variable.
const Prefix = "VMCP_AUDIT_"

// Limits of values. All of them are hard: beyond is a mistake.
const (
	MaxDataSize     Size          = 64 << 10  // largest MAX_DATA_SIZE, bytes: an event must fit a syslog or HEC record
	MinHashKey                    = 16        // shortest HASH_KEY, bytes: 128 bits, if they are random
	MaxSecretFile                 = 64 << 10  // largest file that holds a secret, bytes
	MaxDestinations               = 9         // destinations of one kind, numbered from 2
	MaxListItems                  = 256       // items of one comma list
	MaxLabels                     = 16        // labels of an event, see emitter.Observer
	MaxLabelKey                   = 64        // bytes of a label's key
	MaxLabelValue                 = 256       // bytes of a label's value
	MaxWait         time.Duration = time.Hour // longest of all durations
	MaxBatch                      = 100_000   // largest HEC_BATCH_SIZE, events: far more than MaxBytes holds
)

// Config holds every setting, parsed and checked. It is a plain value: [Load]
// makes it, nobody changes it. Slices and maps are shared by its copies.
//
// Tags: env and envDefault as caarlos0/env has them; unit, doc, allowed and
// example for people; oneof lists the allowed words; group is the first part of
// the names of a kind of destination; filedoc is said of a secret's file.
type Config struct {
	Enabled      bool     `env:"ENABLED" envDefault:"true" unit:"boolean" allowed:"true or false" example:"false" doc:"whether MCP operations are audited; false passes them on without a record"`
	Component    string   `env:"COMPONENT" envDefault:"vmcp-server" unit:"name" allowed:"1 to 64 printable ASCII characters without spaces" example:"vmcp-gateway" doc:"component of every event: which server this is"`
	LogLevel     LogLevel `env:"LOG_LEVEL" envDefault:"info" unit:"level" oneof:"debug|info|warn|error" example:"debug" doc:"least level of the program's own messages on stderr; audit events are not affected"`
	Listen       string   `env:"LISTEN" envDefault:"127.0.0.1:4484" unit:"host:port" allowed:"host:port, the host may be empty for all interfaces" example:"0.0.0.0:4484" doc:"address on which MCP is served; in a container usually :4484"`
	Upstream     *url.URL `env:"UPSTREAM" unit:"URL" allowed:"http or https URL with a host, without user, query or fragment" example:"http://127.0.0.1:8080" doc:"MCP server behind the proxy"`
	ServerConfig string   `env:"CONFIG" unit:"path" allowed:"path of a file" example:"/etc/vmcp-audit/vmcp.yaml" doc:"YAML file of the virtual MCP server, for serve, validate and env --effective; variables win over its section audit"`

	Host     string            `env:"HOST" unit:"name" allowed:"1 to 255 printable ASCII characters without spaces" example:"gw-prod" doc:"observer.host, the stable name of the installation; unset: in Kubernetes the component, else the host name"`
	Instance string            `env:"INSTANCE" unit:"name" allowed:"1 to 255 printable ASCII characters without spaces" example:"gw-prod-1" doc:"observer.instance, the name of this one process or pod; unset: the host name"`
	Labels   map[string]string `env:"LABELS" unit:"list of key=value" allowed:"key=value,key=value: at most 16, keys of 1 to 64 letters, digits and ._/-, values of at most 256 bytes without control characters or commas" example:"cluster=eu1,stage=prod" doc:"observer.labels; unset: from OTEL_RESOURCE_ATTRIBUTES, percent-decoded"`

	EventTypes          []string `env:"EVENT_TYPES" unit:"list of event types" allowed:"event types, separated by commas" example:"mcp_tool_call,mcp_resource_read" doc:"types whose plain successes are recorded, unset: all; denied, failed, odd and audit_* events always are"`
	ExcludeEventTypes   []string `env:"EXCLUDE_EVENT_TYPES" unit:"list of event types" allowed:"event types, separated by commas, none of audit_*" example:"mcp_ping" doc:"types whose plain successes are not recorded; denied, failed and odd ones always are"`
	IncludeRequestData  bool     `env:"INCLUDE_REQUEST_DATA" envDefault:"false" unit:"boolean" allowed:"true or false" example:"true" doc:"whether events carry the arguments of a call, redacted and cut to MAX_DATA_SIZE"`
	IncludeResponseData bool     `env:"INCLUDE_RESPONSE_DATA" envDefault:"false" unit:"boolean" allowed:"true or false" example:"true" doc:"whether events carry the result of a call, redacted and cut to MAX_DATA_SIZE"`
	MaxDataSize         Size     `env:"MAX_DATA_SIZE" envDefault:"1KiB" unit:"bytes" allowed:"1 to 64KiB, as 500, 1KiB, 4kB" example:"4KiB" doc:"most of a request's and of a response's data that an event carries, each"`
	PrivilegedTools     []string `env:"PRIVILEGED_TOOLS" unit:"list of patterns" allowed:"patterns of tool names with * ? [a-z], separated by commas; * does not match /" example:"*_delete_*,admin_*" doc:"tools whose calls are marked as privileged, evidence for AC-6(9)"`

	HashKey Secret            `env:"HASH_KEY" unit:"secret" allowed:"at least 16 bytes, random, the same for all replicas" example:"$(openssl rand -hex 32)" doc:"key of the HMAC over session ids, tokens, arguments and results, so that events can be joined and values cannot be guessed; unset: a random one that is kept in the spool folder, so that events of two replicas do not join"`
	Digest  middleware.Digest `env:"DIGEST" envDefault:"hmac" unit:"word" oneof:"hmac|sha256|none" example:"sha256" doc:"how arguments and results are digested; sha256 has no key: short values can be guessed"`

	Durability Durability    `env:"DURABILITY" envDefault:"durable" unit:"word" oneof:"durable|strict|async" example:"strict" doc:"when an event counts as recorded; durable: it is on disk before its answer leaves; strict: a record is on disk before the call runs too, or the call is refused; async: a crash loses at most 200 ms or 1 MiB"`
	SpoolDir   string        `env:"SPOOL_DIR" unit:"path" allowed:"path of a folder of this process alone, on a disk of its machine" example:"/var/spool/vmcp-audit" doc:"folder in which events wait for their destinations; unset: spool in $STATE_DIRECTORY (systemd), else as root in /var/lib/vmcp-audit, else in $XDG_STATE_HOME/vmcp-audit, else in ~/.local/state/vmcp-audit; on Windows in %LOCALAPPDATA%/vmcp-audit"`
	SpoolMax   Size          `env:"SPOOL_MAX_SIZE" envDefault:"1GiB" unit:"bytes" allowed:"1MiB and more, as 64MiB, 1GB" example:"10GiB" doc:"most that the folder holds; 1 GiB is about 700,000 full events"`
	SpoolFull  SpoolFull     `env:"SPOOL_FULL" envDefault:"drop-newest" unit:"word" oneof:"drop-newest|drop-oldest|refuse" example:"refuse" doc:"what happens when nothing more can be stored; drop-newest: new events are lost, counted and told; drop-oldest: the oldest ones are, delivered or not; refuse: new calls get 503 before they run"`
	Heartbeat  time.Duration `env:"HEARTBEAT" envDefault:"5m" unit:"duration" allowed:"0s to 1h, as 30s, 5m" example:"1m" doc:"time between two audit_heartbeat events, which tell every destination that the audit lives; 0s: none"`

	FloodLimit int `env:"FLOOD_LIMIT" envDefault:"60" unit:"requests" allowed:"0 to 1000000; 0 is no limit" example:"600" doc:"requests of one source and minute that are recorded one by one though they were refused without a valid identity; what is beyond is folded into one event for each reason, and refused with 429 under strict"`

	Files   []FileDestination   `env:"-" group:"FILE"`
	HECs    []HECDestination    `env:"-" group:"HEC"`
	Syslogs []SyslogDestination `env:"-" group:"SYSLOG"`

	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" unit:"list of networks" allowed:"addresses and CIDR networks, separated by commas" example:"10.0.0.0/8,192.0.2.7" doc:"peers whose forwarding headers are believed; source.peer is recorded always"`
	ShutdownDelay  time.Duration  `env:"SHUTDOWN_DELAY" envDefault:"0s" unit:"duration" allowed:"0s to 1h, as 500ms, 10s, 2m" example:"5s" doc:"time between the signal to stop and the end of taking new requests, for load balancers to notice"`
	DrainTimeout   time.Duration  `env:"DRAIN_TIMEOUT" envDefault:"10s" unit:"duration" allowed:"0s to 1h, as 500ms, 10s, 2m" example:"30s" doc:"longest wait for requests under way when stopping"`
	FlushTimeout   time.Duration  `env:"FLUSH_TIMEOUT" envDefault:"10s" unit:"duration" allowed:"0s to 1h, as 500ms, 10s, 2m" example:"30s" doc:"longest wait for destinations when stopping, after the requests; what is left stays in the spool"`
	UnknownEnv     UnknownEnv     `env:"UNKNOWN_ENV" envDefault:"error" unit:"word" oneof:"error|warn" example:"warn" doc:"what a variable with our prefix that nothing knows is"`

	values []Value // in force, see [Effective]
}

// FileDestination is a file, or stdout, that takes events.
type FileDestination struct {
	Path     string       `env:"PATH" unit:"path" allowed:"path of a file, or - for stdout; each destination its own" example:"/var/log/vmcp-audit/audit.jsonl" address:"true" doc:"file that takes the events, - is stdout; setting it switches this destination on"`
	Format   formats.Name `env:"FORMAT" envDefault:"json" unit:"word" oneof:"json|flat|cef|leef|leef1|rfc5424|compact" example:"cef" doc:"json: the event as it is stored; flat: JSON of one level; cef: ArcSight; leef: QRadar, LEEF 2.0; leef1: LEEF 1.0; rfc5424: a syslog message; compact: a short line for people; one event a line in each"`
	MaxSize  Size         `env:"MAX_SIZE" envDefault:"0" unit:"bytes" allowed:"0 or a size, as 500, 64MiB, 1GB" example:"64MiB" doc:"size at which a new file is begun; 0: never"`
	MaxFiles int          `env:"MAX_FILES" envDefault:"0" unit:"files" allowed:"0 to 9999" example:"5" doc:"how many full files are kept beside the present one; 0: all"`
	Name     string       `env:"NAME" envDefault:"file" unit:"name" allowed:"1 to 32 of a-z, 0-9 and -, unique" example:"debug" doc:"name of the route in logs, counters and audit events, by which the spool knows how far it has come"`
}

// HECDestination is a Splunk HTTP Event Collector.
type HECDestination struct {
	URL        *url.URL          `env:"URL" unit:"URL" allowed:"http or https URL of the collector, with or without /services/collector/event, without user, query or fragment" example:"https://splunk.example.com:8088" address:"true" doc:"Splunk HTTP Event Collector (HEC) that takes the events; setting it switches this destination on. HTTPS_PROXY and NO_PROXY count"`
	Token      Secret            `env:"TOKEN" unit:"secret" allowed:"printable ASCII characters without spaces, without the word Splunk" example:"$(cat token)" filedoc:"; read again when it changes and when the token is refused" doc:"token of the collector"`
	Index      string            `env:"INDEX" unit:"name" allowed:"1 to 80 of a-z, 0-9, _ and -, not beginning with -" example:"mcp_audit" doc:"index of the events; unset: the default one of the token"`
	Source     string            `env:"SOURCE" envDefault:"vmcp-audit" unit:"name" allowed:"1 to 255 printable characters" example:"vmcp-audit:eu1" doc:"source of the events"`
	SourceType string            `env:"SOURCETYPE" envDefault:"vmcp:audit" unit:"name" allowed:"1 to 255 printable characters" example:"_json" doc:"sourcetype of the events, by which Splunk finds the fields"`
	Format     formats.Name      `env:"FORMAT" envDefault:"json" unit:"word" oneof:"json|flat|cef|leef|leef1|rfc5424|compact" example:"cef" doc:"json: the event as it is stored; flat: JSON of one level; cef: ArcSight; leef: QRadar, LEEF 2.0; leef1: LEEF 1.0; rfc5424: a syslog message; compact: a short line for people. Those that are no JSON are sent as text"`
	Fields     map[string]string `env:"FIELDS" unit:"list of key=value" allowed:"key=value,key=value, within the limits of LABELS" example:"team=soc,stage=prod" doc:"indexed fields that every event is given"`

	Ack        Ack           `env:"ACK" envDefault:"auto" unit:"word" oneof:"auto|on|off" example:"on" doc:"indexer acknowledgement; auto: waited for if the token has it; on: nothing counts as delivered without; off: the answer is enough, and Splunk can lose what it has only queued"`
	AckTimeout time.Duration `env:"ACK_TIMEOUT" envDefault:"5m" unit:"duration" allowed:"1s to 1h, as 30s, 5m" example:"10m" doc:"longest wait for an acknowledgement before the events are sent again; an idle indexer takes minutes"`
	Gzip       bool          `env:"GZIP" envDefault:"true" unit:"boolean" allowed:"true or false" example:"false" doc:"whether requests are compressed"`

	CAFile             string `env:"CA_FILE" unit:"path" allowed:"path of a PEM file" example:"/etc/vmcp-audit/splunk-ca.pem" doc:"certificates that the collector's must lead to, instead of those of the system; read again when it changes"`
	CertFile           string `env:"CERT_FILE" unit:"path" allowed:"path of a PEM file" example:"/etc/vmcp-audit/client.pem" doc:"certificate that we show, with its KEY_FILE; read again when it changes"`
	KeyFile            string `env:"KEY_FILE" unit:"path" allowed:"path of a PEM file" example:"/etc/vmcp-audit/client-key.pem" doc:"key of CERT_FILE; read again when it changes"`
	InsecureSkipVerify bool   `env:"INSECURE_SKIP_VERIFY" envDefault:"false" unit:"boolean" allowed:"true or false" example:"true" doc:"takes any certificate, and so hands token and events to anybody on the way; for tests"`

	BatchSize   int           `env:"BATCH_SIZE" envDefault:"1000" unit:"events" allowed:"1 to 100000" example:"500" doc:"most events in a request; where acknowledgements may be on, four requests wait for theirs together"`
	BatchBytes  Size          `env:"BATCH_BYTES" envDefault:"1MB" unit:"bytes" allowed:"1kB to 5MB" example:"500kB" doc:"most bytes of a request before compression; a larger event is sent alone"`
	BatchLinger time.Duration `env:"BATCH_LINGER" envDefault:"200ms" unit:"duration" allowed:"0s to 1m" example:"1s" doc:"how long a batch that is not full waits for more events"`

	Name string `env:"NAME" envDefault:"hec" unit:"name" allowed:"1 to 32 of a-z, 0-9 and -, unique" example:"splunk" doc:"name of the route in logs, counters and audit events, by which the spool knows how far it has come"`

	TokenFile string `env:"-"` // where Token was read from; empty: it was given
}

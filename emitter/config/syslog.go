package config

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/syslog"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

// SyslogDestination is a syslog receiver.
type SyslogDestination struct {
	Addr     syslog.Address `env:"ADDR" unit:"address" allowed:"udp://host:514, tcp://host:514, tls://host:6514, unix:///path (stream), unixgram:///path (datagrams)" example:"tls://siem.example.com:6514" address:"true" doc:"syslog receiver that takes the events; setting it switches this destination on"`
	Preset   Preset         `env:"PRESET" unit:"word" oneof:"qradar|arcsight|rsyslog" example:"qradar" doc:"sets FORMAT, HEADER, FRAMING and MAX_SIZE as that product takes them, where they are not set; docs/syslog.md has the values"`
	Format   formats.Name   `env:"FORMAT" envDefault:"rfc5424" unit:"word" oneof:"rfc5424|cef|leef|leef1|json|flat" example:"cef" doc:"what a message says; rfc5424: a sentence, with the fields as structured data; cef: ArcSight; leef: QRadar, LEEF 2.0; leef1: LEEF 1.0; json: the event; flat: JSON of one level"`
	Header   formats.Header `env:"HEADER" envDefault:"rfc5424" unit:"word" oneof:"rfc5424|rfc3164|none" example:"rfc3164" doc:"syslog header before it; that of RFC 3164 has no year and no time zone, and the receiver must take it for UTC"`
	Framing  Framing        `env:"FRAMING" envDefault:"auto" unit:"word" oneof:"auto|octet|lf" example:"octet" doc:"how a stream is divided; octet: the length before each message; lf: a line end behind it; auto: octet over TLS, as RFC 5425 has it, else lf"`
	Facility Facility       `env:"FACILITY" envDefault:"local0" unit:"facility" allowed:"user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0 to local7, or 1 to 23" example:"authpriv" doc:"facility in the header"`
	Hostname string         `env:"HOSTNAME" unit:"name" allowed:"1 to 255 printable ASCII characters without spaces" example:"gw-prod" doc:"host in the header, by which QRadar finds the log source; unset: observer.host of the event"`
	AppName  string         `env:"APP_NAME" unit:"name" allowed:"1 to 48 printable ASCII characters without spaces" example:"mcp-audit" doc:"application in the header; unset: the component of the event"`
	SDID     string         `env:"SD_ID" unit:"name" allowed:"name@number, at most 32 printable ASCII characters without = ] \" and spaces" example:"vmcp@32473" doc:"id of the structured data of rfc5424, with your enterprise number; unset: vmcp@32473, a number for documents"`
	MaxSize  Size           `env:"MAX_SIZE" unit:"bytes" allowed:"1KiB to 1MiB, as 4KiB; for datagrams to 65507" example:"4KiB" doc:"most bytes of a message; a longer event is cut so that it stays readable, and says so; unset: 8KiB, over UDP 1KiB"`

	CAFile     string `env:"CA_FILE" unit:"path" allowed:"path of a PEM file" example:"/etc/vmcp-audit/syslog-ca.pem" doc:"certificates that the receiver's must lead to, instead of those of the system; read again when it changes"`
	CertFile   string `env:"CERT_FILE" unit:"path" allowed:"path of a PEM file" example:"/etc/vmcp-audit/client.pem" doc:"certificate that we show, with its KEY_FILE; read again when it changes"`
	KeyFile    string `env:"KEY_FILE" unit:"path" allowed:"path of a PEM file" example:"/etc/vmcp-audit/client-key.pem" doc:"key of CERT_FILE; read again when it changes"`
	ServerName string `env:"SERVER_NAME" unit:"name" allowed:"1 to 255 printable ASCII characters without spaces" example:"siem.example.com" doc:"what the receiver's certificate must be for; unset: the host of ADDR"`

	Name string `env:"NAME" envDefault:"syslog" unit:"name" allowed:"1 to 32 of a-z, 0-9 and -, unique" example:"qradar" doc:"name of the route in logs, counters and audit events, by which the spool knows how far it has come"`
}

// presets are settings that go together, by the product that takes them.
var presets = map[Preset]map[string]string{
	// A log source by RFC 3164 header; 4,096 bytes is QRadar's own limit over TCP.
	PresetQRadar: {"FORMAT": "leef", "HEADER": "rfc3164", "FRAMING": "lf", "MAX_SIZE": "4KiB"},
	// SmartConnectors read lines.
	PresetArcSight: {"FORMAT": "cef", "HEADER": "rfc3164", "FRAMING": "lf"},
	// Takes both framings, 8 KiB by default.
	PresetRsyslog: {"FORMAT": "rfc5424", "HEADER": "rfc5424", "FRAMING": "octet", "MAX_SIZE": "8KiB"},
}

// fillPresets gives the settings of presets to destinations that are on. What is
// set counts first.
func (l *loader) fillPresets() {
	for n := 1; n <= MaxDestinations; n++ {
		group := groupOf("SYSLOG", n)
		to := strings.ToLower(l.given[group+"ADDR"].text)
		if to == "" {
			continue
		}
		preset := Preset(l.given[group+"PRESET"].text)
		datagrams := strings.HasPrefix(to, "udp:") || strings.HasPrefix(to, "unixgram:")
		for key, text := range presets[preset] {
			if datagrams && (key == "FRAMING" || key == "MAX_SIZE" && preset == PresetQRadar) {
				continue // they have no framing, and QRadar takes of them what is the default
			}
			if _, set := l.given[group+key]; !set && l.wrong[group+key] == 0 {
				l.given[group+key] = given{text, SourceDefault, Prefix + group + "PRESET"}
			}
		}
		format, set := l.given[group+"FORMAT"]
		if header := l.given[group+"HEADER"]; set && format.text == string(formats.NameRFC5424) && header.source == SourceDefault {
			delete(l.given, group+"HEADER") // it has its own, whatever the preset says
		}
	}
}

func (l *loader) checkSyslog(group string, d *SyslogDestination) {
	before := len(l.mistakes)
	most := Size(syslog.LargestMaxSize)
	if d.Addr.Datagrams() {
		most = syslog.LargestDatagram
		l.require(group+"FRAMING", d.Framing == FramingAuto, "does nothing for datagrams")
	}
	l.require(group+"MAX_SIZE", formats.MinSize <= d.MaxSize && d.MaxSize <= most, "is out of range")
	l.require(group+"HOSTNAME", isName(d.Hostname, maxHost), "has a space or another character, or is too long")
	l.require(group+"APP_NAME", isName(d.AppName, 48), "has a space or another character, or is too long")
	l.require(group+"SERVER_NAME", isName(d.ServerName, maxHost), "has a space or another character, or is too long")
	l.require(group+"HEADER", d.Format != formats.NameRFC5424 || d.Header == formats.HeaderRFC5424,
		"does not go with "+known[group+"FORMAT"].doc.Name+"=rfc5424, which has the header of RFC 5424")
	if d.Addr.Network != "" && d.Addr.Network != "tls" {
		for _, key := range []string{"CA_FILE", "CERT_FILE", "KEY_FILE", "SERVER_NAME"} {
			l.require(group+key, false, "does nothing while "+known[group+"ADDR"].doc.Name+" does not begin with tls://")
		}
	}
	l.require(group+"CERT_FILE", d.KeyFile != "", "does nothing while "+known[group+"KEY_FILE"].doc.Name+" is not set")
	l.require(group+"KEY_FILE", d.CertFile != "", "does nothing while "+known[group+"CERT_FILE"].doc.Name+" is not set")
	if _, right := l.given[group+"ADDR"]; !right || len(l.mistakes) > before {
		return
	}
	if _, err := d.format(); err != nil {
		l.add(group+"FORMAT", "cannot be used: "+printable(err.Error()))
	}
	if _, err := d.open(nil); err != nil { // the files
		l.unusable(group, "ADDR", err)
	}
	if d.Addr.Network == "tcp" || d.Addr.Network == "udp" {
		host, _, _ := net.SplitHostPort(d.Addr.Host) // it was joined by its parser
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			l.warnings = append(l.warnings, known[group+"ADDR"].doc.Name+": "+d.Addr.Network+" sends the events in clear; use tls")
		}
	}
}

var framings = map[Framing]syslog.Framing{
	FramingAuto: syslog.FramingAuto, FramingOctet: syslog.FramingOctet, FramingLF: syslog.FramingLF,
}

// size is the most bytes of a message.
func (d SyslogDestination) size() int {
	switch {
	case d.MaxSize > 0:
		return int(d.MaxSize)
	case d.Addr.Network == "udp":
		return syslog.DefaultMaxDatagram
	}
	return syslog.DefaultMaxSize
}

func (d SyslogDestination) open(log *slog.Logger) (*syslog.Sink, error) {
	return syslog.New(d.Addr, syslog.Options{
		Framing: framings[d.Framing], MaxSize: d.size(),
		CAFile: d.CAFile, CertFile: d.CertFile, KeyFile: d.KeyFile, ServerName: d.ServerName, Log: log,
	})
}

func (d SyslogDestination) format() (emitter.Format, error) {
	return formats.New(formats.Options{
		Format: d.Format, Header: d.Header, MaxSize: d.size(), Facility: int(d.Facility),
		Host: d.Hostname, AppName: d.AppName, SDID: d.SDID,
	})
}

package config

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/syslog"
)

func TestSyslogs(t *testing.T) {
	defaults := SyslogDestination{Addr: syslog.Address{Network: "tls", Host: "127.0.0.1:6514"}, Format: "rfc5424", Header: "rfc5424", Framing: FramingAuto, Facility: 16, Name: "syslog"}
	for _, tt := range []struct {
		name, environ string
		change        func(*SyslogDestination)
		size          int
	}{
		{"defaults", syslogOn, func(*SyslogDestination) {}, 8192},
		{"UDP", "SYSLOG_ADDR=udp://127.0.0.1", func(d *SyslogDestination) { d.Addr = syslog.Address{Network: "udp", Host: "127.0.0.1:514"} }, 1024},
		{"everything", syslogOn + `SYSLOG_FORMAT=cef SYSLOG_HEADER=none SYSLOG_FRAMING=lf SYSLOG_FACILITY=13 SYSLOG_HOSTNAME=h SYSLOG_APP_NAME=a
			SYSLOG_SD_ID=x@1 SYSLOG_MAX_SIZE=64KiB SYSLOG_SERVER_NAME=siem SYSLOG_NAME=siem`, func(d *SyslogDestination) {
			d.Format, d.Header, d.Framing, d.Facility, d.Hostname, d.AppName = "cef", "none", FramingLF, 13, "h", "a"
			d.SDID, d.MaxSize, d.ServerName, d.Name = "x@1", 64<<10, "siem", "siem"
		}, 65536},
		{"preset", syslogOn + "SYSLOG_PRESET=qradar", func(d *SyslogDestination) {
			d.Preset, d.Format, d.Header, d.Framing, d.MaxSize = PresetQRadar, "leef", "rfc3164", FramingLF, 4096
		}, 4096},
		{"preset, but", syslogOn + "SYSLOG_PRESET=QRADAR SYSLOG_FORMAT=leef1 SYSLOG_FRAMING=auto SYSLOG_MAX_SIZE=8KiB SYSLOG_FACILITY=auth", func(d *SyslogDestination) {
			d.Preset, d.Format, d.Header, d.MaxSize, d.Facility = PresetQRadar, "leef1", "rfc3164", 8192, 4
		}, 8192},
		{"preset with the format of another header", syslogOn + "SYSLOG_PRESET=arcsight SYSLOG_FORMAT=rfc5424", func(d *SyslogDestination) {
			d.Preset, d.Framing = PresetArcSight, FramingLF
		}, 8192},
		{"preset over UDP", "SYSLOG_ADDR=udp://127.0.0.1 SYSLOG_PRESET=qradar", func(d *SyslogDestination) {
			d.Addr = syslog.Address{Network: "udp", Host: "127.0.0.1:514"}
			d.Preset, d.Format, d.Header = PresetQRadar, "leef", "rfc3164"
		}, 1024},
		{"second", "SYSLOG_2_ADDR=unixgram:///dev/log SYSLOG_2_PRESET=rsyslog", func(d *SyslogDestination) {
			d.Addr = syslog.Address{Network: "unixgram", Host: "/dev/log"}
			d.Preset, d.MaxSize, d.Name = PresetRsyslog, 8192, "syslog-2"
		}, 8192},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := defaults
			tt.change(&want)
			got, warnings, err := Load(environ(tt.environ), plain)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("error %v, warnings %q", err, warnings)
			}
			if diff := cmp.Diff([]SyslogDestination{want}, got.Syslogs, options); diff != "" || got.Syslogs[0].size() != tt.size {
				t.Errorf("size %d; -want +got\n%s", got.Syslogs[0].size(), diff)
			}
		})
	}
	if _, warnings, err := Load(environ("SYSLOG_ADDR=tcp://siem.example"), plain); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "in clear") {
		t.Errorf("events in clear: warnings %q, error %v", warnings, err)
	}
	values, err := Effective(environ(syslogOn+"SYSLOG_PRESET=qradar"), plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v.Name == "VMCP_AUDIT_SYSLOG_FORMAT" && v != (Value{v.Name, "leef", SourceDefault, "VMCP_AUDIT_SYSLOG_PRESET"}) {
			t.Errorf("effective %+v", v)
		}
		if v.Name == "VMCP_AUDIT_SYSLOG_ADDR" && v.Value != "tls://127.0.0.1:6514" {
			t.Errorf("effective %+v", v)
		}
	}
}

func TestSyslogFiles(t *testing.T) {
	no := filepath.Join(t.TempDir(), "no.pem")
	writeFile(t, no, "no certificate")
	for environment, want := range map[string]string{
		"SYSLOG_CA_FILE=" + no:                              `SYSLOG_CA_FILE: "` + no + `" cannot be used: ` + no + ` holds no PEM certificate`,
		"SYSLOG_CERT_FILE=" + no + " SYSLOG_KEY_FILE=" + no: `SYSLOG_CERT_FILE: "` + no + `" cannot be used: with its key: tls: failed to find any PEM data in certificate input`,
	} {
		_, _, err := Load(environ(syslogOn+environment), plain)
		checkOneLine(t, err, `VMCP_AUDIT_`+want)
	}
}

// TestSyslogDelivers sends events as lines with the header that the variables ask
// for, and settles them at the end.
func TestSyslogDelivers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines := make(chan []string, 1)
	go func() {
		var all []string
		defer func() { lines <- all }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for s := bufio.NewScanner(c); s.Scan(); {
			all = append(all, s.Text())
		}
	}()
	trail := opened(t, t.TempDir(), "SYSLOG_HOSTNAME=gw SYSLOG_FACILITY=audit SYSLOG_ADDR=tcp://"+l.Addr().String())
	if s := through(t, trail, emitter.TypeToolsList); s.Routes[0].Pending != 0 || s.Routes[0].Sent != 4 {
		t.Errorf("routes %+v", s.Routes)
	}
	got := <-lines
	if len(got) != 4 || !strings.HasPrefix(got[1], "<110>1 ") || !strings.Contains(got[1], " gw ") || !strings.Contains(got[1], "mcp_tools_list") {
		t.Errorf("got %q", got)
	}
}

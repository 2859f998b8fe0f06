package config

import (
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

// hecDefaults returns what an address and a token switch on.
func hecDefaults() HECDestination {
	return HECDestination{
		URL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, Token: NewSecret(canary), Source: "vmcp-audit", SourceType: "vmcp:audit",
		Format: formats.NameJSON, Ack: AckAuto, AckTimeout: 5 * time.Minute, Gzip: true, BatchSize: 1000, BatchBytes: 1e6,
		BatchLinger: 200 * time.Millisecond, Name: "hec",
	}
}

func TestHECs(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	writeFile(t, token, canary+"\n")
	tests := []struct {
		name, environ string
		change        func(*HECDestination)
	}{
		{"defaults", hecOn, func(*HECDestination) {}},
		{"everything", hecOn + `HEC_INDEX=mcp HEC_SOURCE=s HEC_SOURCETYPE=t HEC_FORMAT=compact HEC_FIELDS=a=b,c=d HEC_ACK=on HEC_ACK_TIMEOUT=300s HEC_GZIP=false
			HEC_INSECURE_SKIP_VERIFY=true HEC_BATCH_SIZE=10 HEC_BATCH_BYTES=5MB HEC_BATCH_LINGER=0s HEC_NAME=splunk`, func(d *HECDestination) {
			d.Index, d.Source, d.SourceType, d.Format, d.Fields = "mcp", "s", "t", formats.NameCompact, map[string]string{"a": "b", "c": "d"}
			d.Ack, d.AckTimeout, d.Gzip, d.InsecureSkipVerify = AckOn, 300*time.Second, false, true
			d.BatchSize, d.BatchBytes, d.BatchLinger, d.Name = 10, 5e6, 0, "splunk"
		}},
		{"second", "HEC_2_URL=http://127.0.0.1 HEC_2_TOKEN=" + canary, func(d *HECDestination) { d.Name = "hec-2" }},
		{"file of the token", "HEC_URL=http://127.0.0.1 HEC_TOKEN_FILE=" + token, func(d *HECDestination) { d.TokenFile = token }},
		{"whole path", "HEC_URL=http://127.0.0.1/p/services/collector/event HEC_TOKEN=" + canary, func(d *HECDestination) { d.URL.Path = "/p/services/collector/event" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := hecDefaults()
			tt.change(&want)
			got, warnings, err := Load(environ(tt.environ), plain)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("error %v, warnings %q", err, warnings)
			}
			if diff := cmp.Diff([]HECDestination{want}, got.HECs, options); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	_, _, err := Load(environ("HEC_TOKEN_FILE="+token), plain)
	checkOneLine(t, err, `VMCP_AUDIT_HEC_TOKEN_FILE: "`+token+`" does nothing while VMCP_AUDIT_HEC_URL is not set`)
	if _, warnings, err := Load(environ("HEC_URL=http://splunk:8088 HEC_TOKEN=x"), plain); err != nil || len(warnings) != 1 {
		t.Errorf("a token in clear: warnings %q, error %v", warnings, err)
	}
}

// TestHECFiles: certificates that cannot be used are a mistake of the
// configuration, found before anything is dialled.
func TestHECFiles(t *testing.T) {
	no := filepath.Join(t.TempDir(), "no.pem")
	writeFile(t, no, "no certificate")
	for environment, want := range map[string]string{
		"HEC_CA_FILE=" + no:                           `HEC_CA_FILE: "` + no + `" cannot be used: ` + no + ` holds no PEM certificate`,
		"HEC_CERT_FILE=" + no + " HEC_KEY_FILE=" + no: `HEC_CERT_FILE: "` + no + `" cannot be used: with its key: tls: failed to find any PEM data in certificate input`,
	} {
		_, _, err := Load(environ(hecOn+environment), plain)
		checkOneLine(t, err, `VMCP_AUDIT_`+want)
	}
}

// TestHECDelivers sends an event with everything that the variables set.
func TestHECDelivers(t *testing.T) {
	collector := hectest.New(hectest.Options{Acks: true})
	server := httptest.NewServer(collector)
	defer server.Close()
	trail := opened(t, t.TempDir(), "HOST=gw HEC_INDEX=mcp HEC_FIELDS=team=soc HEC_BATCH_LINGER=0s HEC_URL="+server.URL+" HEC_TOKEN="+hectest.Token)
	if r := trail.Routes[0]; r.BatchRecords != 4000 || r.BatchBytes != 4e6 || r.Format != nil {
		t.Errorf("route %+v", r)
	}
	if s := through(t, trail, emitter.TypeToolsList); s.Routes[0].Pending != 0 {
		t.Errorf("routes %+v", s.Routes)
	}
	events := collector.Events()
	if len(events) != 4 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	if e.Host != "gw" || e.Source != "vmcp-audit" || e.Type != "vmcp:audit" || e.Index != "mcp" || string(e.Fields["team"]) != `"soc"` {
		t.Errorf("event %+v", e)
	}
	if len(collector.Requests("/ack")) == 0 {
		t.Error("no acknowledgement was waited for")
	}
}

// TestHECFormats delivers one event in each format: JSON as an object, all else as
// text.
func TestHECFormats(t *testing.T) {
	for _, name := range formats.Names() {
		collector := hectest.New(hectest.Options{})
		server := httptest.NewServer(collector)
		defer server.Close()
		trail := opened(t, t.TempDir(), "HEC_BATCH_LINGER=0s HEC_URL="+server.URL+" HEC_TOKEN="+hectest.Token+" HEC_FORMAT="+string(name))
		through(t, trail, emitter.TypeToolsList)
		bodies := collector.Bodies()
		if len(bodies) != 4 {
			t.Fatalf("%s: %d events", name, len(bodies))
		}
		object := name == formats.NameJSON || name == formats.NameFlat
		for _, body := range bodies {
			if begin := body[:1]; (begin == "{") != object || !object && begin != `"` {
				t.Errorf("%s: %s", name, body)
			}
		}
	}
}

// TestFormatWords: a destination takes every format that there is.
func TestFormatWords(t *testing.T) {
	for _, key := range []string{"FILE_FORMAT", "HEC_FORMAT"} {
		var names []string
		for _, n := range formats.Names() {
			names = append(names, string(n))
		}
		if diff := cmp.Diff(names, known[key].words); diff != "" {
			t.Errorf("%s: -want +got\n%s", key, diff)
		}
	}
}

package config

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEffective(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	writeFile(t, key, canary+"\n")
	all := environ(`COMPONENT=gw LABELS=b=2,a=1 UPSTREAM=https://h/mcp MAX_DATA_SIZE=2048 EVENT_TYPES=mcp_ping, LOG_LEVEL=DEBUG
		TRUSTED_PROXIES=10.0.0.1,10.0.0.0/8 DRAIN_TIMEOUT=90s FILE_2_PATH=- FILE_2_FORMAT=compact HASH_KEY_FILE=` + key)
	opt := plain
	opt.Flags = map[string]string{"LISTEN": ":1"}
	got, err := Effective(append(all, "KUBERNETES_SERVICE_HOST=10.0.0.1"), opt)
	if err != nil {
		t.Fatal(err)
	}
	noCanary(t, "Effective", fmt.Sprintf("%v %+v %#v", got, got, got))
	byName := map[string]Value{}
	for _, v := range got {
		byName[v.Name] = v
	}
	want := []Value{
		{"ENABLED", "true", SourceDefault, ""},
		{"COMPONENT", "gw", SourceEnv, "VMCP_AUDIT_COMPONENT"},
		{"LOG_LEVEL", "debug", SourceEnv, "VMCP_AUDIT_LOG_LEVEL"},
		{"LISTEN", ":1", SourceFlag, "--listen"},
		{"UPSTREAM", "https://h/mcp", SourceEnv, "VMCP_AUDIT_UPSTREAM"},
		{"HOST", "gw", SourceDefault, "VMCP_AUDIT_COMPONENT"},
		{"INSTANCE", "gw-7c9f", SourceDefault, "host name"},
		{"LABELS", "a=1,b=2", SourceEnv, "VMCP_AUDIT_LABELS"},
		{"EVENT_TYPES", "mcp_ping", SourceEnv, "VMCP_AUDIT_EVENT_TYPES"},
		{"EXCLUDE_EVENT_TYPES", "", SourceDefault, ""},
		{"MAX_DATA_SIZE", "2KiB", SourceEnv, "VMCP_AUDIT_MAX_DATA_SIZE"},
		{"HASH_KEY", Redacted, SourceFile, key},
		{"HASH_KEY_FILE", key, SourceEnv, "VMCP_AUDIT_HASH_KEY_FILE"},
		{"DIGEST", "hmac", SourceDefault, ""},
		{"FILE_NAME", "file", SourceDefault, ""},
		{"FILE_PATH", "", SourceDefault, ""},
		{"FILE_FORMAT", "json", SourceDefault, ""},
		{"FILE_2_NAME", "file-2", SourceDefault, ""},
		{"FILE_2_PATH", "-", SourceEnv, "VMCP_AUDIT_FILE_2_PATH"},
		{"FILE_2_FORMAT", "compact", SourceEnv, "VMCP_AUDIT_FILE_2_FORMAT"},
		{"TRUSTED_PROXIES", "10.0.0.1/32,10.0.0.0/8", SourceEnv, "VMCP_AUDIT_TRUSTED_PROXIES"},
		{"DRAIN_TIMEOUT", "1m30s", SourceEnv, "VMCP_AUDIT_DRAIN_TIMEOUT"},
	}
	for _, w := range want {
		w.Name = Prefix + w.Name
		if diff := cmp.Diff(w, byName[w.Name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.Name, diff)
		}
	}
	for i, v := range Doc() {
		if got[i].Name != v.Name {
			t.Fatalf("value %d is of %s, want %s", i, got[i].Name, v.Name)
		}
	}
	if n := len(got) - len(Doc()); n != 5 {
		t.Errorf("%d values of numbered destinations, want 5", n)
	}
}

func TestEffectiveOfOtherCases(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		want    Value
	}{
		{"nothing given", nil, Value{"VMCP_AUDIT_HASH_KEY", "", SourceDefault, ""}},
		{"no URL", nil, Value{"VMCP_AUDIT_UPSTREAM", "", SourceDefault, ""}},
		{"secret", []string{"VMCP_AUDIT_HASH_KEY=" + canary}, Value{"VMCP_AUDIT_HASH_KEY", Redacted, SourceEnv, "VMCP_AUDIT_HASH_KEY"}},
		{"attributes", []string{"OTEL_RESOURCE_ATTRIBUTES=a=b"}, Value{"VMCP_AUDIT_LABELS", "a=b", SourceEnv, "OTEL_RESOURCE_ATTRIBUTES"}},
		{"host name", nil, Value{"VMCP_AUDIT_HOST", "gw-7c9f", SourceDefault, "host name"}},
		{"terminal", []string{"VMCP_AUDIT_FILE_PATH=a\x1b[2J"}, Value{"VMCP_AUDIT_FILE_PATH", `"a\x1b[2J"`, SourceEnv, "VMCP_AUDIT_FILE_PATH"}},
		{"token", environ(hecOn), Value{"VMCP_AUDIT_HEC_TOKEN", Redacted, SourceEnv, "VMCP_AUDIT_HEC_TOKEN"}},
		{"address of a HEC", environ(hecOn), Value{"VMCP_AUDIT_HEC_URL", "http://127.0.0.1", SourceEnv, "VMCP_AUDIT_HEC_URL"}},
		{"long duration", nil, Value{"VMCP_AUDIT_HEARTBEAT", "5m", SourceDefault, ""}},
		{"longest duration", environ("HEARTBEAT=1h"), Value{"VMCP_AUDIT_HEARTBEAT", "1h", SourceEnv, "VMCP_AUDIT_HEARTBEAT"}},
		{"strict", environ("DURABILITY=strict"), Value{"VMCP_AUDIT_SPOOL_FULL", "refuse", SourceDefault, "VMCP_AUDIT_DURABILITY"}},
		{"spool", nil, Value{"VMCP_AUDIT_SPOOL_DIR", "/state/spool", SourceDefault, ""}},
		{"spool of systemd", []string{"STATE_DIRECTORY=/s"}, Value{"VMCP_AUDIT_SPOOL_DIR", "/state/spool", SourceDefault, ""}},
		{"first file", []string{"VMCP_AUDIT_FILE_PATH=a", "VMCP_AUDIT_FILE_MAX_SIZE=1000000"}, Value{"VMCP_AUDIT_FILE_MAX_SIZE", "1MB", SourceEnv, "VMCP_AUDIT_FILE_MAX_SIZE"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			values, err := Effective(tt.environ, plain)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				if v.Name == tt.want.Name && v != tt.want {
					t.Errorf("got %+v, want %+v", v, tt.want)
				}
			}
		})
	}
	if values, err := Effective(environ("LISTEN=x"), plain); err == nil || values != nil {
		t.Errorf("a wrong configuration: %v, %v", values, err)
	}
}

package config

import (
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// options compare a Config deeply.
var options = cmp.Options{
	cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.IgnoreUnexported(Config{}),
}

// plain are the options of tests that do not depend on the machine.
var plain = LoadOptions{HostName: "gw-7c9f", StateDir: "/state", Known: []string{"mcp_tool_call", "mcp_tools_list", "mcp_ping", "audit_start"}}

// defaults returns the configuration of an empty environment.
func defaults() Config {
	return Config{
		Enabled: true, Component: "vmcp-server", Listen: "127.0.0.1:4484", Host: "gw-7c9f", Instance: "gw-7c9f",
		MaxDataSize: 1024, Digest: middleware.DigestHMAC, DrainTimeout: 10 * time.Second, UnknownEnv: UnknownError,
		Durability: Durable, SpoolDir: "/state/spool", SpoolMax: 1 << 30, SpoolFull: DropNewest,
		Heartbeat: 5 * time.Minute, FloodLimit: 60, FlushTimeout: 10 * time.Second,
	}
}

func TestLoad(t *testing.T) {
	list := strings.Split("10.0.0.0/8,192.0.2.7,2001:db8::/32,::1,10.1.0.0/16", ",")
	tests := []struct {
		name    string
		environ []string
		change  func(*Config)
	}{
		{"nothing set", nil, func(*Config) {}},
		{"others' variables", []string{"HOME=/root", "VMCP_AUDITOR=1", "vmcp_audit_listen=x", "no equals sign", "=x"}, func(*Config) {}},
		{"the last one counts", []string{"VMCP_AUDIT_COMPONENT=a", "VMCP_AUDIT_COMPONENT=b"}, func(c *Config) { c.Component = "b" }},
		{"value with equals signs", []string{"VMCP_AUDIT_COMPONENT=a=b=c"}, func(c *Config) { c.Component = "a=b=c" }},
		{"booleans", []string{"VMCP_AUDIT_ENABLED=False", "VMCP_AUDIT_INCLUDE_REQUEST_DATA=1", "VMCP_AUDIT_INCLUDE_RESPONSE_DATA=true"}, func(c *Config) {
			c.Enabled, c.IncludeRequestData, c.IncludeResponseData = false, true, true
		}},
		{"words in any case", []string{"VMCP_AUDIT_LOG_LEVEL=WARN", "VMCP_AUDIT_DIGEST=SHA256", "VMCP_AUDIT_UNKNOWN_ENV=Warn"}, func(c *Config) {
			c.LogLevel, c.Digest, c.UnknownEnv = 4, middleware.DigestSHA256, UnknownWarn
		}},
		{"all interfaces", []string{"VMCP_AUDIT_LISTEN=:0"}, func(c *Config) { c.Listen = ":0" }},
		{"IPv6", []string{"VMCP_AUDIT_LISTEN=[::1]:4484"}, func(c *Config) { c.Listen = "[::1]:4484" }},
		{"host name", []string{"VMCP_AUDIT_LISTEN=gw-1.example:80"}, func(c *Config) { c.Listen = "gw-1.example:80" }},
		{"upstream", []string{"VMCP_AUDIT_UPSTREAM=https://mcp.example:8443/base/"}, func(c *Config) {
			c.Upstream = &url.URL{Scheme: "https", Host: "mcp.example:8443", Path: "/base/"}
		}},
		{"host and instance", []string{"VMCP_AUDIT_HOST=gw-prod", "VMCP_AUDIT_INSTANCE=pod-1"}, func(c *Config) { c.Host, c.Instance = "gw-prod", "pod-1" }},
		{"in Kubernetes", []string{"KUBERNETES_SERVICE_HOST=10.0.0.1", "VMCP_AUDIT_COMPONENT=gw"}, func(c *Config) { c.Component, c.Host = "gw", "gw" }},
		{"in Kubernetes with a host", []string{"KUBERNETES_SERVICE_HOST=10.0.0.1", "VMCP_AUDIT_HOST=h"}, func(c *Config) { c.Host = "h" }},
		{"lists", []string{"VMCP_AUDIT_EVENT_TYPES= mcp_tool_call , mcp_ping,", "VMCP_AUDIT_EXCLUDE_EVENT_TYPES=mcp_ping", "VMCP_AUDIT_PRIVILEGED_TOOLS=admin_*,[a-c]?"}, func(c *Config) {
			c.EventTypes, c.ExcludeEventTypes = []string{"mcp_tool_call", "mcp_ping"}, []string{"mcp_ping"}
			c.PrivilegedTools = []string{"admin_*", "[a-c]?"}
		}},
		{"largest data size", []string{"VMCP_AUDIT_MAX_DATA_SIZE=64KiB"}, func(c *Config) { c.MaxDataSize = 65536 }},
		{"shortest key", []string{"VMCP_AUDIT_HASH_KEY=0123456789abcdef"}, func(c *Config) { c.HashKey = NewSecret("0123456789abcdef") }},
		{"networks", []string{"VMCP_AUDIT_TRUSTED_PROXIES=" + strings.Join(list, ", ")}, func(c *Config) {
			c.TrustedProxies = []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"),
				netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.1.0.0/16"),
			}
		}},
		{"IPv4 inside IPv6", []string{"VMCP_AUDIT_TRUSTED_PROXIES=::ffff:192.0.2.7"}, func(c *Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
		}},
		{"strict", []string{"VMCP_AUDIT_DURABILITY=strict"}, func(c *Config) { c.Durability, c.SpoolFull = Strict, Refuse }},
		{"strict in full", environ("DURABILITY=strict SPOOL_FULL=refuse"), func(c *Config) { c.Durability, c.SpoolFull = Strict, Refuse }},
		{"spool", environ("DURABILITY=async SPOOL_DIR=s SPOOL_MAX_SIZE=1MiB SPOOL_FULL=drop-oldest HEARTBEAT=0s FLUSH_TIMEOUT=0s"), func(c *Config) {
			c.Durability, c.SpoolDir, c.SpoolMax, c.SpoolFull, c.Heartbeat, c.FlushTimeout = Async, "s", 1<<20, DropOldest, 0, 0
		}},
		{"durations", []string{"VMCP_AUDIT_SHUTDOWN_DELAY=1h", "VMCP_AUDIT_DRAIN_TIMEOUT=0s"}, func(c *Config) {
			c.ShutdownDelay, c.DrainTimeout = time.Hour, 0
		}},
		{"empty where the default is empty", []string{
			"VMCP_AUDIT_UPSTREAM=", "VMCP_AUDIT_HOST=", "VMCP_AUDIT_INSTANCE=", "VMCP_AUDIT_LABELS=", "VMCP_AUDIT_EVENT_TYPES=",
			"VMCP_AUDIT_HASH_KEY=", "VMCP_AUDIT_HASH_KEY_FILE=", "VMCP_AUDIT_FILE_PATH=", "VMCP_AUDIT_FILE_2_PATH=", "VMCP_AUDIT_TRUSTED_PROXIES=",
		}, func(*Config) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := defaults()
			tt.change(&want)
			got, warnings, err := Load(tt.environ, plain)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("Load: error %v, warnings %q", err, warnings)
			}
			if diff := cmp.Diff(want, got, options); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadReadsOnlyWhatItIsGiven(t *testing.T) {
	t.Setenv("VMCP_AUDIT_COMPONENT", "from-the-process")
	t.Setenv("VMCP_AUDIT_TYPO", "x")
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	for _, environ := range [][]string{nil, {}} {
		got, _, err := Load(environ, plain)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(defaults(), got, options); diff != "" {
			t.Errorf("Load (-want +got):\n%s", diff)
		}
	}
}

func TestHostNameOfTheSystem(t *testing.T) {
	want, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	if got, _, err := Load(nil, LoadOptions{}); err != nil || got.Host != want || got.Instance != want {
		t.Errorf("host %q, instance %q, %v; want %q", got.Host, got.Instance, err, want)
	}
	got, warnings, err := Load(nil, LoadOptions{HostName: "not a name"})
	if err != nil || got.Host != "unknown" || len(warnings) != 1 {
		t.Errorf("host %q, warnings %q, %v; want unknown and a warning", got.Host, warnings, err)
	}
}

func TestFiles(t *testing.T) {
	one := FileDestination{Name: "file", Path: "a", Format: formats.NameJSON}
	two := FileDestination{Name: "file-2", Path: "-", Format: formats.NameCompact}
	tests := []struct {
		name    string
		environ string
		want    []FileDestination
	}{
		{"one", "FILE_PATH=a", []FileDestination{one}},
		{"two", "FILE_2_PATH=- FILE_2_FORMAT=compact FILE_PATH=a", []FileDestination{one, two}},
		{"only the second", "FILE_2_PATH=- FILE_2_FORMAT=compact", []FileDestination{two}},
		{"last", "FILE_9_PATH=a", []FileDestination{{Name: "file-9", Path: "a", Format: formats.NameJSON}}},
		{"everything", "FILE_PATH=a FILE_NAME=debug-1 FILE_FORMAT=compact FILE_MAX_SIZE=64MiB FILE_MAX_FILES=5", []FileDestination{
			{Name: "debug-1", Path: "a", Format: formats.NameCompact, MaxSize: 64 << 20, MaxFiles: 5},
		}},
		{"names exchanged", "FILE_PATH=a FILE_NAME=file-2 FILE_2_PATH=b FILE_2_NAME=file", []FileDestination{
			{Name: "file-2", Path: "a", Format: formats.NameJSON}, {Name: "file", Path: "b", Format: formats.NameJSON},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := Load(environ(tt.environ), plain)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Files); diff != "" {
				t.Errorf("Files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretFile(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"plain", "0123456789abcdef", "0123456789abcdef"},
		{"end of line", "0123456789abcdef\n", "0123456789abcdef"},
		{"Windows", "0123456789abcdef\r\n\r\n", "0123456789abcdef"},
		{"spaces stay", " 0123456789abcdef \n", " 0123456789abcdef "},
		{"largest", strings.Repeat("x", MaxSecretFile), strings.Repeat("x", MaxSecretFile)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			link := path + "-link" // as Kubernetes mounts secrets
			writeFile(t, path, tt.content)
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			got, _, err := Load([]string{"VMCP_AUDIT_HASH_KEY_FILE=" + link}, plain)
			if err != nil || got.HashKey.Reveal() != tt.want {
				t.Errorf("HashKey of %d bytes, %v; want %d", len(got.HashKey.Reveal()), err, len(tt.want))
			}
		})
	}
}

func TestLabels(t *testing.T) {
	many := func(n int) string {
		var pairs []string
		for i := range n {
			pairs = append(pairs, "k"+strconv.Itoa(i)+"=v")
		}
		return strings.Join(pairs, ",")
	}
	tests := []struct {
		name     string
		environ  []string
		want     map[string]string // nil: any
		warnings int
	}{
		{"ours", []string{"VMCP_AUDIT_LABELS=cluster=eu1, stage = prod ,empty="}, map[string]string{"cluster": "eu1", "stage": "prod", "empty": ""}, 0},
		{"not decoded", []string{"VMCP_AUDIT_LABELS=a=50%25"}, map[string]string{"a": "50%25"}, 0},
		{"from OpenTelemetry", []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=gw, k8s.pod.name=p%2C1+%20x"}, map[string]string{"service.name": "gw", "k8s.pod.name": "p,1+ x"}, 0},
		{"ours win", []string{"OTEL_RESOURCE_ATTRIBUTES=a=b", "VMCP_AUDIT_LABELS=c=d"}, map[string]string{"c": "d"}, 0},
		{"ours are empty", []string{"OTEL_RESOURCE_ATTRIBUTES=a=b", "VMCP_AUDIT_LABELS="}, map[string]string{"a": "b"}, 0},
		{"OpenTelemetry's are empty", []string{"OTEL_RESOURCE_ATTRIBUTES="}, nil, 0},
		{"OpenTelemetry's are wrong", []string{"OTEL_RESOURCE_ATTRIBUTES=a=b,novalue,=x,c=%zz,d=%0A,e=" + strings.Repeat("x", 257)}, map[string]string{"a": "b"}, 1},
		{"OpenTelemetry's are many", []string{"OTEL_RESOURCE_ATTRIBUTES=" + many(40) + ",k0=w"}, nil, 1},
		{"most", []string{"VMCP_AUDIT_LABELS=" + many(16)}, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := Load(tt.environ, plain)
			if err != nil || len(warnings) != tt.warnings || len(got.Labels) > MaxLabels {
				t.Fatalf("%d labels, warnings %q, error %v", len(got.Labels), warnings, err)
			}
			if diff := cmp.Diff(tt.want, got.Labels); tt.want != nil && diff != "" {
				t.Errorf("Labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagsWin(t *testing.T) {
	opt := plain
	opt.Flags = map[string]string{"LISTEN": ":1", "UPSTREAM": "", "FILE_2_PATH": "-"}
	got, _, err := Load([]string{"VMCP_AUDIT_LISTEN=wrong", "VMCP_AUDIT_UPSTREAM=wrong", "VMCP_AUDIT_COMPONENT=c"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Listen, want.Component = ":1", "c"
	want.Files = []FileDestination{{Name: "file-2", Path: "-", Format: formats.NameJSON}}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestKubernetesNames(t *testing.T) {
	service := func(name string) []string {
		return []string{
			name + "_SERVICE_HOST=10.0.0.2", name + "_SERVICE_PORT=80", name + "_SERVICE_PORT_HTTP=80", name + "_PORT=tcp://10.0.0.2:80",
			name + "_PORT_80_TCP=tcp://10.0.0.2:80", name + "_PORT_80_TCP_PROTO=tcp", name + "_PORT_80_TCP_PORT=80", name + "_PORT_80_TCP_ADDR=10.0.0.2",
		}
	}
	for _, env := range service("VMCP_AUDIT") { // each of them alone
		if _, _, err := Load([]string{env}, plain); err != nil {
			t.Errorf("%s: %v", env, err)
		}
	}
	if _, _, err := Load(slices.Concat(service("VMCP_AUDIT"), service("VMCP_AUDIT_OPS"), service("VMCP_AUDIT_FILE_2")), plain); err != nil {
		t.Errorf("Services vmcp-audit, vmcp-audit-ops, vmcp-audit-file-2: %v", err)
	}
	for _, env := range []string{
		"VMCP_AUDIT_LISTEN_PORT=80", "VMCP_AUDIT_OPS_PORT_80_TCP=x", "VMCP_AUDIT_PORTS=1", "VMCP_AUDIT_SERVICE=1", "VMCP_AUDIT_SERVICE_HOSTS=1",
		"VMCP_AUDIT_SERVICE_NAME=1", "VMCP_AUDIT_=1",
	} {
		if _, _, err := Load([]string{env}, plain); err == nil {
			t.Errorf("%s was taken for a name that Kubernetes injects", env)
		}
	}
}

// environ returns the variables of a text such as "LISTEN=:1 FILE_PATH=-".
func environ(text string) []string {
	var all []string
	for field := range strings.FieldsSeq(text) {
		all = append(all, Prefix+field)
	}
	return all
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

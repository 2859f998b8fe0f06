package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// syslogOn switches a syslog receiver on.
const syslogOn = "SYSLOG_ADDR=tls://127.0.0.1 "

// hecOn switches a HEC on.
const hecOn = "HEC_URL=http://127.0.0.1 HEC_TOKEN=" + canary + " "

func TestMistakes(t *testing.T) {
	list := func(n int) string { return strings.Repeat("x,", n) }
	tests := []struct{ environ, want string }{ // want: how the only line begins, without the prefix
		{"ENABLED=maybe", `ENABLED: "maybe" is neither true nor false; allowed: true or false; example: VMCP_AUDIT_ENABLED=false`},
		{"LOG_LEVEL=loud", `LOG_LEVEL: "loud" is not one of the allowed words; allowed: debug, info, warn, error; example: VMCP_AUDIT_LOG_LEVEL=debug`},
		{"DIGEST=md5", `DIGEST: "md5" is not one of the allowed words; allowed: hmac, sha256, none`},
		{"UNKNOWN_ENV=ignore", `UNKNOWN_ENV: "ignore" is not one of the allowed words; allowed: error, warn`},
		{"COMPONENT=gw\u00e9", `COMPONENT: "gwé" has a space or another character`},
		{"COMPONENT=" + strings.Repeat("x", 65), `COMPONENT: "` + strings.Repeat("x", 64) + `"... has a space`},
		{"HOST=a\x1b[31m", `HOST: "a\x1b[31m" has a space`},
		{"INSTANCE=" + strings.Repeat("x", 256), `INSTANCE: "` + strings.Repeat("x", 64) + `"... has a space`},
		{"LISTEN=4484", `LISTEN: "4484" is not host:port; allowed: host:port`},
		{"LISTEN=:http", `LISTEN: ":http" is not host:port`},
		{"LISTEN=:65536", `LISTEN: ":65536" is not host:port`},
		{"LISTEN=a/b:1", `LISTEN: "a/b:1" is not host:port`},
		{"LISTEN=http://localhost:1", `LISTEN: "http://localhost:1" is not host:port`},
		{"UPSTREAM=localhost:8080", `UPSTREAM: "localhost:8080" does not begin with http:// or https://; allowed: http or https URL`},
		{"UPSTREAM=ftp://h", `UPSTREAM: "ftp://h" does not begin`},
		{"UPSTREAM=http:h", `UPSTREAM: "http:h" names no host`},
		{"UPSTREAM=http://:80", `UPSTREAM: "http://:80" names no host`},
		{"UPSTREAM=http://h:0", `UPSTREAM: "http://h:0" has a port`},
		{"UPSTREAM=http://h:x", `UPSTREAM: ` + notShown + ` is not a URL`},
		{"UPSTREAM=http://u:" + canary + "@h", `UPSTREAM: ` + notShown + ` holds a user name or a password`},
		{"UPSTREAM=http://u:" + canary + "@h:x", `UPSTREAM: ` + notShown + ` is not a URL`},
		{"UPSTREAM=http://u:" + canary + "h:80", `UPSTREAM: ` + notShown + ` is not a URL`},
		{"UPSTREAM=http://[::1]:x" + canary + "/", `UPSTREAM: ` + notShown + ` is not a URL`},
		{"UPSTREAM=http://u:#" + canary + "@h", `UPSTREAM: ` + notShown + ` has a query or a fragment`},
		{"UPSTREAM=h?token=" + canary, `UPSTREAM: ` + notShown + ` has a query or a fragment`},
		{"UPSTREAM=http://h?", `UPSTREAM: ` + notShown + ` has a query or a fragment`},
		{"LABELS=a", `LABELS: "a" has the label "a" without =; allowed: key=value,key=value`},
		{"LABELS==a", `LABELS: "=a" has the key "", which`},
		{"LABELS=a=1,a=2", `LABELS: "a=1,a=2" has the key "a" twice`},
		{"LABELS=a=\x01x", `LABELS: "a=\x01x" has a control character or bad UTF-8 in the value of "a"`},
		{"LABELS=a=" + strings.Repeat("v", 257), `LABELS: "a=` + strings.Repeat("v", 62) + `"... has a value of 257 bytes for "a"`},
		{"LABELS=" + strings.Repeat("k", 65) + "=v", `LABELS: "` + strings.Repeat("k", 64) + `"... has the key "` + strings.Repeat("k", 64) + `"..., which is too long`},
		{"EVENT_TYPES=,", `EVENT_TYPES: "," lists nothing`},
		{"EVENT_TYPES=mcp_tol_call", `EVENT_TYPES: "mcp_tol_call" lists the unknown event type "mcp_tol_call", did you mean mcp_tool_call?`},
		{"EVENT_TYPES=other", `EVENT_TYPES: "other" lists the unknown event type "other"; allowed`},
		{"EVENT_TYPES=" + list(257), `EVENT_TYPES: "` + list(32) + `"... lists 257 items, more than 256`},
		{"EXCLUDE_EVENT_TYPES=audit_start", `EXCLUDE_EVENT_TYPES: "audit_start" lists "audit_start", but audit_* is recorded always`},
		{"MAX_DATA_SIZE=1K", `MAX_DATA_SIZE: "1K" is not a size; allowed: 1 to 64KiB, as 500, 1KiB, 4kB; example: VMCP_AUDIT_MAX_DATA_SIZE=4KiB`},
		{"MAX_DATA_SIZE=0", `MAX_DATA_SIZE: "0" is out of range`},
		{"MAX_DATA_SIZE=65KiB", `MAX_DATA_SIZE: "65KiB" is out of range`},
		{"PRIVILEGED_TOOLS=ok,[a", `PRIVILEGED_TOOLS: "ok,[a" lists "[a", which is not a pattern`},
		{"HASH_KEY=" + canary[:15], `HASH_KEY: is too short; allowed: at least 16 bytes`},
		{"TRUSTED_PROXIES=proxy", `TRUSTED_PROXIES: "proxy" lists "proxy", which is neither an address nor a CIDR network`},
		{"TRUSTED_PROXIES=http://u:" + canary + "@h", `TRUSTED_PROXIES: ` + notShown + ` lists ` + notShown + `, which is neither`},
		{"TRUSTED_PROXIES=fe80::1%eth0", `TRUSTED_PROXIES: "fe80::1%eth0" lists "fe80::1%eth0", which is neither`},
		{"TRUSTED_PROXIES=10.0.0.7/8", `TRUSTED_PROXIES: "10.0.0.7/8" lists "10.0.0.7/8", which is an address inside the network 10.0.0.0/8; write one or the other`},
		{"SHUTDOWN_DELAY=10", `SHUTDOWN_DELAY: "10" has no unit; allowed: 0s to 1h, as 500ms, 10s, 2m; example: VMCP_AUDIT_SHUTDOWN_DELAY=5s`},
		{"SHUTDOWN_DELAY=-1s", `SHUTDOWN_DELAY: "-1s" is negative`},
		{"DRAIN_TIMEOUT=61m", `DRAIN_TIMEOUT: "61m" is too long`},
		{"DRAIN_TIMEOUT=soon", `DRAIN_TIMEOUT: "soon" is not a duration`},

		{"COMPONENT=", `COMPONENT: is set but empty; allowed: 1 to 64`},
		{"LOG_LEVEL=", `LOG_LEVEL: is set but empty; allowed: debug`},
		{"DIGEST=", `DIGEST: is set but empty`},
		{"MAX_DATA_SIZE=", `MAX_DATA_SIZE: is set but empty`},
		{"FILE_PATH=a FILE_NAME=", `FILE_NAME: is set but empty`},
		{"FILE_PATH=a FILE_MAX_SIZE=", `FILE_MAX_SIZE: is set but empty`},

		{"FILE_FORMAT=json", `FILE_FORMAT: "json" does nothing while VMCP_AUDIT_FILE_PATH is not set`},
		{"FILE_2_NAME=x FILE_PATH=a", `FILE_2_NAME: "x" does nothing while VMCP_AUDIT_FILE_2_PATH is not set`},
		{"FILE_PATH= FILE_MAX_FILES=1", `FILE_MAX_FILES: "1" does nothing while VMCP_AUDIT_FILE_PATH is not set`},
		{"FILE_PATH=a FILE_FORMAT=xml", `FILE_FORMAT: "xml" is not one of the allowed words; allowed: json, flat, cef,`},
		{"FILE_PATH=a FILE_NAME=A", `FILE_NAME: "A" is not a name; allowed: 1 to 32 of a-z`},
		{"FILE_PATH=a FILE_NAME=" + strings.Repeat("n", 33), `FILE_NAME: "` + strings.Repeat("n", 33) + `" is not a name`},
		{"FILE_PATH=a FILE_2_PATH=b FILE_2_NAME=file", `FILE_2_NAME: "file" is "file", the name of VMCP_AUDIT_FILE_PATH already`},
		{"FILE_PATH=a FILE_2_PATH=b FILE_NAME=file-2", `FILE_2_NAME: is "file-2", the name of VMCP_AUDIT_FILE_PATH already`},
		{"FILE_PATH=a FILE_2_PATH=./a", `FILE_2_PATH: "./a" is the same as VMCP_AUDIT_FILE_PATH`},
		{"FILE_PATH=- FILE_3_PATH=-", `FILE_3_PATH: "-" is the same as VMCP_AUDIT_FILE_PATH`},
		{"FILE_PATH=a FILE_MAX_SIZE=big", `FILE_MAX_SIZE: "big" is not a size`},
		{"FILE_PATH=a FILE_MAX_SIZE=big FILE_MAX_FILES=3", `FILE_MAX_SIZE: "big" is not a size`},
		{"FILE_PATH=a FILE_MAX_SIZE=9GiB FILE_MAX_FILES=-1", `FILE_MAX_FILES: "-1" is not a whole number`},
		{"FILE_PATH=a FILE_MAX_SIZE=9GiB FILE_MAX_FILES=10000", `FILE_MAX_FILES: "10000" is out of range`},
		{"FILE_PATH=a FILE_MAX_FILES=3", `FILE_MAX_FILES: "3" does nothing while VMCP_AUDIT_FILE_MAX_SIZE is 0`},
		{"FILE_PATH=- FILE_MAX_SIZE=1MiB", `FILE_MAX_SIZE: "1MiB" does nothing for stdout`},

		{"FILE_PAHT=a", `FILE_PAHT: is not known, did you mean VMCP_AUDIT_FILE_PATH?`},
		{"file_path=a", `file_path: is not known, did you mean VMCP_AUDIT_FILE_PATH?`},
		{"HASHKEY=" + canary, `HASHKEY: is not known, did you mean VMCP_AUDIT_HASH_KEY?`},
		{"HASH_KEY:" + canary + "=x", `HASH_KEY...: is not a name: it has characters other than letters, digits and _`},
		{"FILE_1_PATH=a", `FILE_1_PATH: is not known: the first destination has no number (VMCP_AUDIT_FILE_PATH), others have 2 to 9`},
		{"FILE_10_PATH=a", `FILE_10_PATH: is not known: the first destination has no number`},
		{"KAFKA_URL=https://h", "KAFKA_URL: is not known; `vmcp-audit env` lists every variable"},

		{"SPOOL_MAX_SIZE=1023KiB", `SPOOL_MAX_SIZE: "1023KiB" is too small; allowed: 1MiB and more`},
		{"SPOOL_FULL=block", `SPOOL_FULL: "block" is not one of the allowed words; allowed: drop-newest, drop-oldest, refuse`},
		{"DURABILITY=strict SPOOL_FULL=drop-oldest", `SPOOL_FULL: "drop-oldest" contradicts VMCP_AUDIT_DURABILITY=strict, which means refuse`},
		{"DURABILITY=strict SPOOL_FULL=drop-newest", `SPOOL_FULL: "drop-newest" contradicts VMCP_AUDIT_DURABILITY=strict`},
		{"DURABILITY=fast", `DURABILITY: "fast" is not one of the allowed words; allowed: durable, strict, async`},
		{"HEARTBEAT=2h", `HEARTBEAT: "2h" is too long`},
		{"FLUSH_TIMEOUT=1", `FLUSH_TIMEOUT: "1" has no unit`},
		{"SPOOLDIR=a", `SPOOLDIR: is not known, did you mean VMCP_AUDIT_SPOOL_DIR?`},

		{"HEC_TOKEN=" + canary, `HEC_TOKEN: does nothing while VMCP_AUDIT_HEC_URL is not set`},
		{"HEC_URL=https://h", `HEC_TOKEN: is not set, nor is VMCP_AUDIT_HEC_TOKEN_FILE; allowed: printable`},
		{"HEC_URL=https://h HEC_2_URL=https://i HEC_TOKEN=" + canary, `HEC_2_TOKEN: is not set, nor is VMCP_AUDIT_HEC_2_TOKEN_FILE`},
		{hecOn + "HEC_2_URL=http://127.0.0.1 HEC_2_NAME=hec HEC_2_TOKEN=x", `HEC_2_NAME: "hec" is "hec", the name of VMCP_AUDIT_HEC_URL already`},
		{hecOn + "FILE_PATH=a FILE_NAME=hec", `HEC_NAME: is "hec", the name of VMCP_AUDIT_FILE_PATH already`},
		{"HEC_TOKEN=" + canary + " HEC_URL=splunk:8088", `HEC_URL: "splunk:8088" does not begin with http:// or https://`},
		{"HEC_TOKEN=" + canary + " HEC_URL=https://u:" + canary + "@h", `HEC_URL: ` + notShown + ` holds a user name or a password`},
		{"HEC_TOKEN=" + canary + " HEC_URL=https://h?token=" + canary, `HEC_URL: ` + notShown + ` has a query`},
		{"HEC_TOKEN=" + canary + " HEC_URL=https://h/services/collector/raw", `HEC_URL: "https://h/services/collector/raw" cannot be used: URL must end in /services/collector/event, or before it`},
		{hecOn + "HEC_INDEX=Audit", `HEC_INDEX: "Audit" is not the name of an index; allowed: 1 to 80`},
		{hecOn + "HEC_SOURCE=", `HEC_SOURCE: is set but empty`},
		{hecOn + "HEC_SOURCETYPE=" + strings.Repeat("s", 256), `HEC_SOURCETYPE: "` + strings.Repeat("s", 64) + `"... has another character, or is too long`},
		{hecOn + "HEC_FORMAT=xml", `HEC_FORMAT: "xml" is not one of the allowed words; allowed: json, flat, cef,`},
		{hecOn + "HEC_FIELDS=a", `HEC_FIELDS: "a" has the label "a" without =`},
		{hecOn + "HEC_ACK=yes", `HEC_ACK: "yes" is not one of the allowed words; allowed: auto, on, off`},
		{hecOn + "HEC_ACK_TIMEOUT=300", `HEC_ACK_TIMEOUT: "300" has no unit`},
		{hecOn + "HEC_ACK_TIMEOUT=0s", `HEC_ACK_TIMEOUT: "0s" is too short; allowed: 1s to 1h`},
		{hecOn + "HEC_GZIP=9", `HEC_GZIP: "9" is neither true nor false`},
		{hecOn + "HEC_BATCH_SIZE=0", `HEC_BATCH_SIZE: "0" is out of range`},
		{hecOn + "HEC_BATCH_BYTES=6MB", `HEC_BATCH_BYTES: "6MB" is out of range; allowed: 1kB to 5MB`},
		{hecOn + "HEC_BATCH_BYTES=999", `HEC_BATCH_BYTES: "999" is out of range`},
		{hecOn + "HEC_BATCH_LINGER=2m", `HEC_BATCH_LINGER: "2m" is too long`},
		{hecOn + "HEC_CERT_FILE=a", `HEC_CERT_FILE: "a" does nothing while VMCP_AUDIT_HEC_KEY_FILE is not set`},
		{hecOn + "HEC_KEY_FILE=a", `HEC_KEY_FILE: "a" does nothing while VMCP_AUDIT_HEC_CERT_FILE is not set`},
		{hecOn + "HEC_CA_FILE=/none", `HEC_CA_FILE: "/none" cannot be used: stat /none: no such file`},
		{hecOn + "HEC_INSECURE_SKIP_VERIFY=ja", `HEC_INSECURE_SKIP_VERIFY: "ja" is neither`},
		{"HEC_TOKN=" + canary, `HEC_TOKN: is not known, did you mean VMCP_AUDIT_HEC_TOKEN?`},

		{"SYSLOG_2_PRESET=qradar", `SYSLOG_2_PRESET: "qradar" does nothing while VMCP_AUDIT_SYSLOG_2_ADDR is not set`},
		{"SYSLOG_ADDR=qradar:514", `SYSLOG_ADDR: "qradar:514" is not an address; allowed: udp://`},
		{"SYSLOG_ADDR=http://qradar", `SYSLOG_ADDR: "http://qradar" does not begin with udp://`},
		{"SYSLOG_ADDR=tcp://u:" + canary + "@h", `SYSLOG_ADDR: ` + notShown + ` holds a user name or a password`},
		{syslogOn + "SYSLOG_PRESET=splunk", `SYSLOG_PRESET: "splunk" is not one of the allowed words; allowed: qradar, arcsight, rsyslog`},
		{syslogOn + "SYSLOG_FORMAT=compact", `SYSLOG_FORMAT: "compact" is not one of the allowed words`},
		{syslogOn + "SYSLOG_HEADER=rfc3164", `SYSLOG_HEADER: "rfc3164" does not go with VMCP_AUDIT_SYSLOG_FORMAT=rfc5424`},
		{syslogOn + "SYSLOG_FRAMING=nul", `SYSLOG_FRAMING: "nul" is not one of the allowed words; allowed: auto, octet, lf`},
		{"SYSLOG_ADDR=udp://127.0.0.1 SYSLOG_FRAMING=lf", `SYSLOG_FRAMING: "lf" does nothing for datagrams`},
		{syslogOn + "SYSLOG_FACILITY=local8", `SYSLOG_FACILITY: "local8" is not a facility; allowed: user`},
		{syslogOn + "SYSLOG_FACILITY=24", `SYSLOG_FACILITY: "24" is not a facility`},
		{syslogOn + "SYSLOG_FACILITY=0", `SYSLOG_FACILITY: "0" is the kernel's facility`},
		{syslogOn + "SYSLOG_MAX_SIZE=100", `SYSLOG_MAX_SIZE: "100" is out of range; allowed: 1KiB to 1MiB`},
		{"SYSLOG_ADDR=udp://127.0.0.1 SYSLOG_MAX_SIZE=64KiB", `SYSLOG_MAX_SIZE: "64KiB" is out of range`},
		{syslogOn + "SYSLOG_APP_NAME=" + strings.Repeat("a", 49), `SYSLOG_APP_NAME: "` + strings.Repeat("a", 49) + `" has a space or another character, or is too long`},
		{"SYSLOG_ADDR=tcp://127.0.0.1 SYSLOG_CA_FILE=a", `SYSLOG_CA_FILE: "a" does nothing while VMCP_AUDIT_SYSLOG_ADDR does not begin with tls://`},
		{"SYSLOG_ADDR=udp://127.0.0.1 SYSLOG_SERVER_NAME=a", `SYSLOG_SERVER_NAME: "a" does nothing while`},
		{syslogOn + "SYSLOG_CERT_FILE=a", `SYSLOG_CERT_FILE: "a" does nothing while VMCP_AUDIT_SYSLOG_KEY_FILE is not set`},
		{syslogOn + "SYSLOG_CA_FILE=/none", `SYSLOG_CA_FILE: "/none" cannot be used: stat /none: no such file`},
		{"OIDC_ISSUER=https://h", `OIDC_ISSUER: is not in this version yet: take it out`},
		{"OPS_ADDR=:9484", `OPS_ADDR: is not in this version yet`},
		{"PROFILE=lean UNKNOWN_ENV=warn", `PROFILE: is not in this version yet`},
		{"=a", ": is not a name"},
		{"X\x1b[2J=a", "X...: is not a name"},
		{strings.Repeat("X", 100) + "=a", strings.Repeat("X", 64-len(Prefix)) + "...: is not known"},
	}
	for _, tt := range tests {
		t.Run(tt.environ, func(t *testing.T) {
			all := environ(tt.environ)
			if !strings.Contains(tt.environ, " ") {
				all = []string{Prefix + tt.environ} // as it is, with control characters
			}
			c, _, err := Load(all, plain)
			checkOneLine(t, err, Prefix+tt.want)
			if diff := cmp.Diff(Config{}, c, options); diff != "" {
				t.Errorf("the Config is not the zero one: %s", diff)
			}
			noCanary(t, "error", err.Error())
		})
	}
}

func checkOneLine(t *testing.T, err error, want string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error %v is not an *Error", err)
	}
	got := e.Error()
	if len(e.Mistakes) != 1 || !strings.HasPrefix(got, want) {
		t.Fatalf("error\n%s\nwant one line that begins\n%s", got, want)
	}
	if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7F }) || len(got) > 900 {
		t.Errorf("line of %d bytes, or with control characters: %q", len(got), got)
	}
}

func TestSecretFileMistakes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		return path
	}
	tests := []struct{ name, path, want string }{
		{"missing", dir + "/none", `HASH_KEY_FILE: "DIR/none" cannot be read: no such file or directory; allowed: path of a regular file of at most 64KiB`},
		{"folder", dir, `HASH_KEY_FILE: "DIR" is not a regular file`},
		{"device", "/dev/zero", `HASH_KEY_FILE: "/dev/zero" is not a regular file`},
		{"empty", write("empty", ""), `HASH_KEY_FILE: "DIR/empty" is an empty file`},
		{"only line ends", write("ends", "\r\n\n"), `HASH_KEY_FILE: "DIR/ends" is an empty file`},
		{"too large", write("large", strings.Repeat("x", MaxSecretFile+1)), `HASH_KEY_FILE: "DIR/large" is a file of more than 64KiB`},
		{"too short", write("short", canary[:15]+"\n"), `HASH_KEY: in "DIR/short" is too short; allowed: at least 16 bytes`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Load([]string{"VMCP_AUDIT_HASH_KEY_FILE=" + tt.path}, plain)
			checkOneLine(t, err, Prefix+strings.ReplaceAll(tt.want, "DIR", dir))
			noCanary(t, "error", err.Error())
		})
	}
	t.Run("both", func(t *testing.T) {
		_, _, err := Load([]string{"VMCP_AUDIT_HASH_KEY_FILE=" + write("good", canary), "VMCP_AUDIT_HASH_KEY=" + canary}, plain)
		checkOneLine(t, err, `VMCP_AUDIT_HASH_KEY_FILE: "`+dir+`/good" is set together with VMCP_AUDIT_HASH_KEY; set one of them`)
		noCanary(t, "error", err.Error())
	})
}

func TestFlagMistakes(t *testing.T) {
	tests := []struct {
		name, key, value string
		want             string
	}{
		{"wrong", "LISTEN", "x", `VMCP_AUDIT_LISTEN (--listen): "x" is not host:port; allowed: host:port, the host may be empty for all interfaces; example: --listen=0.0.0.0:4484`},
		{"empty", "LISTEN", "", `VMCP_AUDIT_LISTEN (--listen): is set but empty`},
		{"word", "LOG_LEVEL", "loud", `VMCP_AUDIT_LOG_LEVEL (--log-level): "loud" is not one of`},
		{"secret", "HASH_KEY", canary, `VMCP_AUDIT_HASH_KEY: cannot be set by a flag, which`},
		{"unknown", "NOTHING", canary, `VMCP_AUDIT_NOTHING: cannot be set by a flag`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opt := plain
			opt.Flags = map[string]string{tt.key: tt.value}
			_, _, err := Load([]string{"VMCP_AUDIT_LISTEN=:1"}, opt)
			checkOneLine(t, err, tt.want)
			noCanary(t, "error", err.Error())
		})
	}
}

func TestNeed(t *testing.T) {
	proxy := Need{Upstream: true, Destination: true}
	upstream := `VMCP_AUDIT_UPSTREAM (--upstream): is not set; allowed: http or https URL with a host, without user, query or fragment; example: VMCP_AUDIT_UPSTREAM=http://127.0.0.1:8080`
	tests := []struct {
		name, environ string
		need          Need
		want          string // how the only line begins; empty: no mistake
	}{
		{"nothing needed", "", Need{}, ""},
		{"all there", "UPSTREAM=http://h FILE_PATH=-", proxy, ""},
		{"second destination", "UPSTREAM=http://h FILE_2_PATH=-", proxy, ""},
		{"disabled", "UPSTREAM=http://h ENABLED=false", proxy, ""},
		{"no upstream", "FILE_PATH=-", proxy, upstream},
		{"empty upstream", "FILE_PATH=- UPSTREAM=", proxy, upstream},
		{"wrong upstream", "FILE_PATH=- UPSTREAM=h", proxy, `VMCP_AUDIT_UPSTREAM: "h" does not begin`},
		{"no destination", "UPSTREAM=http://h", proxy, `VMCP_AUDIT_FILE_PATH: is not set and no other destination is: set at least one of VMCP_AUDIT_FILE_PATH, VMCP_AUDIT_HEC_URL, VMCP_AUDIT_SYSLOG_ADDR; allowed: path`},
		{"wrong destination", "UPSTREAM=http://h FILE_PATH=- FILE_FORMAT=x", proxy, `VMCP_AUDIT_FILE_FORMAT: "x" is not one of`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opt := plain
			opt.Need = tt.need
			_, _, err := Load(environ(tt.environ), opt)
			if tt.want != "" {
				checkOneLine(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnknownIsAWarning(t *testing.T) {
	_, warnings, err := Load(environ("FILE_PAHT=x KAFKA_URL=y UNKNOWN_ENV=warn"), plain)
	want := []string{
		"VMCP_AUDIT_FILE_PAHT: is not known, did you mean VMCP_AUDIT_FILE_PATH?",
		"VMCP_AUDIT_KAFKA_URL: is not known; `vmcp-audit env` lists every variable",
	}
	if diff := cmp.Diff(want, warnings); err != nil || diff != "" {
		t.Errorf("error %v, warnings (-want +got):\n%s", err, diff)
	}
}

func TestAllAddressesAreTrusted(t *testing.T) {
	for _, network := range []string{"0.0.0.0/0", "::/0", "10.0.0.0/8,::/0"} {
		_, warnings, err := Load(environ("TRUSTED_PROXIES="+network), plain)
		if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "VMCP_AUDIT_TRUSTED_PROXIES: ") {
			t.Errorf("%s: warnings %q, error %v", network, warnings, err)
		}
	}
}

func TestManyMistakesOfOneVariable(t *testing.T) {
	_, _, err := Load(environ("EVENT_TYPES="+strings.Repeat("wrong,", 200)), plain)
	e, ok := errors.AsType[*Error](err)
	if !ok || len(e.Mistakes) != maxMistakes {
		t.Fatalf("error %v", err)
	}
	if last := e.Mistakes[maxMistakes-1].Problem; last != "has more mistakes, which are not listed" {
		t.Errorf("last problem %q", last)
	}
}

// TestAllMistakesAtOnce compares the report of a thoroughly wrong environment,
// given in any order, with testdata/mistakes.txt.
func TestAllMistakesAtOnce(t *testing.T) {
	all := environ(`ENABLED=ja COMPONENT= LOG_LEVEL=loud UPSTREAM=http://u:` + canary + `@h LABELS=a,b=1,b=2
		EVENT_TYPES=mcp_tool_cal,nothing EXCLUDE_EVENT_TYPES=audit_start MAX_DATA_SIZE=1MiB PRIVILEGED_TOOLS=[ HASH_KEY=` + canary[:8] + `
		DIGEST=md5 FILE_FORMAT=json FILE_2_PATH=a FILE_2_NAME=B FILE_2_FORMAT=xml FILE_2_MAX_FILES=many FILE_3_PATH=a
		TRUSTED_PROXIES=10.0.0.1/8,proxy SHUTDOWN_DELAY=10 DRAIN_TIMEOUT=-1s UNKNOWN_ENV=no FILE_PAHT=x HEC_TOKEN=` + canary + `
		LOG_LEVELS=info FILE_1_PATH=x`)
	opt := plain
	opt.Flags = map[string]string{"LISTEN": "nowhere"}
	_, _, err := Load(all, opt)
	slices.Reverse(all)
	_, _, again := Load(all, opt)
	if err == nil || again == nil || err.Error() != again.Error() {
		t.Fatalf("the order of the environment matters:\n%v\n%v", err, again)
	}
	noCanary(t, "error", err.Error())
	golden(t, "mistakes.txt", err.Error()+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		writeFile(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test -update rewrites it:\n%s", path, diff)
	}
}

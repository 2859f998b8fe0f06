package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// canary is a secret: it must be in no message.
const canary = "s3cr3t-canary"

var testOptions = Options{
	Environ: []string{"API_TOKEN=" + canary, "EMPTY="},
	Known:   []string{"mcp_ping", "mcp_tool_call"},
}

// revealed compares what secrets hold.
var revealed = cmp.Transformer("reveal", config.Secret.Reveal)

func mustLoad(t *testing.T, text string, opt Options) (Config, []string) {
	t.Helper()
	c, warnings, err := Load([]byte(text), opt)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c, warnings
}

func TestSmallestFile(t *testing.T) {
	got, warnings := mustLoad(t, "backends: [{name: a, url: 'http://127.0.0.1:1/mcp'}]", Options{})
	want := Config{
		Name: "vmcp-audit",
		Backends: []Backend{{
			Name: "a", Timeout: DefaultTimeout,
			URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/mcp"},
		}},
		Rules:          aggregate.Rules{Strategy: aggregate.Prefix, PrefixFormat: "{workload}_"},
		HealthInterval: 30 * time.Second, HealthTimeout: 10 * time.Second, UnhealthyThreshold: 3,
	}
	if diff := cmp.Diff(want, got, revealed); diff != "" || warnings != nil {
		t.Errorf("warnings %v; -want +got\n%s", warnings, diff)
	}
}

func TestWholeFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, warnings := mustLoad(t, `
name: gw
groupRef: team
metadata: {owner: ops}
backends:
  - name: a
    type: entry
    url: http://127.0.0.1:1/mcp?profile=x
    transport: sse
    metadata: {env: prod}
    headers: {authorization: {valueEnv: API_TOKEN}, X-Team: "42"}
  - name: b
    command: ./server
    args: [--verbose, "a b"]
    env: {API_KEY: {valueFile: `+file+`}, MAX_TOKENS: 100}
incomingAuth: {type: anonymous, authz: {type: none}}
outgoingAuth: {source: inline, default: {type: unauthenticated}, backends: {a: {type: unauthenticated}}}
aggregation:
  conflictResolution: priority
  conflictResolutionConfig: {prefixFormat: "{workload}.", priorityOrder: [b, a]}
  excludeAllTools: true
  defaultToolVisibility: deny
  tools:
    - {workload: a, filter: [y], overrides: {x: {name: y, description: "two\nlines", annotations: {title: Y, readOnlyHint: true, destructiveHint: false}}}}
    - {workload: b, excludeAll: true}
operational:
  logLevel: debug
  timeouts: {default: 1m, perWorkload: {b: 1500ms}}
  failureHandling: {healthCheckInterval: 5s, healthCheckTimeout: 1s, unhealthyThreshold: 1, partialFailureMode: fail, circuitBreaker: {enabled: false, failureThreshold: 5}}
audit:
  enabled: true
  component: gw
  eventTypes: [mcp_ping, mcp_tool_call]
  maxDataSize: 4096
  detectApplicationErrors: true
  logFile: '-'
  labels: {cluster: eu1, stage: prod}
  durability: strict
compositeTools: []
optimizer: {enabled: false}
telemetry:
`, testOptions)
	want := Config{
		Name: "gw",
		Backends: []Backend{
			{
				Name: "a", Transport: SSE, Timeout: time.Minute,
				URL:     &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/mcp", RawQuery: "profile=x"},
				Headers: map[string]config.Secret{"Authorization": config.NewSecret(canary), "X-Team": config.NewSecret("42")},
			},
			{
				Name: "b", Transport: Stdio, Timeout: 1500 * time.Millisecond, Command: []string{"./server", "--verbose", "a b"},
				Env: map[string]config.Secret{"API_KEY": config.NewSecret(canary), "MAX_TOKENS": config.NewSecret("100")},
			},
		},
		Rules: aggregate.Rules{
			Strategy: aggregate.Priority, PrefixFormat: "{workload}.", Priority: []string{"b", "a"}, ExcludeAll: true, DenyUnlisted: true,
			Backends: []aggregate.ToolRules{
				{Backend: "a", Filter: []string{"y"}, Overrides: map[string]aggregate.Override{"x": {
					Name: "y", Description: "two\nlines",
					Annotations: aggregate.Annotations{Title: new("Y"), ReadOnly: new(true), Destructive: new(false)},
				}}},
				{Backend: "b", ExcludeAll: true},
			},
		},
		HealthInterval: 5 * time.Second, HealthTimeout: time.Second, UnhealthyThreshold: 1, Whole: true,
		Audit: []string{
			"VMCP_AUDIT_LOG_LEVEL=debug", "VMCP_AUDIT_ENABLED=true", "VMCP_AUDIT_COMPONENT=gw",
			"VMCP_AUDIT_EVENT_TYPES=mcp_ping,mcp_tool_call", "VMCP_AUDIT_MAX_DATA_SIZE=4096",
			"VMCP_AUDIT_LABELS=cluster=eu1,stage=prod", "VMCP_AUDIT_DURABILITY=strict", "VMCP_AUDIT_FILE_PATH=-",
		},
	}
	if diff := cmp.Diff(want, got, revealed); diff != "" || warnings != nil {
		t.Errorf("warnings %v; -want +got\n%s", warnings, diff)
	}
}

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const a = "backends: [{name: a, url: 'http://127.0.0.1:1'}]\n"
	for _, test := range []struct {
		name string
		yaml string
		want []string
	}{
		// The YAML itself.
		{"nothing", "", []string{": backends: lists no back end"}},
		{"comments", "# x\n", []string{": backends: lists no back end"}},
		{"a text", "x", []string{":1:1: is a text or number instead of keys with values"}},
		{"syntax", "backends: [\n  a: [", []string{":3:1: is not YAML: did not find expected node content"}},
		{"tab", "backends:\n\t- name: a", []string{":2:1: is not YAML: found character that cannot start any token"}},
		{"no anchor", "name: *" + canary, []string{":1:7: is not YAML: it has an alias of something that is nowhere; a text that begins with * needs quotes"}},
		{"control character", "name: \x01", []string{": is not YAML: control characters are not allowed (value: 1)"}},
		{"two documents", a + "---\nname: x", []string{":2:1: has a second document"}},
		{"alias", a + "name: &x y\ngroupRef: *x", []string{":3:1: groupRef: is an alias, which are not read here: write it out"}},
		{"merge", a + "operational:\n  <<: {timeouts: {}}", []string{":3:3: operational....: merges mappings, which is not read here: write it out"}},
		{"tag", a + "name: !x y", []string{":2:1: name: has a tag, which are not read here"}},
		{"binary", a + "name: !!binary eA==", []string{":2:1: name: has a tag, which are not read here"}},
		{"twice", a + "name: x\nname: y", []string{":3:1: name: is there for the second time"}},
		{"a key that is none", a + "? [x]\n: y", []string{":2:3: has a key that is no name"}},
		{"an empty key", a + "~: y", []string{":2:1: has a key that is no name"}},
		{"too large", a + strings.Repeat("#", MaxFile), []string{": is larger than 1MiB"}},
		{"long list", a + "aggregation: {tools: [" + strings.Repeat("{},", MaxItems) + "{}]}", []string{":2:15: aggregation.tools: has more than 1024 items"}},

		// Keys.
		{"snake case", a + "incoming_auth: {}", []string{":2:1: incoming_auth: is not known, did you mean incomingAuth?"}},
		{"slip of the pen", a + "agregation: {}", []string{":2:1: agregation: is not known, did you mean aggregation?"}},
		{"another level", a + "operational: {healthCheckInterval: 1s}\naggregation:\n  backends: []", []string{
			":2:15: operational.healthCheckInterval: is not known here; healthCheckInterval belongs below operational.failureHandling",
			":4:3: aggregation.backends: is not known here; backends belongs on the highest level",
		}},
		{"unknown", a + "frobnicate: 1\n" + `"a\x1bb": 2`, []string{":2:1: frobnicate: is not known", ":3:1: a...: is not known"}},
		{"a value in the key", a + "API_TOKEN=" + canary + ": x", []string{":2:1: API_TOKEN...: is not known"}},
		{"later", a + `
compositeTools: [{name: x}]
optimizer: {enabled: true}
passthroughHeaders: [X-A]
operational: {failureHandling: {circuitBreaker: {enabled: true}}}
`, []string{
			":3:1: compositeTools: is not in this version yet: take it out", ":4:1: optimizer: is not in this version yet: take it out",
			":5:1: passthroughHeaders: is not in this version yet: take it out",
			":6:33: operational.failureHandling.circuitBreaker: is not in this version yet: take it out",
		}},
		{"of the operator", a + "compositeToolRefs: [{name: x}]\noutgoingAuth: {source: discovered}", []string{
			":2:1: compositeToolRefs: is for ToolHive's Kubernetes operator: take it out",
			":3:16: outgoingAuth.source: needs ToolHive's Kubernetes operator; allowed: inline",
		}},
		{"authentication", a + `
incomingAuth: {type: oidc, oidc: {issuer: 'https://i'}, authz: {type: cedar, policies: [x]}}
outgoingAuth: {default: {type: token_exchange}, backends: {a: {type: header_injection, headerInjection: {headerName: A, headerValue: ` + canary + `}}}}
`, []string{
			":3:16: incomingAuth.type: is not in this version yet; allowed: anonymous", ":3:28: incomingAuth.oidc: is not in this version yet: take it out",
			":3:65: incomingAuth.authz.type: is not in this version yet; allowed: none", ":3:78: incomingAuth.authz.policies: is not in this version yet: take it out",
			":4:26: outgoingAuth.default.type: is not in this version yet; allowed: unauthenticated",
			":4:64: outgoingAuth.backends.a.type: is not in this version yet; allowed: unauthenticated",
			":4:88: outgoingAuth.backends.a.headerInjection: is not in this version yet: set headers of the back end",
		}},
		{"words", a + "aggregation: {conflictResolution: first, defaultToolVisibility: hide}\nincomingAuth: {type: basic}", []string{
			":2:15: aggregation.conflictResolution: is not one of prefix, priority, manual",
			":2:42: aggregation.defaultToolVisibility: is not one of allow, deny", ":3:16: incomingAuth.type: is not one of anonymous",
		}},
		{"kinds", a + "name: [x]\nmetadata: x\naggregation: {tools: {}, excludeAllTools: yes}\noperational: {timeouts: {default: 30, perWorkload: {a: {}}}}", []string{
			":2:1: name: is a list instead of a text", ":3:1: metadata: is a text or number instead of keys with values",
			":4:15: aggregation.tools: is keys with values instead of a list", ":4:26: aggregation.excludeAllTools: is neither true nor false",
			":5:26: operational.timeouts.default: is not a duration from 1ms to 24h, as 500ms, 30s, 5m",
			":5:53: operational.timeouts.perWorkload.a: is keys with values instead of a duration",
		}},
		{"annotations", a + "aggregation: {tools: [{workload: a, overrides: {x: {annotations: {title: [x], readOnlyHint: yes, openWorldHint: ~, destructive: true}}, y: {annotations: {}}}}]}", []string{
			":2:67: aggregation.tools[0].overrides.x.annotations.title: is a list instead of a text",
			":2:79: aggregation.tools[0].overrides.x.annotations.readOnlyHint: is neither true nor false",
			":2:116: aggregation.tools[0].overrides.x.annotations.destructive: is not known",
			":2:137: aggregation.tools[0].overrides.y: has neither name, description nor annotations",
		}},
		{"empty", a + "name: ''\naggregation: {conflictResolutionConfig: {prefixFormat: ''}, tools: [~, {workload: a, filter: [~], overrides: {x: ~}}]}", []string{
			":2:1: name: is empty", ":3:42: aggregation.conflictResolutionConfig.prefixFormat: is empty",
			":3:69: aggregation.tools[0]: is empty",
			":3:95: aggregation.tools[1].filter[0]: is empty",
			":3:111: aggregation.tools[1].overrides.x: is empty",
		}},
		{"texts", a + "name: \"a\\u200b\"\ngroupRef: " + strings.Repeat("x", 254), []string{
			":2:1: name: has characters that cannot be seen", ":3:1: groupRef: is longer than 253 bytes",
		}},
		{"two lines", a + "name: \"a\\nb\"", []string{":2:1: name: has more than one line"}},

		// Back ends.
		{"a group", "groupRef: team", []string{":1:1: backends: lists no back end: those of a group of ToolHive are not looked up, write them here"}},
		{"too many", "backends:" + manyBackends(MaxBackends+1), []string{":1:1: backends: lists more than 64 back ends"}},
		{"names", "backends:\n- url: http://h\n- {name: a, url: http://h}\n- {name: a, url: http://h}\n- {name: 'a b', url: http://h}\n- {name: '${X}', url: http://h}\n", []string{
			":2:3: backends[0]: has no name", ":4:4: backends[2].name: is the name of another back end",
			":5:4: backends[3].name: is not 1 to 64 letters, digits, _ . or -, beginning with a letter or digit",
			":6:4: backends[4].name: is not 1 to 64 letters, digits, _ . or -, beginning with a letter or digit",
		}},
		{"targets", "backends:\n- name: a\n- {name: b, url: http://h, command: c}\n- {name: c, url: [x]}\n", []string{
			":2:3: backends[0]: has neither url nor command", ":3:3: backends[1]: has both url and command",
			":4:13: backends[2].url: is a list instead of a text",
		}},
		{"urls", "backends:" + strings.Join([]string{
			"", "{name: a, url: h}", "{name: b, url: ftp://h}", "{name: c, url: 'http://u:" + canary + "@h'}", "{name: d, url: http://}",
			"{name: e, url: 'http://h/#x'}", "{name: f, url: 'http://h:0'}", "{name: g, url: 'http://h/?access_token=" + canary + "'}", "{name: h, url: 'http://h/%zz'}", "{name: i, url: 'http://h/?%zz'}",
		}, "\n- "), []string{
			":2:13: backends[0].url: does not begin with http:// or https://", ":3:13: backends[1].url: does not begin with http:// or https://",
			":4:13: backends[2].url: holds a user name or a password", ":5:13: backends[3].url: names no host", ":6:13: backends[4].url: has a fragment",
			":7:13: backends[5].url: has a port that is not from 1 to 65535", ":8:13: backends[6].url: has a secret in its query: use headers",
			":9:13: backends[7].url: is not a URL", ":10:13: backends[8].url: has a query that is none",
		}},
		{"what does not fit together", `backends:
- {name: a, url: http://h, transport: stdio, args: [x], env: {X: y}, caBundlePath: x}
- {name: b, command: c, transport: sse, headers: {X: y}, caBundlePath: x}
- {name: c, url: http://h, transport: websocket}
`, []string{
			":2:28: backends[0].transport: is stdio, which takes a command, not a url", ":2:46: backends[0].args: is for a command",
			":2:57: backends[0].env: is for a command", ":2:70: backends[0].caBundlePath: does nothing: the url is not https",
			":3:25: backends[1].transport: is sse, which takes a url, not a command", ":3:41: backends[1].headers: is for a url",
			":3:58: backends[1].caBundlePath: is for a url", ":4:28: backends[2].transport: is not one of streamable-http, sse, stdio",
		}},
		{"certificates", "backends:\n- {name: a, url: https://h, caBundlePath: " + dir + "}\n- {name: b, url: https://h, caBundlePath: " + empty + "}", []string{
			":2:29: backends[0].caBundlePath: is not a regular file", ":3:29: backends[1].caBundlePath: is a file without a certificate in PEM",
		}},
		{"headers", `backends:
- name: a
  url: https://h
  headers:
    "X Y": a
    Content-Length: 1
    mcp-session-id: x
    X-A: "a\nb"
    x-b: a
    X-B: a
    X-C: [a]
`, []string{
			":5:5: backends[0].headers.X...: is not the name of a header", ":6:5: backends[0].headers.Content-Length: is a header that the transport sets itself",
			":7:5: backends[0].headers.mcp-session-id: is a header that the transport sets itself",
			":8:5: backends[0].headers.X-A: is not the value of a header: it has control characters, or spaces around it",
			":9:5: backends[0].headers.x-b: is there for the second time, in another case",
			":11:5: backends[0].headers.X-C: is a list instead of a text, {valueEnv: VARIABLE} or {valueFile: PATH}",
		}},
		{"secrets", `backends:
- name: a
  command: c
  env:
    API_TOKEN: ` + canary + `
    A: {valueEnv: ` + canary + `}
    B: {valueEnv: EMPTY}
    C: {valueFile: ` + empty + `}
    D: {valueFile: ` + empty + `, valueEnv: API_TOKEN}
    E: {}
    F: {value: ` + canary + `}
    L: {` + canary + `}
    M: {value_env: API_TOKEN}
    G-H: x
    I: ~
    J: "a\0b"
`, []string{
			":5:5: backends[0].env.API_TOKEN: is a secret in the file: write {valueEnv: VARIABLE} or {valueFile: PATH}",
			":6:9: backends[0].env.A.valueEnv: names a variable that is not set", ":7:9: backends[0].env.B.valueEnv: names a variable that is not set",
			":8:9: backends[0].env.C.valueFile: is an empty file", ":9:5: backends[0].env.D: has both valueEnv and valueFile",
			":10:5: backends[0].env.E: has neither valueEnv nor valueFile",
			":11:5: backends[0].env.F: has a key that is neither valueEnv nor valueFile", ":12:5: backends[0].env.L: has a key that is neither valueEnv nor valueFile",
			":13:9: backends[0].env.M.value_env: is not known, did you mean valueEnv?",
			":14:5: backends[0].env.G-H: is not the name of a variable", ":15:5: backends[0].env.I: is empty", ":16:5: backends[0].env.J: has a zero byte",
		}},
		{"a long command", "backends:\n- {name: a, command: c, args: [" + strings.Repeat(strings.Repeat("x", MaxText)+",", 16) + "x]}", []string{
			":2:25: backends[0].args: is longer than 65536 bytes",
		}},

		// What belongs together.
		{"of no back end", a + "outgoingAuth: {backends: {b: {}}}\noperational: {timeouts: {perWorkload: {b: 1s}}}\naggregation: {conflictResolution: priority, conflictResolutionConfig: {priorityOrder: [b]}, tools: [{workload: b}]}", []string{
			":2:27: outgoingAuth.backends.b: is for no back end of this name", ":3:40: operational.timeouts.perWorkload.b: is for no back end of this name",
			":4:88: aggregation.conflictResolutionConfig.priorityOrder[0]: is b, which is no back end",
			":4:102: aggregation.tools[0].workload: is b, which is no back end",
		}},
		{"rules", a + "aggregation:\n  conflictResolution: priority\n  tools:\n  - workload: a\n    filter: [old]\n    overrides:\n      old: {name: new}\n      other: {name: new}\n      \"a.b\": {}\n", []string{
			":2:1: aggregation.conflictResolutionConfig.priorityOrder: is missing: conflictResolution is priority, which needs an order",
			":6:14: aggregation.tools[0].filter[0]: is old, which an override renames to new: the filter takes the new name",
			":9:15: aggregation.tools[0].overrides.other.name: is the name of old too",
			":10:7: aggregation.tools[0].overrides.a.b: has neither name, description nor annotations",
		}},
		{"health", a + "operational:\n  failureHandling: {healthCheckInterval: 1s, healthCheckTimeout: 1s, unhealthyThreshold: 0, partialFailureMode: bestEffort}", []string{
			":3:46: operational.failureHandling.healthCheckTimeout: is not less than healthCheckInterval, 1s",
			":3:70: operational.failureHandling.unhealthyThreshold: is not a whole number from 1 to 1000",
			":3:93: operational.failureHandling.partialFailureMode: is not one of best_effort, fail",
		}},

		// The audit.
		{"audit", a + `audit:
  detectApplicationErrors: false
  maxDelegationDepth: 5
  maxDataSize: 1TB
  eventTypes: [mcp_pong]
  excludeEventTypes: [mcp_ping, "a,b"]
  hecToken: ` + canary + `
  hashKey: ` + canary + `
  loglevel: debug
  include_request_data: true
  upstream: http://h
  labels: {a: [b]}
  enabled: maybe
  spoolDir: {}
  durability: "strict\nx"
`, []string{
			":3:3: audit.detectApplicationErrors: cannot be switched off: the outcome is always taken from the answer",
			":4:3: audit.maxDelegationDepth: is not in this version yet: take it out",
			`:5:3: audit.maxDataSize: "1TB" is not a size; allowed: 1 to 64KiB, as 500, 1KiB, 4kB`,
			`:6:3: audit.eventTypes: "mcp_pong" lists the unknown event type "mcp_pong", did you mean mcp_ping?; allowed: event types, separated by commas`,
			":7:33: audit.excludeEventTypes[1]: is not a text without commas and line breaks",
			":8:3: audit.hecToken: is a secret in the file: use hecTokenFile, or the variable VMCP_AUDIT_HEC_TOKEN",
			":9:3: audit.hashKey: is a secret in the file: use hashKeyFile, or the variable VMCP_AUDIT_HASH_KEY",
			":10:3: audit.loglevel: is not known here; logLevel belongs below operational",
			":11:3: audit.include_request_data: is not known, did you mean includeRequestData?",
			":12:3: audit.upstream: is not known", ":13:12: audit.labels.a: is not a text without commas and line breaks",
			`:14:3: audit.enabled: "maybe" is neither true nor false; allowed: true or false`,
			":15:3: audit.spoolDir: is keys with values, which it does not take", ":16:3: audit.durability: has more than one line",
		}},
		{"kinds in the audit", a + "audit: {component: [a, b], labels: [a=b], eventTypes: {a: b}, hecFields: {'a=b,c': d}, hecUrl: {}}", []string{
			":2:9: audit.component: is a list, which it does not take", ":2:28: audit.labels: is a list, which it does not take",
			":2:43: audit.eventTypes: is keys with values, which it does not take",
			":2:75: audit.hecFields.a...: is a key with a comma, = or a line break", ":2:88: audit.hecUrl: is keys with values, which it does not take",
		}},
		{"a destination", a + "audit: {hecUrl: 'https://u:" + canary + "@h', hecTokenFile: /nowhere/at/all}", []string{
			":2:9: audit.hecUrl: (a value that may hold a password, not shown) holds a user name or a password; allowed: http or https URL of the collector, with or without /services/collector/event, without user, query or fragment",
			`:2:46: audit.hecTokenFile: "/nowhere/at/all" cannot be read: no such file or directory; allowed: path of a regular file of at most 64KiB`,
		}},
		{"many mistakes", a + "metadata: {" + strings.Repeat("? [] : x, ", maxMistakes+5) + "}", append(make([]string, maxMistakes), ": has 5 more mistakes")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, err := Load([]byte(test.yaml), testOptions)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v, Config %+v", err, c)
			}
			if diff := cmp.Diff(Config{}, c, revealed); diff != "" {
				t.Errorf("not the zero Config: %s", diff)
			}
			got := strings.Split(e.Error(), "\n")
			for i, line := range got {
				got[i] = strings.TrimPrefix(line, "vmcp.yaml")
				if i < len(test.want) && test.want[i] == "" {
					got[i] = ""
				}
				if strings.Contains(line, canary) {
					t.Errorf("shows a secret: %s", line)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func manyBackends(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\n- {name: a-%d, url: https://h}", i)
	}
	return b.String()
}

func TestWarnings(t *testing.T) {
	_, got := mustLoad(t, `backends:
- {name: git, url: http://gw.example.com, headers: {X-A: b}}
- {name: git_hub, command: c, args: ["--api-key=x", "--author=x"]}
`, Options{File: "a\nb"})
	want := []string{
		`"a\nb":2:15: backends[0].url: is http: headers and calls are sent in clear`,
		`"a\nb":3:38: backends[1].args[0]: looks like a secret, which other users of the machine can see: use env`,
		`"a\nb":3:4: backends[1].name: gives the prefix git_hub_, which a tool of git can have too; a name that both have is shown of neither`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestWarningOfOnePrefix(t *testing.T) {
	_, got := mustLoad(t, `
backends: [{name: a, command: x}, {name: b, command: x}, {name: c, command: x}]
aggregation: {conflictResolutionConfig: {prefixFormat: x_}}
`, Options{})
	want := []string{"vmcp.yaml:3:42: aggregation.conflictResolutionConfig.prefixFormat: is without {workload}: a name that two back ends have is shown of neither"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Variables win over the section audit, also one that holds a secret over the
// key of its file.
func TestVariablesWin(t *testing.T) {
	c, _ := mustLoad(t, `
backends: [{name: a, url: 'http://127.0.0.1:1'}]
operational: {logLevel: debug}
audit: {component: file, maxDataSize: wrong, hashKeyFile: /nowhere, includeRequestData: true}
`, Options{Environ: []string{
		"VMCP_AUDIT_LOG_LEVEL=warn", "VMCP_AUDIT_COMPONENT=variable", "VMCP_AUDIT_MAX_DATA_SIZE=2KiB", "VMCP_AUDIT_HASH_KEY=0123456789abcdef",
		"VMCP_AUDIT_LISTEN=a mistake of the environment, told elsewhere",
	}})
	if diff := cmp.Diff([]string{"VMCP_AUDIT_INCLUDE_REQUEST_DATA=true"}, c.Audit); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "vmcp.yaml")
	if err := os.WriteFile(file, []byte("nam: x\n"+strings.Repeat("#", MaxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                         file + ": is larger than 1MiB",
		dir:                          dir + ": is not a regular file",
		filepath.Join(dir, "nobody"): filepath.Join(dir, "nobody") + ": cannot be read: no such file or directory",
	} {
		if _, _, err := LoadFile(path, Options{}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What is meant by an unknown key is guessed for those that are shown: each
// guess looks at every key that there is, and a file has room for 100,000.
func TestManyUnknownKeys(t *testing.T) {
	const backends, keys = 2, 1000
	var b strings.Builder
	b.WriteString("backends:\n")
	for range backends {
		b.WriteString("- {")
		for i := range keys {
			fmt.Fprintf(&b, "k%d: x, ", i)
		}
		b.WriteString("}\n")
	}
	var err error
	allocs := testing.AllocsPerRun(1, func() { _, _, err = Load([]byte(b.String()), Options{}) })
	e, ok := errors.AsType[*Error](err)
	if !ok || len(e.Mistakes) != maxMistakes+1 {
		t.Fatalf("error %v", err)
	}
	if each := allocs / (backends * keys); each > 100 {
		t.Errorf("%.0f allocations for each key", each)
	}
}

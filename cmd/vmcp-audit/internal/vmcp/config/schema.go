package config

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// document is the shape of the file.
//
// Tags: yaml is the key, default what counts without it, max the most bytes of a
// text, min and limit the range of a number or duration; oneof lists the words
// that are allowed, later those that a newer version will know, operator those
// that only ToolHive's Kubernetes operator can follow; allowed and doc are for
// people; toolhive says how ToolHive differs, without it there is no difference,
// "-" is a key that ToolHive does not have; hint says what to do instead of a key
// that is not in this version.
type document struct {
	Name     string `yaml:"name" default:"vmcp-audit" max:"128" doc:"name of the server, which clients are told" toolhive:"required"`
	GroupRef string `yaml:"groupRef" max:"253" doc:"name of the group in ToolHive; there are no groups here, the back ends stand below, so it changes nothing" toolhive:"required; the back ends are those of the group unless backends lists them"`

	Backends     []backend    `yaml:"backends" doc:"the MCP servers behind this one, 1 to 64"`
	IncomingAuth incomingAuth `yaml:"incomingAuth"`
	OutgoingAuth outgoingAuth `yaml:"outgoingAuth"`
	Aggregation  aggregation  `yaml:"aggregation"`
	Operational  operational  `yaml:"operational"`
	Audit        section      `yaml:"audit" doc:"the audit, see below; without it the variables and their defaults count" toolhive:"without it there is no audit"`

	Metadata map[string]string `yaml:"metadata" doc:"notes of your own, which change nothing"`

	CompositeTools     later   `yaml:"compositeTools" doc:"workflows as tools"`
	Optimizer          later   `yaml:"optimizer" doc:"finding tools by search"`
	CodeMode           later   `yaml:"codeMode" doc:"scripts that call tools"`
	PassthroughHeaders later   `yaml:"passthroughHeaders" doc:"headers of clients that back ends are given"`
	RateLimiting       later   `yaml:"rateLimiting" doc:"limits of calls"`
	SessionStorage     later   `yaml:"sessionStorage" doc:"sessions shared by replicas"`
	Telemetry          later   `yaml:"telemetry" doc:"OpenTelemetry"`
	CompositeToolRefs  foreign `yaml:"compositeToolRefs"`
}

type backend struct {
	Name         string            `yaml:"name" max:"64" allowed:"letters, digits, _ . -, beginning with a letter or digit; each its own" doc:"name of the back end in prefixes, rules and the trail; required"`
	Type         string            `yaml:"type" oneof:"entry" doc:"every back end is one that runs already, or a command, so it changes nothing" toolhive:"entry: a remote server, without it one in a container or behind a proxy"`
	Transport    string            `yaml:"transport" oneof:"streamable-http|sse|stdio" doc:"how it is talked to; without it stdio for a command, and for a url streamable-http, or sse if the server knows only that" toolhive:"required; no stdio"`
	URL          string            `yaml:"url" max:"2048" allowed:"http or https, without user, fragment, or secrets in the query" doc:"address of its MCP endpoint; this or command is required" toolhive:"required"`
	CABundlePath string            `yaml:"caBundlePath" doc:"PEM file with the certificates that the server's must lead to, instead of those of the system; for https" toolhive:"absolute, only with type: entry"`
	Headers      map[string]text   `yaml:"headers" doc:"headers of each request to it: text, or {valueEnv: VARIABLE} or {valueFile: PATH}; a header whose name speaks of a secret must be one of the latter" toolhive:"-"`
	Command      string            `yaml:"command" doc:"program that speaks MCP over its stdin and stdout; no shell reads it" toolhive:"-"`
	Args         []string          `yaml:"args" doc:"its arguments, which other users of the machine can see" toolhive:"-"`
	Env          map[string]text   `yaml:"env" doc:"its environment, in the three forms of headers. Of ours it is given only what programs need to run: PATH, HOME, LANG, TMPDIR and the like" toolhive:"-"`
	Metadata     map[string]string `yaml:"metadata" doc:"notes of your own, which change nothing"`
}

type incomingAuth struct {
	Type  string `yaml:"type" default:"anonymous" oneof:"anonymous" later:"oidc|local" doc:"how clients say who they are; anonymous: not at all" toolhive:"required"`
	OIDC  later  `yaml:"oidc" doc:"OpenID Connect"`
	Authz authz  `yaml:"authz"`
}

type authz struct {
	Type                    string `yaml:"type" default:"none" oneof:"none" later:"cedar" doc:"who may do what; none: everybody everything"`
	Policies                later  `yaml:"policies" doc:"Cedar policies"`
	EntitiesJSON            later  `yaml:"entitiesJson" doc:"for policies"`
	GroupClaimName          later  `yaml:"groupClaimName" doc:"for policies"`
	RoleClaimName           later  `yaml:"roleClaimName" doc:"for policies"`
	GroupEntityType         later  `yaml:"groupEntityType" doc:"for policies"`
	PrimaryUpstreamProvider later  `yaml:"primaryUpstreamProvider" doc:"for policies"`
}

type outgoingAuth struct {
	Source   string              `yaml:"source" default:"inline" oneof:"inline" operator:"discovered" doc:"where it stands how back ends are told who asks; inline: below" toolhive:"required; also discovered"`
	Default  strategy            `yaml:"default"`
	Backends map[string]strategy `yaml:"backends" doc:"by the name of the back end, as default"`
}

type strategy struct {
	Type            string `yaml:"type" default:"unauthenticated" oneof:"unauthenticated" later:"header_injection|token_exchange|upstream_inject|aws_sts|obo|xaa" doc:"how back ends are told who asks; unauthenticated: not at all, but for headers of the back end" toolhive:"required"`
	HeaderInjection later  `yaml:"headerInjection" doc:"a header with a secret" hint:"set headers of the back end"`
	TokenExchange   later  `yaml:"tokenExchange" doc:"RFC 8693"`
	UpstreamInject  later  `yaml:"upstreamInject" doc:"tokens of an authorization server"`
	AwsSts          later  `yaml:"awsSts" doc:"tokens of AWS"`
	OBO             later  `yaml:"obo" doc:"on behalf of"`
	XAA             later  `yaml:"xaa" doc:"access across applications"`
}

type aggregation struct {
	ConflictResolution       string                   `yaml:"conflictResolution" default:"prefix" oneof:"prefix|priority|manual" doc:"what becomes of names that several back ends have; prefix: every name begins with that of its back end; priority: the first back end in an order has it, the others' are hidden; manual: each needs a name of its own by overrides, else the server does not start. Names that nobody else has are changed by prefix alone" toolhive:"required; manual only with tools"`
	ConflictResolutionConfig conflictResolutionConfig `yaml:"conflictResolutionConfig"`
	Tools                    []workloadTools          `yaml:"tools" doc:"rules for the tools of one back end each"`
	ExcludeAllTools          bool                     `yaml:"excludeAllTools" default:"false" doc:"no tool is shown"`
	DefaultToolVisibility    string                   `yaml:"defaultToolVisibility" default:"allow" oneof:"allow|deny" doc:"whether tools of a back end without rules are shown" toolhive:"deny not with back ends in priorityOrder that have no rules"`
}

type conflictResolutionConfig struct {
	PrefixFormat  string   `yaml:"prefixFormat" default:"{workload}_" max:"64" doc:"what is put before names, {workload} stands for the back end. Also for prompts, and where priority gives no order" toolhive:"required for prefix; for tools always {workload}_ where priority gives no order"`
	PriorityOrder []string `yaml:"priorityOrder" doc:"names of back ends, the first one wins; for priority, which requires it. Names that only back ends outside the order have get the prefix"`
}

type workloadTools struct {
	Workload      string              `yaml:"workload" doc:"name of the back end; required"`
	ToolConfigRef foreign             `yaml:"toolConfigRef"`
	Filter        []string            `yaml:"filter" doc:"names of the tools that are shown, after overrides and before the prefix; without it all are"`
	Overrides     map[string]override `yaml:"overrides" doc:"by the name that the back end has for the tool"`
	ExcludeAll    bool                `yaml:"excludeAll" default:"false" doc:"none of its tools is shown"`
}

type override struct {
	Name        string      `yaml:"name" max:"512" doc:"what the tool is called instead, before the prefix; this, description or annotations is required" toolhive:"this or description is required"`
	Description string      `yaml:"description" max:"16384" doc:"how it is described instead; lines may be broken"`
	Annotations annotations `yaml:"annotations"`
}

// annotations are nil where the tool's own stay.
type annotations struct {
	Title           *string `yaml:"title" max:"512" doc:"title among its annotations, instead of its own there; clients show the title of the tool itself first, if it has one"`
	ReadOnlyHint    *bool   `yaml:"readOnlyHint" doc:"hint for clients, instead of its own: it changes nothing"`
	DestructiveHint *bool   `yaml:"destructiveHint" doc:"likewise: what it changes may be lost"`
	IdempotentHint  *bool   `yaml:"idempotentHint" doc:"likewise: called twice it changes no more than once"`
	OpenWorldHint   *bool   `yaml:"openWorldHint" doc:"likewise: it deals with things outside"`
}

type operational struct {
	LogLevel        string          `yaml:"logLevel" oneof:"debug|info|warn|error" doc:"as VMCP_AUDIT_LOG_LEVEL, which wins" toolhive:"only debug"`
	Timeouts        timeouts        `yaml:"timeouts"`
	FailureHandling failureHandling `yaml:"failureHandling"`
}

type timeouts struct {
	Default     time.Duration            `yaml:"default" default:"30s" min:"1ms" limit:"24h" doc:"longest wait for the answer to a request; time in which the back end waits for the client does not count, and tasks/result has no limit" toolhive:"not read up to v0.43"`
	PerWorkload map[string]time.Duration `yaml:"perWorkload" min:"1ms" limit:"24h" doc:"the same for one back end, by its name" toolhive:"not read up to v0.43"`
}

type failureHandling struct {
	HealthCheckInterval     time.Duration `yaml:"healthCheckInterval" default:"30s" min:"100ms" limit:"24h" doc:"time between two checks of a back end"`
	HealthCheckTimeout      time.Duration `yaml:"healthCheckTimeout" default:"10s" min:"1ms" limit:"24h" doc:"longest wait for a check, less than healthCheckInterval; one of a back end that is not there has 20 s at least"`
	UnhealthyThreshold      int           `yaml:"unhealthyThreshold" default:"3" min:"1" limit:"1000" doc:"checks in a row that must fail before a back end counts as lost"`
	PartialFailureMode      string        `yaml:"partialFailureMode" default:"best_effort" oneof:"best_effort|fail" doc:"what becomes of lists while a back end is not there; best_effort: they have what the others have; fail: they are refused with an error. Calls go on" toolhive:"default fail, but what is set is not read (August 2026, issue 6164)"`
	CircuitBreaker          later         `yaml:"circuitBreaker" doc:"a lost back end's calls fail without being tried"`
	StatusReportingInterval foreign       `yaml:"statusReportingInterval"`
}

// later is a key that a newer version will know. Nothing, or what switches it
// off, is let through.
type later struct{}

// foreign is a key that speaks to ToolHive's Kubernetes operator.
type foreign struct{}

// section is a part of the file that is read elsewhere.
type section struct{ node *yaml.Node }

// text is a text, or where one is that is secret.
type text struct {
	node    *yaml.Node
	literal string
	ref     reference
}

type reference struct {
	ValueEnv  string `yaml:"valueEnv" max:"256" doc:"variable of the environment that has the value"`
	ValueFile string `yaml:"valueFile" doc:"file that has it, without the end of its last line; read at the start"`
}

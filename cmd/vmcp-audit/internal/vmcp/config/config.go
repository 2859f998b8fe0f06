// Package config reads the configuration file of the virtual MCP server: YAML
// with the keys of ToolHive's vMCP (stacklok/toolhive, pkg/vmcp/config, August
// 2026) and a few of our own.
//
// [Load] answers with ready values or with every mistake at once, one line for
// each, by file, line, column and key. A key that nothing knows is a mistake, and
// so is one that asks for what this version does not do: nothing is ignored in
// silence. A secret stands in a file or in the environment, never in the YAML;
// the values of secrets, and whatever stands where one may stand by mistake, are
// in no message.
//
// The tags of [document] are the one source of keys, defaults and docs.
package config

import (
	"net/url"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// Limits. All of them are hard: beyond is a mistake.
const (
	MaxFile     = 1 << 20 // bytes of the file
	MaxBackends = 64
	MaxItems    = 1024     // of a list or mapping
	MaxText     = 4 << 10  // bytes of a text, unless its key says otherwise
	MaxPEM      = 1 << 20  // bytes of a file with certificates
	MaxBackend  = 64       // bytes of the name of a back end
	MaxArgs     = 64 << 10 // bytes of a program and its arguments
	maxMistakes = 100      // that are listed
	maxKey      = 64       // bytes of a key in messages
)

// Config is the configuration, checked. It is a plain value: [Load] makes it,
// nobody changes it. Slices and maps are shared by its copies.
type Config struct {
	Name     string    // of the server, which clients are told
	Backends []Backend // at least one, in the order of the file; their names differ
	Rules    aggregate.Rules

	HealthInterval     time.Duration // between two checks of a back end
	HealthTimeout      time.Duration // of a check, shorter than HealthInterval
	UnhealthyThreshold int           // checks in a row that must fail before a back end counts as lost
	Whole              bool          // no list is given while a back end is not there

	// Audit has what the section audit sets, as NAME=value of the variables
	// that mean the same. It goes before the process's own environment, which
	// wins.
	Audit []string
}

// Transport is how a back end is talked to.
type Transport string

// The transports.
const (
	Auto           Transport = "" // streamable HTTP, or SSE if the server knows only that
	StreamableHTTP Transport = "streamable-http"
	SSE            Transport = "sse" // HTTP+SSE, of MCP 2024-11-05
	Stdio          Transport = "stdio"
)

// DefaultTimeout is [Backend.Timeout] where nothing else is said, as ToolHive
// has it.
const DefaultTimeout = 30 * time.Second

// Backend is an MCP server behind ours.
type Backend struct {
	Name      string // 1 to MaxBackend of a-z, A-Z, 0-9, _ . -
	Transport Transport
	Timeout   time.Duration // longest wait for the answer to a request; time in which the back end waits for the client does not count

	// For all but Stdio.
	URL     *url.URL                 // http or https; its path and query may hold secrets: show the host alone
	Headers map[string]config.Secret // sent with each request, by canonical name
	CAFile  string                   // certificates that the server's must lead to; empty: those of the system

	// For Stdio.
	Command []string                 // program and arguments; no shell reads them
	Env     map[string]config.Secret // for the program, beside what [Backend.Environ] passes on
}

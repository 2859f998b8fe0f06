package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"os"
	"slices"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/aggregate"
	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

// check finds what types do not say, and makes the Config.
func (l *loader) check(d document) Config {
	c := newConfig(d)
	l.require(!strings.ContainsAny(c.Name, "\n\t"), []any{"name"}, "has more than one line")
	c.Backends = l.backends(d)
	names := make([]string, len(c.Backends))
	for i, b := range c.Backends {
		names[i] = b.Name
	}
	l.belong(sortedKeys(d.OutgoingAuth.Backends), names, "outgoingAuth", "backends")
	l.belong(sortedKeys(d.Operational.Timeouts.PerWorkload), names, "operational", "timeouts", "perWorkload")
	l.require(c.HealthTimeout < c.HealthInterval, []any{"operational", "failureHandling", "healthCheckTimeout"},
		"is not less than healthCheckInterval, "+c.HealthInterval.String())
	if m, ok := errors.AsType[aggregate.Mistakes](c.Rules.Check(names)); ok {
		for _, m := range m {
			l.add(below([]any{"aggregation"}, m.At...), m.Problem)
		}
	}
	l.warnOverlap(c)
	c.Audit = l.audit(d)
	return c
}

// newConfig has what needs no check of its own.
func newConfig(d document) Config {
	return Config{
		Name:               d.Name,
		Rules:              rules(d.Aggregation),
		HealthInterval:     d.Operational.FailureHandling.HealthCheckInterval,
		HealthTimeout:      d.Operational.FailureHandling.HealthCheckTimeout,
		UnhealthyThreshold: d.Operational.FailureHandling.UnhealthyThreshold,
		Whole:              d.Operational.FailureHandling.PartialFailureMode == "fail",
	}
}

func rules(a aggregation) aggregate.Rules {
	r := aggregate.Rules{
		Strategy:     aggregate.Strategy(a.ConflictResolution),
		PrefixFormat: a.ConflictResolutionConfig.PrefixFormat,
		Priority:     a.ConflictResolutionConfig.PriorityOrder,
		ExcludeAll:   a.ExcludeAllTools,
		DenyUnlisted: a.DefaultToolVisibility == "deny",
	}
	for _, t := range a.Tools {
		rules := aggregate.ToolRules{Backend: t.Workload, Filter: t.Filter, ExcludeAll: t.ExcludeAll}
		for name, o := range t.Overrides {
			if rules.Overrides == nil {
				rules.Overrides = make(map[string]aggregate.Override, len(t.Overrides))
			}
			a := o.Annotations
			rules.Overrides[name] = aggregate.Override{Name: o.Name, Description: o.Description, Annotations: aggregate.Annotations{
				Title: a.Title, ReadOnly: a.ReadOnlyHint, Destructive: a.DestructiveHint, Idempotent: a.IdempotentHint, Open: a.OpenWorldHint,
			}}
		}
		r.Backends = append(r.Backends, rules)
	}
	return r
}

// belong checks that keys below path are names of back ends.
func (l *loader) belong(keys, names []string, path ...any) {
	for _, key := range keys {
		l.require(slices.Contains(names, key), below(path, key), "is for no back end of this name")
	}
}

// warnOverlap warns of back ends whose prefixes are such that a tool of one can
// get the name of a tool of the other.
func (l *loader) warnOverlap(c Config) {
	format := c.Rules.PrefixFormat
	switch {
	case c.Rules.Strategy != aggregate.Prefix || len(c.Backends) < 2:
		return
	case !strings.Contains(format, aggregate.Placeholder):
		l.warn([]any{"aggregation", "conflictResolutionConfig", "prefixFormat"},
			"is without "+aggregate.Placeholder+": a name that two back ends have is shown of neither")
		return
	}
	for i, b := range c.Backends {
		own := strings.ReplaceAll(format, aggregate.Placeholder, b.Name)
		for _, other := range c.Backends {
			prefix := strings.ReplaceAll(format, aggregate.Placeholder, other.Name)
			if b.Name != other.Name && strings.HasPrefix(own, prefix) {
				l.warn([]any{"backends", i, "name"}, fmt.Sprintf("gives the prefix %s, which a tool of %s can have too; a name that both have is shown of neither", own, other.Name))
				break
			}
		}
	}
}

func (l *loader) backends(d document) []Backend {
	path := []any{"backends"}
	missing := "lists no back end"
	if d.GroupRef != "" {
		missing += ": those of a group of ToolHive are not looked up, write them here"
	}
	l.require(len(d.Backends) > 0, path, missing)
	l.require(len(d.Backends) <= MaxBackends, path, fmt.Sprintf("lists more than %d back ends", MaxBackends))
	all := make([]Backend, len(d.Backends))
	seen := make(map[string]bool)
	for i, b := range d.Backends {
		path := below(path, i)
		all[i] = l.backend(b, path)
		if timeout, ok := d.Operational.Timeouts.PerWorkload[b.Name]; ok {
			all[i].Timeout = timeout
		} else {
			all[i].Timeout = d.Operational.Timeouts.Default
		}
		l.require(!seen[b.Name], below(path, "name"), "is the name of another back end")
		seen[b.Name] = b.Name != ""
	}
	return all
}

func (l *loader) backend(b backend, path []any) Backend {
	out := Backend{Name: b.Name, Transport: Transport(b.Transport), CAFile: b.CABundlePath}
	if l.require(b.Name != "", path, "has no name") {
		l.require(isBackendName(b.Name), below(path, "name"), "is not 1 to 64 letters, digits, _ . or -, beginning with a letter or digit")
	}
	switch {
	case b.URL != "" && b.Command != "":
		l.add(path, "has both url and command")
	case b.URL != "":
		l.network(b, &out, path)
	case b.Command != "":
		l.program(b, &out, path)
	case !l.isTold(below(path, "url")) && !l.isTold(below(path, "command")):
		l.add(path, "has neither url nor command")
	}
	return out
}

func (l *loader) network(b backend, out *Backend, path []any) {
	l.require(out.Transport != Stdio, below(path, "transport"), "is stdio, which takes a command, not a url")
	l.require(len(b.Args) == 0, below(path, "args"), "is for a command")
	l.require(len(b.Env) == 0, below(path, "env"), "is for a command")
	u, problem := parseURL(b.URL)
	if !l.require(problem == "", below(path, "url"), problem) {
		return
	}
	out.URL = u
	if b.CABundlePath != "" {
		l.require(u.Scheme == "https", below(path, "caBundlePath"), "does nothing: the url is not https")
		if err := readPEM(b.CABundlePath); err != nil {
			l.add(below(path, "caBundlePath"), err.Error())
		}
	}
	out.Headers = l.headers(b.Headers, below(path, "headers"))
	if len(out.Headers) > 0 && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		l.warn(below(path, "url"), "is http: headers and calls are sent in clear")
	}
}

func (l *loader) program(b backend, out *Backend, path []any) {
	if out.Transport == "" {
		out.Transport = Stdio
	}
	l.require(out.Transport == Stdio, below(path, "transport"), "is "+string(out.Transport)+", which takes a url, not a command")
	l.require(len(b.Headers) == 0, below(path, "headers"), "is for a url")
	l.require(b.CABundlePath == "", below(path, "caBundlePath"), "is for a url")
	size := len(b.Command)
	for i, arg := range b.Args {
		size += len(arg)
		name, _, hasValue := strings.Cut(arg, "=")
		if hasValue && speaksOfSecret(name) {
			l.warn(below(path, "args", i), "looks like a secret, which other users of the machine can see: use env")
		}
	}
	l.require(size <= MaxArgs, below(path, "args"), fmt.Sprintf("is longer than %d bytes", MaxArgs))
	out.Command = append([]string{b.Command}, b.Args...)
	out.Env = make(map[string]config.Secret, len(b.Env))
	for _, name := range sortedKeys(b.Env) {
		path := below(path, "env", name)
		l.require(isVariable(name), path, "is not the name of a variable")
		value := l.resolve(name, b.Env[name], path)
		l.require(strings.IndexByte(value.Reveal(), 0) < 0, path, "has a zero byte")
		out.Env[name] = value
	}
}

// ownHeaders are set by the transports of MCP or by HTTP itself.
var ownHeaders = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
	"Last-Event-Id", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Traceparent", "Tracestate", "Upgrade",
}

func (l *loader) headers(given map[string]text, path []any) map[string]config.Secret {
	if len(given) == 0 {
		return nil
	}
	all := make(map[string]config.Secret, len(given))
	for _, name := range sortedKeys(given) {
		path := below(path, name)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		value := l.resolve(name, given[name], path)
		_, twice := all[canonical]
		l.require(isToken(name), path, "is not the name of a header")
		l.require(!twice, path, "is there for the second time, in another case")
		l.require(!slices.Contains(ownHeaders, canonical) && !strings.HasPrefix(canonical, "Mcp-"), path, "is a header that the transport sets itself")
		l.require(isHeaderValue(value.Reveal()), path, "is not the value of a header: it has control characters, or spaces around it")
		all[canonical] = value
	}
	return all
}

// isToken reports whether name can be the name of a header (RFC 9110, section
// 5.6.2).
func isToken(name string) bool {
	return name != "" && len(name) <= 256 && !strings.ContainsFunc(name, func(r rune) bool {
		return r > '~' || !isAlnum(byte(r)) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// isHeaderValue is after RFC 9110, section 5.5.
func isHeaderValue(value string) bool {
	return strings.Trim(value, " \t") == value && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F })
}

func isVariable(name string) bool {
	return name != "" && len(name) <= 256 && (name[0] < '0' || name[0] > '9') &&
		!strings.ContainsFunc(name, func(r rune) bool { return r > 'z' || r != '_' && !isAlnum(byte(r)) })
}

// readPEM reports whether a file holds certificates, without its path.
func readPEM(path string) error {
	info, err := os.Stat(path) // as LoadFile
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	var data []byte
	if err == nil {
		data, err = readAll(path, MaxPEM+1)
	}
	switch {
	case err != nil:
		return errors.New("cannot be read: " + reason(err))
	case len(data) > MaxPEM:
		return fmt.Errorf("is a file of more than %s", config.Size(MaxPEM))
	case !x509.NewCertPool().AppendCertsFromPEM(data):
		return errors.New("is a file without a certificate in PEM")
	}
	return nil
}

// reason strips the path from err.
func reason(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

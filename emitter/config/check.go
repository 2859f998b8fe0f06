package config

import (
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Longest names, in bytes, as emitter.Event bounds them.
const (
	maxComponent = 64
	maxHost      = 255
)

// check finds what the types do not say. Defaults are right.
func (l *loader) check(c *Config) {
	l.require("COMPONENT", isName(c.Component, maxComponent), "has a space or another character, or is too long")
	l.require("HOST", isName(c.Host, maxHost), "has a space or another character, or is too long")
	l.require("INSTANCE", isName(c.Instance, maxHost), "has a space or another character, or is too long")
	l.require("LISTEN", isListenAddr(c.Listen), "is not host:port")
	l.require("MAX_DATA_SIZE", c.MaxDataSize >= 1 && c.MaxDataSize <= MaxDataSize, "is out of range")
	l.require("HASH_KEY", len(c.HashKey.Reveal()) >= MinHashKey, "is too short")
	l.checkTypes("EVENT_TYPES", c.EventTypes)
	l.checkTypes("EXCLUDE_EVENT_TYPES", c.ExcludeEventTypes)
	for _, t := range c.ExcludeEventTypes {
		l.require("EXCLUDE_EVENT_TYPES", !strings.HasPrefix(t, "audit_"), "lists "+quote(t)+", but audit_* is recorded always")
	}
	for _, glob := range c.PrivilegedTools {
		_, err := path.Match(glob, "")
		l.require("PRIVILEGED_TOOLS", err == nil, "lists "+quote(glob)+", which is not a pattern")
	}
	if slices.ContainsFunc(c.TrustedProxies, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		l.warnings = append(l.warnings, known["TRUSTED_PROXIES"].doc.Name+
			": a network of all addresses lets every client choose its own source address")
	}
}

// require notes problem if key was set to something that is not ok.
func (l *loader) require(key string, ok bool, problem string) {
	if _, set := l.given[key]; set && !ok {
		l.add(key, problem)
	}
}

func (l *loader) checkTypes(key string, types []string) {
	for _, t := range types {
		ok := slices.Contains(l.opt.Known, t)
		if len(l.opt.Known) == 0 {
			ok = len(t) <= maxShown && onlyHas(t, func(c byte) bool { return c == '_' || isLowerAlnum(c) })
		}
		problem := "lists the unknown event type " + quote(t)
		if near := nearest(t, l.opt.Known); near != "" {
			problem += ", did you mean " + near + "?"
		}
		l.require(key, ok, problem)
	}
}

func isName(text string, limit int) bool {
	return len(text) <= limit && onlyHas(text, func(c byte) bool { return ' ' < c && c < 0x7F })
}

// isListenAddr reports whether text is host:port with a number for the port;
// 0 lets the system choose one.
func isListenAddr(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || !isPort(port, 0) {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	return len(host) <= maxHost && onlyHas(host, func(c byte) bool { return isAlnum(c) || c == '.' || c == '-' })
}

// files parses the destinations that are on, in the order of their numbers.
func (l *loader) files() []FileDestination {
	var on []FileDestination
	for n := 1; n <= MaxDestinations; n++ {
		group := groupOf("FILE", n)
		if _, set := l.given[group+"PATH"]; !set {
			l.useless(group, group+"PATH")
			continue
		}
		d := parse[FileDestination](l, group)
		if _, set := l.given[group+"NAME"]; !set {
			d.Name = known[group+"NAME"].doc.Default
		}
		l.checkFile(group, d, on)
		on = append(on, d)
		l.numbers = append(l.numbers, n)
	}
	return on
}

// useless notes the settings of a destination that its address leaves off.
func (l *loader) useless(group, address string) {
	for _, key := range names {
		if _, set := l.given[key]; set && known[key].group == group {
			l.add(key, "does nothing while "+known[address].doc.Name+" is not set")
		}
	}
}

// checkFile checks a destination against itself and those before it.
func (l *loader) checkFile(group string, d FileDestination, before []FileDestination) {
	nameOK := len(d.Name) <= 32 && onlyHas(d.Name, func(c byte) bool { return c == '-' || isLowerAlnum(c) })
	l.require(group+"NAME", nameOK, "is not a name")
	l.require(group+"MAX_FILES", d.MaxFiles <= 9999, "is out of range")
	sizeOK := d.MaxSize > 0 || l.wrong[group+"MAX_SIZE"] > 0
	l.require(group+"MAX_FILES", d.MaxFiles == 0 || sizeOK, "does nothing while "+known[group+"MAX_SIZE"].doc.Name+" is 0")
	if d.Path == "-" {
		l.require(group+"MAX_SIZE", d.MaxSize == 0, "does nothing for stdout")
	}
	for i, b := range before {
		other := groupOf("FILE", l.numbers[i])
		if d.Name == b.Name {
			l.add(group+"NAME", "is "+strconv.Quote(d.Name)+", the name of "+known[other+"PATH"].doc.Name+" already")
		}
		if filepath.Clean(d.Path) == filepath.Clean(b.Path) {
			l.add(group+"PATH", "is the same as "+known[other+"PATH"].doc.Name)
		}
	}
}

// need notes what the command misses.
func (l *loader) need(c *Config) {
	if l.opt.Need.Upstream && c.Upstream == nil && l.wrong["UPSTREAM"] == 0 {
		l.add("UPSTREAM", "is not set")
		l.mistakes[len(l.mistakes)-1].Flag = flagOf("UPSTREAM")
	}
	enabled := c.Enabled || l.wrong["ENABLED"] > 0
	if !l.opt.Need.Destination || !enabled || len(c.Files) > 0 {
		return
	}
	var addresses []string
	for _, v := range documented {
		if v.address {
			addresses = append(addresses, v.doc.Name)
		}
	}
	first := documented[slices.IndexFunc(documented, func(v variable) bool { return v.address })]
	l.add(first.key, "is not set and no other destination is: set at least one of "+strings.Join(addresses, ", "))
}

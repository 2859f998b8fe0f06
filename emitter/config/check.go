package config

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec"
	"github.com/vmcp-audit/vmcp-audit/emitter/internal/reread"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
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
	l.require("SPOOL_MAX_SIZE", c.SpoolMax >= spool.MinMaxSize, "is too small")
	l.require("SPOOL_FULL", c.Durability != Strict || c.SpoolFull == Refuse, "contradicts "+known["DURABILITY"].doc.Name+"=strict, which means refuse")
	l.require("FLOOD_LIMIT", c.FloodLimit <= 1_000_000, "is out of range")
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
		if near := Nearest(t, l.opt.Known); near != "" {
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

// destinations parses those of a kind that are on, in the order of their
// numbers; check has a second look at each.
func destinations[T any](l *loader, kind string, check func(group string, d *T)) []T {
	var all []T
	for n := 1; n <= MaxDestinations; n++ {
		group := groupOf(kind, n)
		address := addressOf(group)
		if _, set := l.given[address]; !set {
			l.useless(group, address)
			continue
		}
		d := parse[T](l, group)
		fields := reflect.ValueOf(&d).Elem()
		l.checkName(group, fields.FieldByName("Name").String())
		check(group, &d)
		l.on = append(l.on, destination{group, fields.FieldByName("Name").String(), fields})
		all = append(all, d)
	}
	return all
}

// addressOf returns the variable that switches a destination on.
func addressOf(group string) string {
	for _, key := range names {
		if v := known[key]; v.group == group && v.address {
			return key
		}
	}
	return ""
}

// useless notes the settings of a destination that its address leaves off.
func (l *loader) useless(group, address string) {
	for _, key := range names {
		if g, set := l.given[key]; set && g.source != SourceFile && known[key].group == group {
			l.add(key, "does nothing while "+known[address].doc.Name+" is not set")
		}
	}
}

// checkName checks the name of a route against those before it.
func (l *loader) checkName(group, name string) {
	ok := len(name) <= 32 && onlyHas(name, func(c byte) bool { return c == '-' || isLowerAlnum(c) })
	l.require(group+"NAME", ok, "is not a name")
	for _, other := range l.on {
		if name == other.name {
			l.add(group+"NAME", "is "+strconv.Quote(name)+", the name of "+known[addressOf(other.group)].doc.Name+" already")
		}
	}
}

func (l *loader) checkFile(group string, d *FileDestination) {
	l.require(group+"MAX_FILES", d.MaxFiles <= 9999, "is out of range")
	sizeOK := d.MaxSize > 0 || l.wrong[group+"MAX_SIZE"] > 0
	l.require(group+"MAX_FILES", d.MaxFiles == 0 || sizeOK, "does nothing while "+known[group+"MAX_SIZE"].doc.Name+" is 0")
	if d.Path == "-" {
		l.require(group+"MAX_SIZE", d.MaxSize == 0, "does nothing for stdout")
	}
	for _, other := range l.on {
		if o, ok := reflect.TypeAssert[FileDestination](other.fields); ok && filepath.Clean(d.Path) == filepath.Clean(o.Path) {
			l.add(group+"PATH", "is the same as "+known[other.group+"PATH"].doc.Name)
		}
	}
}

func (l *loader) checkHEC(group string, d *HECDestination) {
	before := len(l.mistakes)
	if !d.Token.IsSet() && l.wrong[group+"TOKEN"]+l.wrong[group+"TOKEN_FILE"] == 0 {
		l.add(group+"TOKEN", "is not set, nor is "+known[group+"TOKEN_FILE"].doc.Name)
	}
	if l.given[group+"TOKEN"].source == SourceFile {
		d.TokenFile = l.given[group+"TOKEN_FILE"].text
	}
	l.require(group+"TOKEN", isName(d.Token.Reveal(), MaxSecretFile), "has a space or another character")
	l.require(group+"INDEX", isIndex(d.Index), "is not the name of an index")
	l.require(group+"SOURCE", isText(d.Source), "has another character, or is too long")
	l.require(group+"SOURCETYPE", isText(d.SourceType), "has another character, or is too long")
	l.require(group+"ACK_TIMEOUT", d.AckTimeout >= time.Second, "is too short")
	l.require(group+"BATCH_SIZE", 1 <= d.BatchSize && d.BatchSize <= MaxBatch, "is out of range")
	l.require(group+"BATCH_BYTES", 1000 <= d.BatchBytes && d.BatchBytes <= hec.LargestMaxBytes, "is out of range")
	l.require(group+"BATCH_LINGER", d.BatchLinger <= time.Minute, "is too long")
	l.require(group+"CERT_FILE", d.KeyFile != "", "does nothing while "+known[group+"KEY_FILE"].doc.Name+" is not set")
	l.require(group+"KEY_FILE", d.CertFile != "", "does nothing while "+known[group+"CERT_FILE"].doc.Name+" is not set")
	if _, right := l.given[group+"URL"]; !right || len(l.mistakes) > before {
		return
	}
	// What is left are the files and the path of the URL, which hec knows best.
	if sink, err := d.open("", nil); err != nil {
		l.unusable(group, "URL", err)
	} else {
		_ = sink.Close() // nothing was sent
	}
	host := d.URL.Hostname()
	if ip, err := netip.ParseAddr(host); d.URL.Scheme == "http" && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		l.warnings = append(l.warnings, known[group+"URL"].doc.Name+": http sends the token and the events in clear; use https")
	}
}

// unusable notes what the destination of a group says of its settings: of one of
// its files, or else of its address.
func (l *loader) unusable(group, address string, err error) {
	key := address
	if f, ok := errors.AsType[*reread.FileError](err); ok {
		key, err = fileKeys[f.File], f.Err
	}
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "hec: "), "syslog: ")
	l.add(group+key, "cannot be used: "+printable(text))
}

var fileKeys = map[string]string{reread.CA: "CA_FILE", reread.Cert: "CERT_FILE", reread.Key: "KEY_FILE"}

// isIndex reports whether text can be the name of an index of Splunk; none is
// the token's own.
func isIndex(text string) bool {
	return len(text) <= 80 && !strings.HasPrefix(text, "-") && onlyHas(text, func(c byte) bool { return c == '_' || c == '-' || isLowerAlnum(c) })
}

func isText(text string) bool {
	return len(text) <= maxHost && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

// need notes what the command misses.
func (l *loader) need(c *Config) {
	if l.opt.Need.Upstream && c.Upstream == nil && l.wrong["UPSTREAM"] == 0 {
		l.add("UPSTREAM", "is not set")
		l.mistakes[len(l.mistakes)-1].Flag = flagOf("UPSTREAM")
	}
	enabled := c.Enabled || l.wrong["ENABLED"] > 0
	if l.opt.Need.Destination && enabled && c.SpoolDir == "" {
		l.add("SPOOL_DIR", "is not set, and there is neither $HOME nor another folder for it")
	}
	if !l.opt.Need.Destination || !enabled || len(l.on) > 0 {
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

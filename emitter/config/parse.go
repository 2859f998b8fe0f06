package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caarlos0/env/v11"
)

// parsers are ours for every type that has no UnmarshalText, because their
// errors are shown: those of the standard library repeat the value.
var parsers = map[reflect.Type]env.ParserFunc{
	reflect.TypeFor[bool]():              parser(parseBool),
	reflect.TypeFor[int]():               parser(parseCount),
	reflect.TypeFor[time.Duration]():     parser(parseWait),
	reflect.TypeFor[url.URL]():           parser(parseURL),
	reflect.TypeFor[[]string]():          parser(parseList),
	reflect.TypeFor[[]netip.Prefix]():    parser(parsePrefixes),
	reflect.TypeFor[map[string]string](): parser(parseLabels),
}

func parser[T any](parse func(string) (T, error)) env.ParserFunc {
	return func(text string) (any, error) { return parse(text) }
}

func parseBool(text string) (bool, error) {
	b, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return false, errors.New("is neither true nor false")
	}
	return b, nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, errors.New("is not a whole number from 0 on")
	}
	return int(n), nil
}

func parseWait(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && onlyHas(text, func(c byte) bool { return '0' <= c && c <= '9' }):
		return 0, errors.New("has no unit")
	case err != nil:
		return 0, errors.New("is not a duration")
	case d < 0:
		return 0, errors.New("is negative")
	case d > MaxWait:
		return 0, errors.New("is too long")
	}
	return d, nil
}

// parseURL reads the address of an HTTP server.
func parseURL(text string) (url.URL, error) {
	if strings.ContainsAny(text, "?#") {
		return url.URL{}, errors.New("has a query or a fragment")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return url.URL{}, errors.New("is not a URL")
	case u.User != nil:
		return url.URL{}, errors.New("holds a user name or a password")
	case u.Scheme != "http" && u.Scheme != "https":
		return url.URL{}, errors.New("does not begin with http:// or https://")
	case u.Hostname() == "":
		return url.URL{}, errors.New("names no host")
	case u.Port() != "" && !isPort(u.Port(), 1):
		return url.URL{}, errors.New("has a port that is not from 1 to 65535")
	}
	return *u, nil
}

// quoteURL is quote for a URL, which may hold a password however wrong it is.
func quoteURL(text string) string {
	_, authority, _ := strings.Cut(text, "//")
	authority, _, _ = strings.Cut(authority, "/")
	_, port, colon := strings.Cut(authority[strings.LastIndexByte(authority, ']')+1:], ":") // behind an IPv6 address
	if strings.ContainsAny(text, "@?#") || colon && strings.Trim(port, "0123456789") != "" {
		return notShown
	}
	return quote(text)
}

func isPort(text string, least uint64) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n >= least
}

// parseList splits text at commas; spaces around items and empty items do not
// count.
func parseList(text string) ([]string, error) {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	switch {
	case len(items) == 0:
		return nil, errors.New("lists nothing")
	case len(items) > MaxListItems:
		return nil, fmt.Errorf("lists %d items, more than %d", len(items), MaxListItems)
	}
	return items, nil
}

func parsePrefixes(text string) ([]netip.Prefix, error) {
	items, err := parseList(text)
	if err != nil {
		return nil, err
	}
	prefixes := make([]netip.Prefix, 0, len(items))
	var errs []error
	for _, item := range items {
		p, err := parsePrefix(item)
		if err != nil {
			errs = append(errs, fmt.Errorf("lists %s, which %w", quote(item), err))
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, errors.Join(errs...)
}

// parsePrefix reads a network or a single address. What is IPv4 in IPv6's
// clothes becomes plain IPv4, as the addresses of peers do.
func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return p, errors.New("is neither an address nor a CIDR network")
	}
	if p.Masked() != p {
		return p, fmt.Errorf("is an address inside the network %s; write one or the other", p.Masked())
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

// parseLabels reads key=value pairs.
func parseLabels(text string) (map[string]string, error) {
	items, err := parseList(text)
	if err != nil {
		return nil, err
	}
	labels := make(map[string]string, len(items))
	var errs []error
	for _, item := range items {
		key, value, ok := strings.Cut(item, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if err := checkLabel(key, value, ok); err != nil {
			errs = append(errs, err)
			continue
		}
		if _, twice := labels[key]; twice {
			errs = append(errs, fmt.Errorf("has the key %s twice", quote(key)))
		}
		labels[key] = value
	}
	if len(items) > MaxLabels {
		errs = append(errs, fmt.Errorf("has %d labels, more than %d", len(items), MaxLabels))
	}
	return labels, errors.Join(errs...)
}

func checkLabel(key, value string, hasValue bool) error {
	switch {
	case !hasValue:
		return fmt.Errorf("has the label %s without =", quote(key))
	case len(key) > MaxLabelKey || !onlyHas(key, isLabelByte):
		return fmt.Errorf("has the key %s, which is too long or has other characters", quote(key))
	case len(value) > MaxLabelValue:
		return fmt.Errorf("has a value of %d bytes for %s", len(value), quote(key))
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("has a control character or bad UTF-8 in the value of %s", quote(key))
	}
	return nil
}

func isLabelByte(c byte) bool { return isAlnum(c) || strings.IndexByte("._/-", c) >= 0 }

package syslog

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Address is where a receiver listens. The zero Address is none.
type Address struct {
	Network string // udp, tcp, tls, unix (a stream) or unixgram (datagrams, as /dev/log)
	Host    string // host:port, or the path of the socket
}

// Ports where an address names none: RFC 5426 section 3.3 and RFC 5425 section
// 4.1; TCP has none of its own, and uses that of UDP.
const (
	defaultPort    = "514"
	defaultPortTLS = "6514"
)

// UnmarshalText reads udp://host:port, tcp://host:port, tls://host:port,
// unix:///path or unixgram:///path. Its errors do not show the text.
func (a *Address) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	switch {
	case err != nil || u.Opaque != "":
		return errors.New("is not an address")
	case u.User != nil:
		return errors.New("holds a user name or a password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("has a query or a fragment")
	}
	switch u.Scheme {
	case "unix", "unixgram":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
			return errors.New("names no socket by a path that begins with /")
		}
		*a = Address{Network: u.Scheme, Host: u.Path}
		return nil
	case "udp", "tcp", "tls":
	default:
		return errors.New("does not begin with udp://, tcp://, tls://, unix:// or unixgram://")
	}
	if u.Hostname() == "" {
		return errors.New("names no host")
	}
	if strings.Trim(u.Path, "/") != "" {
		return errors.New("has a path")
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
		if u.Scheme == "tls" {
			port = defaultPortTLS
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("has a port that is not from 1 to 65535")
	}
	*a = Address{Network: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port)}
	return nil
}

// String returns what UnmarshalText reads, empty for none.
func (a Address) String() string {
	if a.Network == "" {
		return ""
	}
	return a.Network + "://" + a.Host
}

// Datagrams reports whether each message travels for itself.
func (a Address) Datagrams() bool { return a.Network == "udp" || a.Network == "unixgram" }

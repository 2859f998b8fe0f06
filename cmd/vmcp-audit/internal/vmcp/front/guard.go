package front

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Allowed says which pages of which names may be the origin of a request, and by
// which names the server is called.
type Allowed struct {
	// Origins are those beside the server's own, as browsers write them.
	Origins []string
	// Hosts are the names of the server, without a port. None: any, unless the
	// server listens on loopback, where only names of loopback are.
	Hosts []string
}

// Guard refuses requests that a page in a browser sends behind its user's back:
// from a foreign Origin, or, by DNS rebinding, to a foreign Host. The
// specification asks for the first ("Security Warning", transports, since
// 2025-03-26).
func Guard(next http.Handler, local net.Addr, a Allowed) http.Handler {
	loopback := isLoopback(local)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		switch {
		case len(a.Hosts) > 0 && !contains(a.Hosts, host), len(a.Hosts) == 0 && loopback && !loopbackName(host):
			http.Error(w, "this server is not called by that name", http.StatusForbidden)
		case !a.origin(r, loopback):
			http.Error(w, "pages of that origin may not use this server", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (a Allowed) origin(r *http.Request, loopback bool) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	switch {
	case contains(a.Origins, origin):
		return true
	case err != nil || u.Host == "":
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || loopback && loopbackName(hostOf(u.Host))
}

func contains(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

package front

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
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
		case !preflight(w, r):
			next.ServeHTTP(w, r)
		}
	})
}

// preflight tells a browser that the page may read the answer, and reports
// whether that was all it asked (CORS, section 3.2 of the Fetch standard). Cookies
// are not asked for.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", mcp.HeaderSessionID+", WWW-Authenticate")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "DELETE, GET, POST")
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
	return true
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

package middleware

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const (
	maxHops   = 32 // hops of a forwarding header that are looked at, from the right
	claimPath = "source.extra.forwarded_claimed"
)

// source tells where r came from. The peer is always named. Its word on who is
// behind it counts only if it is a trusted proxy, and then only in
// X-Forwarded-For: a proxy that sets one forwarding header passes the others
// on as a stranger wrote them.
func (a *Auditor) source(r *http.Request, requestID string, clean *cleaner) emitter.Source {
	s := emitter.Source{Type: "network", Extra: emitter.SourceExtra{
		UserAgent: clean.header("source.extra.user_agent", r.UserAgent()),
		RequestID: clean.header("source.extra.request_id", r.Header.Get("X-Request-Id")),
	}}
	if s.Extra.RequestID == "" {
		s.Extra.RequestID = requestID
	}
	claim := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		s.Type, s.Peer, s.Value = "local", r.RemoteAddr, r.RemoteAddr
		s.Extra.ForwardedClaimed = clean.header(claimPath, claim)
		return s
	}
	addr := plainAddr(peer.Addr())
	s.Peer, s.Port, s.Value = addr.String(), int(peer.Port()), addr.String()
	if claim == "" {
		s.Extra.ForwardedClaimed = clean.header(claimPath, strings.Join(r.Header.Values("Forwarded"), ","))
		return s
	}
	if !a.trusted(addr) {
		s.Extra.ForwardedClaimed = clean.header(claimPath, claim)
		return s
	}
	s.Value = a.client(addr, claim).String()
	return s
}

// client walks the hops from the right and returns the first that is no
// trusted proxy, or the last that could be read.
func (a *Auditor) client(peer netip.Addr, forwarded string) netip.Addr {
	hops := strings.Split(forwarded, ",")
	client := peer
	for i, hop := range slices.Backward(hops) {
		addr, ok := hopAddr(strings.TrimSpace(hop))
		if !ok || len(hops)-i > maxHops {
			return client
		}
		client = addr
		if !a.trusted(addr) {
			return client
		}
	}
	return client
}

func (a *Auditor) trusted(addr netip.Addr) bool {
	return slices.ContainsFunc(a.opt.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// hopAddr reads one hop: an address, with or without brackets and port.
func hopAddr(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return plainAddr(ap.Addr()), true
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return plainAddr(addr), err == nil
}

func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

package proxy

import "net/http"

// transportOf returns the transport of a proxy.
func transportOf(h http.Handler) *http.Transport {
	return h.(*handler).Transport.(*http.Transport)
}

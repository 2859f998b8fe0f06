package proxy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLimits holds what net/http does not let pass, so that the documents can
// be trusted: none of it changes what a message means.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name, request, answer   string
		wantRequest, wantAnswer fields // as they arrive
	}{
		{
			name:        "length 0 of a request that has no body as a rule",
			request:     wire("DELETE / HTTP/1.1"+host+"\nContent-Length: 0", ""),
			answer:      plainOK,
			wantRequest: fields{},
			wantAnswer:  fields{"content-type": {"text/plain"}, "content-length": {"4"}},
		},
		{
			name:        "an empty User-Agent and a second one",
			request:     wire("GET / HTTP/1.1"+host+"\nUser-Agent:\nUser-Agent: b", ""),
			answer:      plainOK,
			wantRequest: fields{},
			wantAnswer:  fields{"content-type": {"text/plain"}, "content-length": {"4"}},
		},
		{
			name:        "type and length of what was not modified",
			request:     wire("GET / HTTP/1.1"+host, ""),
			answer:      wire("HTTP/1.1 304 Not Modified\nContent-Type: text/plain\nContent-Length: 4\nETag: \"x\"", ""),
			wantRequest: fields{},
			wantAnswer:  fields{"etag": {`"x"`}},
		},
		{
			name:        "trailers of a request that did not announce them",
			request:     wire("PUT / HTTP/1.1"+host+inChunks, chunked("X-Sum: 1\n", "body")),
			answer:      plainOK,
			wantRequest: fields{},
			wantAnswer:  fields{"content-type": {"text/plain"}, "content-length": {"4"}},
		},
		{
			name:        "the version of the client",
			request:     wire("GET / HTTP/1.0"+host, ""),
			answer:      wire(okText+inChunks, chunked("", "fi", "ne")),
			wantRequest: fields{},
			wantAnswer:  fields{"content-type": {"text/plain"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := answer(t, tt.answer)
			chain := newChain(t, "http://"+up.addr)
			gotAnswer := passed(send(t, chain.Listener.Addr().String(), tt.request))
			got := passed(receive(t, up.got, "a request"))
			delete(gotAnswer.Header, "date")
			tt.wantRequest["host"], tt.wantRequest["accept-encoding"] = []string{up.addr}, []string{"identity"}
			if diff := cmp.Diff(tt.wantRequest, got.Header); diff != "" || got.Trailer != nil {
				t.Errorf("request (-want +got):\n%s, trailer %v", diff, got.Trailer)
			}
			if diff := cmp.Diff(tt.wantAnswer, gotAnswer.Header); diff != "" || gotAnswer.Broken {
				t.Errorf("answer (-want +got):\n%s, broken %v", diff, gotAnswer.Broken)
			}
		})
	}
}

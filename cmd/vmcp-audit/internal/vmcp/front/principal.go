package front

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/middleware"
)

// principal names who sent a request, so that nobody else's can use its session;
// "" for nobody in particular. That is the verified subject, if an inner layer
// of the audit has noted one. Else it is what the Authorization header says: the
// issuer and subject in a JWT, which stay when the token is renewed and which
// nobody here has verified; of any other credentials a digest, so that others
// are another principal's.
func principal(r *http.Request) string {
	if s := middleware.NoteFrom(r.Context()).Subject(); s != (emitter.Subject{}) {
		return key("verified", s.Issuer, s.Tenant, cmp.Or(s.UserID, s.User))
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return ""
	}
	_, token, _ := strings.Cut(header, " ")
	if issuer, subject := claims(token); subject != "" {
		return key("claimed", issuer, subject)
	}
	return key("credentials", header)
}

// admits reports whether a request may use the session. One that was begun
// without credentials is open to whoever knows its id. A DELETE without any
// passes, since clients send it so (mcp-go v1.2.1, StreamableHTTP.Close): it can
// only end the session.
func (s *session) admits(r *http.Request) bool {
	if s.principal == "" {
		return true
	}
	who := principal(r)
	return who == s.principal || who == "" && r.Method == http.MethodDelete
}

// key joins parts so that no others give the same.
func key(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		one := sha256.Sum256([]byte(part))
		sum.Write(one[:])
	}
	return string(sum.Sum(nil))
}

// claims returns who a JWT (RFC 7519) says that it is from and about, "" for
// what is none.
func claims(token string) (issuer, subject string) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return "", ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !json.Valid(payload) {
		return "", ""
	}
	fields, err := wire.Pick(payload, "iss", "sub")
	if err != nil {
		return "", ""
	}
	return wire.Text(fields[0]), wire.Text(fields[1])
}

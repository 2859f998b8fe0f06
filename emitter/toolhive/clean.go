package toolhive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/internal/redact"
)

// session keeps a digest of the session id: whoever has the id has the session.
func (d *decoder) session() {
	if id := d.line.text("source", "extra", "session_id"); id != "" {
		sum := sha256.Sum256([]byte(id))
		d.event.Source.Extra.SessionID = "sha256:" + hex.EncodeToString(sum[:])
	}
}

// clean takes secrets out of the whole line, by the rules of docs/redaction.md,
// before anything is cut or moved.
func (d *decoder) clean(line []byte) error {
	clean, found, cut := redact.JSON(nil, line, 6*len(line)+64) // no escape takes more than six bytes
	if cut {
		return errors.New("it cannot be redacted")
	}
	for _, f := range found {
		if f.Path != "/source/extra/session_id" {
			d.event.Redactions = append(d.event.Redactions, emitter.Redaction{Path: pathOf(f.Path), Rule: string(f.Rule)})
		}
	}
	if len(found) == 0 {
		return nil
	}
	var err error
	d.line, err = parse(clean, containers...)
	return err
}

// pathOf returns the path in the event of a pointer into the line: of arguments and
// results it stays a pointer.
func pathOf(pointer string) string {
	for _, whole := range []string{"data.request", "data.response"} {
		if rest, ok := strings.CutPrefix(pointer, "/"+strings.ReplaceAll(whole, ".", "/")); ok && (rest == "" || rest[0] == '/') {
			return whole + rest
		}
	}
	return strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", ".")
}

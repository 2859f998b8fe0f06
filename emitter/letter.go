package emitter

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// maxLetter bounds the file of a dead letter, in bytes: a record, in base64 at
// worst, and what the destination said.
const maxLetter = 2*spool.MaxPayload + 64<<10

const letterSuffix = ".json"

// letterFile returns folder and name, in the spool's folder, of a dead letter.
func letterFile(route string, seq uint64) (folder, name string) {
	folder = url.PathEscape(route)
	if folder == "." || folder == ".." { // which name other folders
		folder = strings.ReplaceAll(folder, ".", "%2E")
	}
	return filepath.Join(DeadLetters, folder), fmt.Sprintf("%020d%s", seq, letterSuffix)
}

// LetterPath returns where a dead letter lies, below the spool's folder.
func LetterPath(route string, seq uint64) string {
	folder, name := letterFile(route, seq)
	return filepath.Join(folder, name)
}

// ParseLetterPath returns the route and the seq of the dead letter whose path
// below the spool's folder is given; it is false for any other file.
func ParseLetterPath(path string) (route string, seq uint64, ok bool) {
	folder, name := filepath.Split(path)
	folder, escaped := filepath.Split(filepath.Clean(folder))
	number, isLetter := strings.CutSuffix(name, letterSuffix)
	route, err := url.PathUnescape(escaped)
	seq, bad := strconv.ParseUint(number, 10, 64)
	return route, seq, filepath.Clean(folder) == DeadLetters && isLetter && err == nil && bad == nil
}

// ReadDeadLetter reads the file of a dead letter.
func ReadDeadLetter(path string) (*DeadLetter, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, maxLetter+1))
	if err != nil {
		return nil, err
	}
	l := new(DeadLetter)
	if len(b) > maxLetter {
		return nil, fmt.Errorf("%s: longer than any dead letter", path)
	}
	if err := json.Unmarshal(b, l); err != nil {
		return nil, fmt.Errorf("%s: no dead letter: %w", path, err)
	}
	return l, nil
}

// RemoveDeadLetter removes the dead letter of a route from the spool.
func RemoveDeadLetter(s *spool.Spool, route string, seq uint64) error {
	return s.RemoveAside(letterFile(route, seq))
}

// Render returns what a route with the given format would have sent: the event
// with the place in the chain that it had. The error says that it is no event.
func (l *DeadLetter) Render(format Format) (Record, error) {
	e, err := Decode(l.Event)
	if err != nil {
		return Record{}, err
	}
	if format == nil {
		format = AppendStored
	}
	return Record{Seq: l.Seq, ID: e.AuditID, Time: e.LoggedAt, Body: format(nil, e)}, nil
}

package toolhive

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Origin is metadata.extra.origin of every event that Decode returns.
const Origin = "toolhive"

// Decode reads one event from one of ToolHive's audit lines. Two calls with the
// same line return the same event, its id included. An error means that the line
// is none of ToolHive's; a canonical line of this project is such.
func Decode(line []byte) (*emitter.Event, error) {
	line = bytes.Trim(line, " \t\r\n")
	all, err := parse(line, containers...)
	if err != nil {
		return nil, fmt.Errorf("decode ToolHive line: %w", err)
	}
	d := decoder{line: all, event: &emitter.Event{Schema: emitter.SchemaVersion, Stage: emitter.StageCompleted}}
	d.session()
	if err := d.clean(line); err != nil {
		return nil, fmt.Errorf("decode ToolHive line: %w", err)
	}
	if err := d.head(line); err != nil {
		return nil, fmt.Errorf("decode ToolHive line: %w", err)
	}
	d.who()
	d.what()
	d.measures()
	d.data()
	d.outcome()
	e := d.event
	e.Severity, e.Controls = emitter.SeverityOf(e), emitter.ControlsOf(e)
	e.Data.Original = d.line.rest()
	if len(e.Data.Original) > emitter.MaxData {
		e.Data.Original = d.leftOut("data.original", e.Data.Original)
	}
	return e, nil
}

// containers are the objects whose members have a meaning here.
var containers = [][]string{
	{"source"}, {"source", "extra"}, {"subjects"}, {"target"}, {"metadata"}, {"metadata", "extra"}, {"data"}, {"delegation"},
}

// decoder moves what a line says into an event, and out of the line.
type decoder struct {
	line  object
	event *emitter.Event
	typ   string // as the line has it
	reply reply
}

// head reads what every line has, and so tells if it is one.
func (d *decoder) head(line []byte) error {
	e := d.event
	if _, ours := d.line["schema"]; ours {
		return errors.New("it has a schema, which ToolHive's have not")
	}
	var outcome, at string
	if d.typ = d.line.text("type"); d.typ == "" {
		return errors.New("no type")
	}
	if outcome = d.line.text("outcome"); outcome == "" {
		return errors.New("no outcome")
	}
	if at = d.line.text("logged_at"); at == "" {
		return errors.New("no logged_at")
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil || t.IsZero() {
		return errors.New("logged_at is no time of RFC 3339")
	}
	e.LoggedAt = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond()%1000 == 0 && t.Location() == time.UTC {
		d.line.drop("logged_at") // else it says more than ours
	}
	d.line.dropIf("level", "AUDIT")
	d.line.dropIf("msg", "audit_event")
	d.line.take(&e.AuditID, 64, "audit_id")
	if e.AuditID == "" {
		e.AuditID = idOf(line)
	}
	d.line.take(&e.Component, 64, "component")
	if e.Component == "" {
		e.Component = Origin
	}
	e.Metadata.Extra.Origin = Origin
	return nil
}

// lines is the name space of the ids that are made from lines.
var lines = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/stacklok/toolhive/pkg/audit"))

// idOf returns the id of a line that has none: a UUIDv8 (RFC 9562) made from its
// SHA-256, the same whenever the line is read.
func idOf(line []byte) string { return uuid.NewHash(sha256.New(), lines, line, 8).String() }

// data moves arguments and results.
func (d *decoder) data() {
	e := d.event
	request, response := d.line.raw("data", "request"), d.line.raw("data", "response")
	if len(request) > 0 && request[0] == '{' {
		members(request, func(name string, value json.RawMessage) {
			if name == "id" && len(value) <= 256 {
				e.Trace.JSONRPCID = string(value)
			}
		})
	}
	d.reply = replyOf(response)
	e.Data.Request, e.Data.Response = d.bounded("data.request", request), d.bounded("data.response", response)
	d.line.drop("data", "request")
	d.line.drop("data", "response")
}

func (d *decoder) bounded(path string, v json.RawMessage) json.RawMessage {
	if len(v) > emitter.MaxData {
		return d.leftOut(path, v)
	}
	return v
}

// leftOut returns what stands for a value that no event can hold.
func (d *decoder) leftOut(path string, v json.RawMessage) json.RawMessage {
	d.event.Redactions = append(d.event.Redactions, emitter.Redaction{Path: path, Rule: "cut"})
	return fmt.Appendf(nil, `"[left out: %d bytes, sha256:%x]"`, len(v), sha256.Sum256(v))
}

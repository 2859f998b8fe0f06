package formats

import (
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// Row is one row of the mapping, as the documents show it.
type Row struct {
	Path  string // of the event
	Flat  string // key in flat JSON
	CEF   string // its keys, labels and limit
	LEEF  string // likewise
	SD    string // parameter of the structured data
	Brief bool   // it stands there around other formats too
}

// Mapping describes where each field of the event stands in each format, in the
// order in which it is written. The fields that only the nested JSON has are not in
// it.
func Mapping() []Row {
	rows := make([]Row, len(fields))
	for i := range fields {
		f := &fields[i]
		rows[i] = Row{f.path, f.flat, f.cef.describe(f), f.leef.describe(f), f.sd, f.brief}
		switch f.path {
		case "type":
			rows[i].CEF, rows[i].LEEF = "header: class id, name", "header: EventID"
		case "severity":
			rows[i].CEF = "header: severity"
		case "observer.version":
			rows[i].CEF, rows[i].LEEF = "header: version", "header: version"
		}
	}
	return rows
}

func (k *key) describe(f *field) string {
	if k.name == "" {
		return ""
	}
	text := k.name
	if k.label != "" {
		text += " (label " + k.label + ")"
	}
	if k.v6 != "" {
		text += ", IPv6 " + k.v6
	}
	if k.host != "" {
		text += ", else " + k.host
	}
	switch {
	case k.max == 0:
	case f.kind == kindNumber:
		text += ", to " + strconv.Itoa(k.max)
	default:
		text += ", " + strconv.Itoa(k.max) + " bytes"
	}
	return text
}

// Parts returns what goes first where a JSON line has to be cut.
func Parts() []string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.path
	}
	return names
}

// SyslogSeverity returns the severity of RFC 5424 section 6.2.1 for one of an event:
// 6 informational, 5 notice, 4 warning, 3 error, 2 critical.
func SyslogSeverity(severity int) int { return int(syslogSeverity(int64(severity))) }

// QID is one row of QRadar's map of events.
type QID struct {
	EventID, Cat string // as LEEF has them: type and outcome
	Name         string
	Severity     int    // 1 to 10
	High, Low    string // QRadar's categories
	LowID        int
}

// QIDs returns a row for each type and each outcome.
func QIDs() []QID {
	var all []QID
	for _, k := range Kinds() {
		for _, o := range emitter.Outcomes() {
			e := emitter.Event{Type: k.Type, Outcome: o}
			q := categories(&k, o)
			q.EventID, q.Cat, q.Name = string(k.Type), string(o), k.Name+": "+string(o)
			q.Severity = max(1, emitter.SeverityOf(&e))
			all = append(all, q)
		}
	}
	return all
}

// categories returns QRadar's categories, from IBM's tables of low-level event
// categories (https://www.ibm.com/docs/en/qsip/7.5?topic=categories-access and the
// pages beside it).
func categories(k *Kind, o emitter.Outcome) QID {
	in := func(high, low string, id int) QID { return QID{High: high, Low: low, LowID: id} }
	good := o == emitter.OutcomeSuccess || o == emitter.OutcomePending
	switch {
	case k.Type == emitter.TypeAuth || k.Type == emitter.TypeBackendAuth:
		if good {
			return in("Authentication", "Auth Server Login Succeeded", 3011)
		}
		return in("Authentication", "Auth Server Login Failed", 3010)
	case k.Cat == "audit":
	case o == emitter.OutcomeDenied && k.Cat == "session":
		return in("Access", "Session Denied", 4020)
	case o == emitter.OutcomeDenied:
		return in("Access", "Access Denied", 4015)
	case good && (k.Type == emitter.TypeSessionEnd || k.Type == emitter.TypeSSEClosed):
		return in("Access", "Session Closed", 4017)
	case good && k.Cat == "session":
		return in("Access", "Session Opened", 4016)
	case good:
		return in("Access", "Access Permitted", 4014)
	}
	return in("Audit", "General Audit Event", 19001)
}

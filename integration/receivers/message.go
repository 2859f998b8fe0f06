package receivers

import (
	"encoding/json"
	"fmt"
	"time"
)

// Message is a message as the receiver parsed it. The receiver writes it as
// JSON, so that bytes that are not UTF-8 are replaced; the rest is unchanged.
type Message struct {
	Msg      string            // MSG; rsyslog keeps a BOM and, without an RFC 5424 header, the space before the text
	Raw      string            // the whole message as the receiver holds it
	Time     time.Time         // of the header
	Facility int               // 0..23
	Severity int               // 0..7
	Host     string            // of the header
	App      string            // APP-NAME, or the tag's program
	ProcID   string            // rsyslog: "-" for none
	MsgID    string            // rsyslog: "-" for none
	SD       string            // structured data as text; rsyslog: "-" for none
	Params   map[string]string // its parameters, parsed by the receiver: "vmcp@32473.user" for user in vmcp@32473
}

// written is the line of a file. The receiver's parsed structured data is in
// Rsyslog or in SyslogNG.
type written struct {
	Msg, Raw, Time, Host, App, ProcID, MsgID, SD string

	Facility int `json:",string"`
	Severity int `json:",string"`

	Rsyslog struct {
		SD map[string]any `json:"rfc5424-sd"`
	}
	SyslogNG map[string]any `json:"_SDATA"`
}

func parse(line []byte) (Message, error) {
	var w written
	if err := json.Unmarshal(line, &w); err != nil {
		return Message{}, fmt.Errorf("%w in %q", err, line)
	}
	at, err := time.Parse(time.RFC3339Nano, w.Time)
	if err != nil {
		return Message{}, fmt.Errorf("%w in %q", err, line)
	}
	params := make(map[string]string)
	flatten(params, "", w.Rsyslog.SD)
	flatten(params, "", w.SyslogNG)
	return Message{
		Msg: w.Msg, Raw: w.Raw, Time: at, Facility: w.Facility, Severity: w.Severity,
		Host: w.Host, App: w.App, ProcID: w.ProcID, MsgID: w.MsgID, SD: w.SD, Params: params,
	}, nil
}

// flatten joins the names of nested objects by a dot: syslog-ng nests at each
// dot of a name.
func flatten(to map[string]string, prefix string, from map[string]any) {
	for name, value := range from {
		switch v := value.(type) {
		case map[string]any:
			flatten(to, prefix+name+".", v)
		case string:
			to[prefix+name] = v
		default:
			to[prefix+name] = fmt.Sprint(v)
		}
	}
}

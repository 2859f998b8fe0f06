package formats

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
	"github.com/vmcp-audit/vmcp-audit/integration/receivers"
)

// taken is the longest message that rsyslog takes by default.
const taken = 8 << 10

var products = []receivers.Product{receivers.Rsyslog, receivers.SyslogNG}

// through sends messages through a receiver, with their length before each or, to
// a receiver of RFC 3164, in lines. It returns what the receiver made of them,
// and the lines of the file that it wrote in its default format.
func through(t *testing.T, product receivers.Product, opt receivers.Options, sent []string) (got []receivers.Message, file []string) {
	t.Helper()
	opt.Plain = true
	r := receivers.Start(t, product, opt)
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var frames strings.Builder
	for _, s := range sent {
		if opt.BSD {
			frames.WriteString(s + "\n")
		} else {
			fmt.Fprintf(&frames, "%d %s", len(s), s)
		}
	}
	if _, err := conn.Write([]byte(frames.String())); err != nil {
		t.Fatal(err)
	}
	r.Wait(len(sent))
	r.WaitPlain(len(sent)) // it is written behind, and a stop may cut it short
	r.Stop()
	got = r.Messages()
	file = strings.Split(strings.TrimSuffix(string(r.Plain()), "\n"), "\n")
	if len(got) != len(sent) || len(file) != len(sent) {
		t.Fatalf("%d messages became %d, and %d lines in the file", len(sent), len(got), len(file))
	}
	return got, file
}

// keepTabs is the setting without which rsyslog writes #011 for each TAB.
const keepTabs = `global(parser.escapeControlCharactersOnReceive="off")`

// With the header of RFC 5424 every byte of every format comes through, and the
// receivers understand the header and the structured data.
func TestWire(t *testing.T) {
	for _, product := range products {
		for _, name := range []formats.Name{
			formats.NameJSON, formats.NameFlat, formats.NameCEF, formats.NameLEEF, formats.NameLEEF1, formats.NameRFC5424,
		} {
			t.Run(fmt.Sprint(product, " ", name), func(t *testing.T) {
				var opt receivers.Options
				if product == receivers.Rsyslog && name == formats.NameLEEF1 {
					opt.Global = keepTabs
				}
				sent := render(t, formats.Options{Format: name, Header: formats.HeaderRFC5424, MaxSize: taken}, formatstest.Events())
				got, file := through(t, product, opt, sent)
				for i, s := range sent {
					want := readSyslog(t, s)
					if product == receivers.SyslogNG {
						want = asSyslogNG(want)
					}
					if diff := cmp.Diff(want, got[i]); diff != "" {
						t.Errorf("%s\n(-want +got):\n%s", s, diff)
					}
					if !strings.HasSuffix(file[i], " "+want.Msg) {
						t.Errorf("the file has %q\nfor %q", file[i], want.Msg)
					}
				}
			})
		}
	}
}

// asSyslogNG returns a message as syslog-ng has it: fields that are not there are
// empty, and a sender without a name has that of its address.
func asSyslogNG(m receivers.Message) receivers.Message {
	if m.Host == "-" {
		m.Host = "localhost"
	}
	for _, field := range []*string{&m.App, &m.ProcID, &m.MsgID, &m.SD} {
		if *field == "-" {
			*field = ""
		}
	}
	return m
}

// With the header of RFC 3164, JSON keeps the tag that the receivers expect and is
// their text. CEF and LEEF, before which ArcSight and QRadar expect none, are not:
// the receivers take the format's name for the tag. The message is whole.
func TestWireRFC3164(t *testing.T) {
	for _, product := range products {
		for name, app := range map[formats.Name]string{formats.NameJSON: "vmcp-server", formats.NameCEF: "CEF", formats.NameLEEF: "LEEF"} {
			t.Run(fmt.Sprint(product, " ", name), func(t *testing.T) {
				opt := formats.Options{Format: name, Header: formats.HeaderRFC3164, MaxSize: taken, Host: "gw-1", AppName: "vmcp-server"}
				sent := render(t, opt, formatstest.Events())
				got, _ := through(t, product, receivers.Options{BSD: true}, sent)
				for i, s := range sent {
					_, text, _ := strings.Cut(s, " "+app+":")
					if m := got[i]; m.Host != "gw-1" || m.App != app || strings.TrimPrefix(m.Msg, " ") != strings.TrimPrefix(text, " ") {
						t.Errorf("%s\ngot host %q, program %q, text %q", s, m.Host, m.App, m.Msg)
					}
					if got[i].Raw != s {
						t.Errorf("sent %q\n got %q", s, got[i].Raw)
					}
				}
			})
		}
	}
}

// rsyslog breaks LEEF 1.0 unless it is told not to.
func TestTabsEscaped(t *testing.T) {
	sent := render(t, formats.Options{Format: formats.NameLEEF1, Header: formats.HeaderRFC5424, MaxSize: taken}, formatstest.Events()[:1])
	got, _ := through(t, receivers.Rsyslog, receivers.Options{}, sent)
	if want := strings.ReplaceAll(readSyslog(t, sent[0]).Msg, "\t", "#011"); got[0].Msg != want {
		t.Errorf("got %q\nwant %q", got[0].Msg, want)
	}
}

// A byte order mark is no part of the text for syslog-ng; for rsyslog it is.
func TestBOM(t *testing.T) {
	const bom = "\ufeff"
	sent := render(t, formats.Options{Format: formats.NameRFC5424, BOM: true}, formatstest.Events()[:1])
	want := readSyslog(t, sent[0]).Msg
	if !strings.HasPrefix(want, bom) {
		t.Fatalf("no mark in %q", want)
	}
	for product, want := range map[receivers.Product]string{receivers.Rsyslog: want, receivers.SyslogNG: strings.TrimPrefix(want, bom)} {
		if got, _ := through(t, product, receivers.Options{}, sent); got[0].Msg != want {
			t.Errorf("%s: got %q, want %q", product, got[0].Msg, want)
		}
	}
}

// JSON that has gone through a receiver is still what the schema describes.
func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/event-1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	events := slices.DeleteFunc(formatstest.Events(), func(e *emitter.Event) bool { // of a newer version
		return !slices.ContainsFunc(emitter.Types(), func(t emitter.TypeInfo) bool { return t.Type == e.Type })
	})
	for _, product := range products {
		t.Run(string(product), func(t *testing.T) {
			got, _ := through(t, product, receivers.Options{}, render(t, formats.Options{Format: formats.NameJSON, Header: formats.HeaderRFC5424, MaxSize: taken}, events))
			for _, m := range got {
				v, err := jsonschema.UnmarshalJSON(strings.NewReader(m.Msg))
				if err == nil {
					err = schema.Validate(v)
				}
				if err != nil {
					t.Errorf("%v in %s", err, m.Msg)
				}
			}
		})
	}
}

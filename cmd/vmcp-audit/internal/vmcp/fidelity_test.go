package vmcp

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// exotic is JSON that is legal and that typed structs do not keep.
const exotic = `"_meta":{"big":9007199254740993,"x":1e400,"y":{}},"future":[1.0,-0,"<&>\u00e9","é"],"empty":null`

func exoticResults() map[string]string {
	tool := `{"name":"odd","title":"","inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","allOf":[{"if":true,"then":{}}],"x-unknown":9007199254740993},` + exotic + `}`
	return map[string]string{
		"tools/list":               `{"tools":[` + tool + `,` + strings.Replace(tool, `"odd"`, `"bare"`, 1) + `],` + exotic + `}`,
		"tools/call odd":           `{ "content":[{"type":"hologram","data":[9007199254740993],` + exotic + `},{"type":"text","text":""}],"structuredContent":[1,2],"isError":false,` + exotic + `}`,
		"tools/call bare":          `{}`,
		"tools/call bad":           `{"code":-32099,"message":"own","data":{"big":9007199254740993,"list":[{}]},"more":true}`,
		"prompts/list":             `{"prompts":[{"name":"p","arguments":[{"name":"a","kind":"new"}],` + exotic + `}]}`,
		"prompts/get":              `{"messages":[{"role":"narrator","content":{"type":"scent"}}],` + exotic + `}`,
		"resources/list":           `{"resources":[{"uri":"x://1","name":"r",` + exotic + `}]}`,
		"resources/templates/list": `{"resourceTemplates":[{"uriTemplate":"x://{id}","name":"t"}]}`,
		"resources/read":           `{"contents":[{"uri":"x://1","blob":"AA==",` + exotic + `}],` + exotic + `}`,
		"resources/read x://gone":  `{"code":-32002,"message":"Resource not found","data":{"uri":"x://gone"}}`,
		"resources/subscribe":      `{"code":-32602,"message":"not this one"}`,
		"completion/complete":      `{"completion":{"values":[],"hasMore":false,"total":0},` + exotic + `}`,
		"logging/setLevel":         `{}`,
		"vendor/method":            `{"anything":` + `{` + exotic + `}}`,
	}
}

var exoticName = regexp.MustCompile(`"name":"(odd|bare|p)"`)

var exoticScript = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`,
	`{"jsonrpc":"2.0","id":"two","method":"tools/call","params":{"name":"odd","arguments":{"n":9007199254740993},"unknown":[1],"_meta":{"progressToken":9007199254740993}}}`,
	`{"jsonrpc":"2.0","id":-3,"method":"tools/call","params":{"name":"bare"}}`,
	`{"jsonrpc":"2.0","id":5,"method":"prompts/list"}`,
	`{"jsonrpc":"2.0","id":6,"method":"prompts/get","params":{"name":"p"}}`,
	`{"jsonrpc":"2.0","id":7,"method":"resources/list"}`,
	`{"jsonrpc":"2.0","id":8,"method":"resources/templates/list"}`,
	`{"jsonrpc":"2.0","id":9,"method":"resources/read","params":{"uri":"x://1"}}`,
	`{"jsonrpc":"2.0","id":10,"method":"resources/read","params":{"uri":"x://gone"}}`,
	`{"jsonrpc":"2.0","id":11,"method":"resources/subscribe","params":{"uri":"x://1"}}`,
	`{"jsonrpc":"2.0","id":12,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}}}`,
	`{"jsonrpc":"2.0","id":13,"method":"logging/setLevel","params":{"level":"debug"}}`,
	`{"jsonrpc":"2.0","id":14,"method":"vendor/method","params":{"x":9007199254740993}}`,
	`{"jsonrpc":"2.0","id":15,"method":"ping"}`,
}

// chatty sends odd notifications and asks an odd question during tools/call
// odd, and gives back what the client answered.
func chatty(s *script, a *answer, m wire.Message) bool {
	if m.Method != "tools/call" || wire.Text(wire.Get(m.Params, "name")) != "odd" {
		return false
	}
	token := string(wire.Get(m.Params, "_meta", "progressToken"))
	a.event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + token + `,"progress":9007199254740993,` + exotic + `}}`)
	a.event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":9007199254740993}}`)
	a.event(`{"jsonrpc":"2.0","method":"notifications/vendor","params":{` + exotic + `}}`)
	reply := s.ask(a, `"q1"`, `{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"?","requestedSchema":{"oneOf":[9007199254740993]},`+exotic+`}}`)
	a.event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":` + string(reply.Error) + string(reply.Result) + `}}`)
	return false
}

// converse goes through the script as a client without a GET stream and returns
// all that came, without the ids of questions, which are the server's own. prefix
// goes before names.
func converse(t *testing.T, address, prefix string) []string {
	t.Helper()
	p := connect(t, address, `{"elicitation":{}}`)
	var all []string
	for _, body := range exoticScript {
		body = exoticName.ReplaceAllString(body, `"name":"`+prefix+`$1"`)
		resp := p.post(body)
		if resp.Header.Get("Content-Type") != "text/event-stream" {
			_ = resp.Body.Close()
			answer, status := p.ask(body)
			all = append(all, http.StatusText(status)+" "+answer)
			continue
		}
		all = append(all, p.read(resp.Body, func(m wire.Message) {
			if m.Request() {
				reply := wire.AppendError(nil, m.ID, &wire.Error{Raw: wire.Raw(`{"code":-1,"message":"no","data":9007199254740993}`)})
				if _, status := p.ask(string(reply)); status != http.StatusAccepted {
					t.Errorf("an answer: status %d", status)
				}
			}
		}))
		_ = resp.Body.Close()
	}
	p.delete()
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], `"vmcp-1"`, `"q1"`)
	}
	return all
}

// TestFidelity holds a conversation with a back end against the same one
// through the server: every byte of every message is the same.
func TestFidelity(t *testing.T) {
	b := newScript(exoticResults())
	b.handle = chatty
	address := b.start(t)
	s := serve(t, []upstream.Spec{spec("one", address)}, nil)
	direct := converse(t, address, "")
	through := converse(t, s.url+"/mcp", "")
	if diff := cmp.Diff(direct, through); diff != "" {
		t.Errorf("-direct +through\n%s", diff)
	}
	if n := strings.Count(strings.Join(through, "\n"), "9007199254740993"); n < 20 {
		t.Errorf("only %d large numbers came", n)
	}
}

// TestFidelityAmongOthers does the same with another back end beside: all that
// differs is the prefix before names, what a list says beside its entries, and
// methods that nobody knows.
func TestFidelityAmongOthers(t *testing.T) {
	b := newScript(exoticResults())
	b.handle = chatty
	address := b.start(t)
	s := serve(t, []upstream.Spec{spec("one", address), spec("two", newScript(nil).start(t))}, nil)
	direct, through := converse(t, address, ""), converse(t, s.url+"/mcp", "one_")
	for i := range direct {
		direct[i], through[i] = entriesOnly(direct[i]), entriesOnly(exoticPrefix.ReplaceAllString(through[i], `"name":"`))
		if strings.Contains(exoticScript[i], "vendor/method") {
			direct[i] = `OK {"jsonrpc":"2.0","id":14,"error":{"code":-32601,"message":"method not found"}}`
		}
	}
	if diff := cmp.Diff(direct, through); diff != "" {
		t.Errorf("-direct +through\n%s", diff)
	}
}

var exoticPrefix = regexp.MustCompile(`"name":"one_`)

// entriesOnly returns of an answer that is a list the entries.
func entriesOnly(answer string) string {
	_, message, _ := strings.Cut(answer, " ")
	for _, member := range []string{"tools", "prompts", "resources", "resourceTemplates"} {
		if list := wire.Get(wire.Raw(message), "result", member); list != nil {
			return member + string(list)
		}
	}
	return answer
}

package formats

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

// npmDir holds parsers.mjs and what it needs.
const npmDir = "../npm"

// foreign runs the lines through a parser of parsers.mjs, of which each result is
// decoded to a T.
func foreign[T any](t *testing.T, parser string, lines []string) []T {
	t.Helper()
	const hint = "needs the packages of integration/npm: run 'npm ci' there"
	_, err := os.Stat(filepath.Join(npmDir, "node_modules", "nsyslog-parser"))
	if err == nil {
		_, err = exec.LookPath("node")
	}
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s: %v", hint, err)
	default:
		t.Skip(hint)
	}
	var in, stderr bytes.Buffer
	enc := json.NewEncoder(&in)
	enc.SetEscapeHTML(false)
	for _, line := range lines {
		if err := enc.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("node", "parsers.mjs", parser)
	cmd.Dir, cmd.Stdin, cmd.Stderr = npmDir, &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.Bytes())
	}
	var all []T
	for line := range strings.Lines(string(out)) {
		var result T
		if err := json.Unmarshal([]byte(line), &result); err != nil {
			t.Fatalf("%s: %v in %s", parser, err, line)
		}
		all = append(all, result)
	}
	if len(all) != len(lines) {
		t.Fatalf("%s gave %d results for %d lines:\n%s", parser, len(all), len(lines), stderr.Bytes())
	}
	return all
}

// render renders the events.
func render(t *testing.T, opt formats.Options, events []*emitter.Event) []string {
	t.Helper()
	format, err := formats.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = string(format(nil, e))
	}
	return lines
}

// record is a line of CEF or LEEF, read by the letter of its standard.
type record struct {
	header []string // behind the format's name
	fields map[string]string
}

var (
	cefHeader = regexp.MustCompile(`^CEF:0((?:\|(?:[^|\\]|\\[|\\])*){6})\|`)
	cefField  = regexp.MustCompile(`\|((?:[^|\\]|\\[|\\])*)`)
	cefKey    = regexp.MustCompile(`(?:^| )([A-Za-z0-9]+)=`)
	inHeader  = strings.NewReplacer(`\\`, `\`, `\|`, `|`)
	inValue   = strings.NewReplacer(`\\`, `\`, `\=`, `=`, `\n`, "\n", `\r`, "\r")
)

// readCEF reads a line: a key is what stands between a space and a bare =.
func readCEF(t *testing.T, line string) record {
	t.Helper()
	head := cefHeader.FindStringSubmatch(line)
	if head == nil {
		t.Fatalf("no header of CEF in %q", line)
	}
	r := record{fields: make(map[string]string)}
	for _, m := range cefField.FindAllStringSubmatch(head[1], -1) {
		r.header = append(r.header, inHeader.Replace(m[1]))
	}
	rest := line[len(head[0]):]
	keys := cefKey.FindAllStringSubmatchIndex(rest, -1)
	for i, k := range keys {
		end := len(rest)
		if i+1 < len(keys) {
			end = keys[i+1][0]
		}
		r.fields[rest[k[2]:k[3]]] = inValue.Replace(rest[k[1]:end])
	}
	return r
}

// readLEEF reads a line of LEEF 2.0 with ^, or of 1.0.
func readLEEF(t *testing.T, line string) record {
	t.Helper()
	n, sep := 5, "\t"
	if strings.HasPrefix(line, "LEEF:2.0|") {
		n, sep = 6, "^"
	}
	parts := strings.SplitN(line, "|", n+1)
	if len(parts) != n+1 {
		t.Fatalf("no header of LEEF in %q", line)
	}
	r := record{header: parts[1:5], fields: make(map[string]string)}
	for pair := range strings.SplitSeq(parts[n], sep) {
		k, v, _ := strings.Cut(pair, "=")
		r.fields[k] = v
	}
	return r
}

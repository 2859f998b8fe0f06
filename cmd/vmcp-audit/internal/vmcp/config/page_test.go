package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write docs/vmcp-config.md")

const docs = "../../../../../docs"

func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := WritePage(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(docs, "vmcp-config.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("run make docs: -want +got\n%s", diff)
	}
}

// The example of the documents is a right one. integration runs it.
func TestExample(t *testing.T) {
	c, warnings, err := LoadFile(filepath.Join(docs, "examples", "vmcp.yaml"), Options{Environ: []string{"EVERYTHING_TOKEN=Bearer " + canary}})
	if err != nil || warnings != nil {
		t.Fatal(warnings, err)
	}
	if len(c.Backends) != 5 || c.Backends[0].Headers["Authorization"].Reveal() != "Bearer "+canary || c.Backends[0].Timeout != time.Minute ||
		c.Rules.Backends[0].Overrides["echo"].Name != "say" || len(c.Audit) != 5 {
		t.Errorf("got %+v", c)
	}
}

// The two lines that the page shows are those that Load answers with.
func TestPageShowsRealMistakes(t *testing.T) {
	_, _, err := Load([]byte(`backends:
  - name: a
    url: https://a.example.com/mcp
  - name: b
    transport: sse
    url: b.example.com/mcp

aggregation:
  conflict_resolution: prefix
`), Options{})
	if err == nil || !strings.Contains(pageHead, "\n"+err.Error()+"\n") {
		t.Errorf("not on the page: %v", err)
	}
}

// Every field has a key and says what it means; defaults, bounds and words are
// such that the decoder takes them.
func TestTags(t *testing.T) {
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		for f := range typ.Fields() {
			tag := f.Tag
			inner := f.Type
			if inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			leaf := inner.Kind() != reflect.Struct || inner == laterType || inner == foreignType || inner == sectionType || inner == textType
			if tag.Get("yaml") == "" || leaf && tag.Get("doc") == "" && inner != foreignType {
				t.Errorf("%s.%s has no key or no doc", typ, f.Name)
			}
			if !leaf {
				check(inner)
				continue
			}
			v := reflect.New(inner).Elem()
			for _, key := range []string{"default", "min", "limit"} {
				if value := tag.Get(key); value != "" {
					if problem := setScalar(&yaml.Node{Kind: yaml.ScalarNode, Value: value}, v, tag); problem != "" {
						t.Errorf("%s of %s.%s %s", key, typ, f.Name, problem)
					}
				}
			}
			if needs := inner == durationType || inner.Kind() == reflect.Int; needs != (tag.Get("min") != "" && tag.Get("limit") != "") {
				t.Errorf("%s.%s: min and limit", typ, f.Name)
			}
		}
	}
	check(reflect.TypeFor[document]())
	check(reflect.TypeFor[auditKeys]())
	check(reflect.TypeFor[reference]())
}

// ToolHive's own keys of audit are taken.
func TestToolHiveAuditKeys(t *testing.T) {
	for key := range strings.FieldsSeq("enabled component eventTypes excludeEventTypes includeRequestData includeResponseData maxDataSize") {
		if _, ok := auditVariables[key]; !ok {
			t.Errorf("%s is not", key)
		}
	}
}

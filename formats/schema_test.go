package formats

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
)

// TestSchema: JSON follows the published schema, also where it was cut.
func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../docs/schema/event-1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range formatstest.Events() {
		if kindOf(e) == otherKind {
			continue // of a version with another schema
		}
		for _, limit := range []int{0, MinSize, 1500, 2500} {
			format, err := New(Options{Format: NameJSON, MaxSize: limit})
			if err != nil {
				t.Fatal(err)
			}
			line := format(nil, e)
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err == nil {
				err = schema.Validate(v)
			}
			if err != nil {
				t.Errorf("limit %d: %v\n%s", limit, err, line)
			}
		}
	}
}

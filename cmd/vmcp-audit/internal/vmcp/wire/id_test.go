package wire

import "testing"

// TestIDKey compares ids that are written differently.
func TestIDKey(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`1`, `1.0`, true},
		{`1`, `1e0`, true},
		{`1.5`, `1.50`, true},
		{`-0`, `0`, true},
		{`10000000000000000000`, `1e19`, true},
		{`9007199254740992`, `9007199254740993`, false},
		{`1`, `"1"`, false},
		{`"a"`, `"\u0061"`, true},
		{`1e400`, `2e400`, false},
	} {
		if !ValidID(Raw(c.a)) {
			t.Errorf("%s is no id", c.a)
		}
		if got := IDKey(Raw(c.a)) == IDKey(Raw(c.b)); got != c.same {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
	if ValidID(Raw("\"\xff\"")) {
		t.Error("what is no UTF-8 is read in several ways")
	}
}

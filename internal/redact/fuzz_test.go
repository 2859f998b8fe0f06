package redact

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// canary is part of every planted secret.
const canary = "Canary0Canary1Canary2"

// planted are secrets that must go wherever they stand between blanks.
var planted = []string{
	"password=" + canary,
	"api key: " + canary,
	`{"token":"` + canary + ` x"}`,
	`{\"token\":\"` + canary + ` x\"}`,
	"access_token%3D" + canary,
	"Bearer " + canary,
	"Bearer%20" + canary,
	"Authorization: Custom " + canary,
	"Cookie: a=b; c=" + canary,
	"--password " + canary,
	"https://u:" + canary + "@h/",
	"https://h/?a=b&sig=" + canary,
	"https://h/?%74oken=" + canary,
	"/cb?code=" + canary,
	"data:text/plain;base64," + canary,
	"eyJhbGciOiJIUzI1NiJ9.eyJ" + canary + "." + canary,
	"ghp_" + canary,
	"sk-ant-" + canary,
	"xoxb-" + canary,
	"-----BEGIN PRIVATE KEY-----\nMII " + canary + "\n-----END PRIVATE KEY-----",
}

func plant(before, after string, which uint8) string {
	return before + " " + planted[int(which)%len(planted)] + " " + after
}

func FuzzText(f *testing.F) {
	for i, s := range benign {
		f.Add(s, s, uint8(i))
	}
	for i, tt := range hostile {
		f.Add(tt.in, "", uint8(i))
		f.Add("", tt.in, uint8(i))
	}
	f.Fuzz(func(t *testing.T, before, after string, which uint8) {
		checkText(t, "Text", Text, before)
		checkText(t, "URI", URI, before)
		in := plant(before, after, which)
		out := checkText(t, "Text", Text, in)
		if strings.Contains(out, canary) && !strings.Contains(before+after, canary) {
			t.Errorf("Text(%q) = %q", in, out)
		}
	})
}

// checkText checks what holds for every text.
func checkText(t *testing.T, name string, redact func(string) (string, []Rule), in string) string {
	t.Helper()
	out, rules := redact(in)
	if again, _ := redact(out); again != out {
		t.Errorf("%s(%q) = %q, and again %q", name, in, out, again)
	}
	if len(rules) == 0 && out != in {
		t.Errorf("%s(%q) = %q without a rule", name, in, out)
	}
	if utf8.ValidString(in) && !utf8.ValidString(out) {
		t.Errorf("%s(%q) = %q, not valid UTF-8", name, in, out)
	}
	if len(out) > 5*len(in)+maxMarker {
		t.Errorf("%s(%q) = %q, %d bytes of %d", name, in, out, len(out), len(in))
	}
	return out
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"method":"tools/call","params":{"name":"x","arguments":{"password":"p","n":[1,-2.5e3,true,null]}}}`,
		`{"a":"\u00e9\ud83d\ude00\n","b":{"token":{"c":[{}]}},"d":"token: abc`, `["--password","x",{"name":"token","value":"x"}]`,
		`[[[[[[`, `{"a":1,,}`, `"`, `{"a":"https://u:p@h/?token=x"}`, "[\"\xff\"]", `{"eyJ":1}`,
	} {
		f.Add([]byte(s), uint16(64), uint16(20), uint8(0))
		f.Add([]byte(s), uint16(1000), uint16(1000), uint8(9))
	}
	f.Fuzz(func(t *testing.T, src []byte, limit, cut uint16, which uint8) {
		checkJSON(t, src, int(limit))
		checkSame(t, src)
		text := string(src)
		doc, err := json.Marshal(map[string]any{
			"a": text, "b": []any{plant(text, "x", which), map[string]any{"clientSecret": []any{canary, text}}},
			"c": map[string]string{plant("", text, which+1): "x", "d": plant(text, text, which+2)},
			"e": []string{"--token", canary}, "f": map[string]string{"name": "PASSWORD", "value": canary},
		})
		if err != nil {
			t.Fatal(err)
		}
		out := checkJSON(t, doc[:min(int(cut), len(doc))], int(limit))
		if bytes.Contains(out, []byte(canary[:7])) && !strings.Contains(text, canary[:7]) {
			t.Errorf("JSON(%s) = %s", doc, out)
		}
	})
}

// checkJSON checks what holds for every input.
func checkJSON(t *testing.T, src []byte, limit int) []byte {
	t.Helper()
	out, found, _ := JSON(nil, src, limit)
	if !json.Valid(out) || len(out) > max(limit, minJSON) {
		t.Errorf("JSON(%q, %d) = %q (%d bytes)", src, limit, out, len(out))
	}
	if again, _, truncated := JSON(nil, out, limit); string(again) != string(out) || truncated {
		t.Errorf("JSON(%q, %d) = %s\nand again %s, %v", src, limit, out, again, truncated)
	}
	for _, f := range found {
		if len(f.Path) > maxPath || !utf8.ValidString(f.Path) {
			t.Errorf("path %q", f.Path)
		}
	}
	return out
}

// checkSame compares with encoding/json where nothing was removed.
func checkSame(t *testing.T, src []byte) {
	t.Helper()
	out, found, truncated := JSON(nil, src, 1<<20)
	if json.Valid(src) && truncated {
		t.Errorf("JSON(%q) = %s, truncated", src, out)
	}
	if !json.Valid(src) || len(found) > 0 {
		return
	}
	var got, want any
	for _, p := range []struct {
		b []byte
		v *any
	}{{src, &want}, {out, &got}} {
		d := json.NewDecoder(bytes.NewReader(p.b))
		d.UseNumber()
		if err := d.Decode(p.v); err != nil {
			t.Fatalf("decode %q: %v", p.b, err)
		}
	}
	if utf8.Valid(src) && !reflect.DeepEqual(got, want) {
		t.Errorf("JSON(%q) = %s", src, out)
	}
}

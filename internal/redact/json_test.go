package redact

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSON(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		truncated      bool
		found          []Finding
	}{
		{name: "scalars", in: ` [ 1 , true , null , "x" , -1.5e+300, 0.10 ] `, want: `[1,true,null,"x",-1.5e+300,0.10]`},
		{name: "long number", in: `123456789012345678901234567890.0`, want: `123456789012345678901234567890.0`},
		{name: "empty containers", in: "{\"a\":{},\"b\":[],\"c\":\"\"}\n", want: `{"a":{},"b":[],"c":""}`},
		{name: "duplicate keys", in: `{"a":1,"a":2}`, want: `{"a":1,"a":2}`},
		{name: "escapes", in: `"a\u0000\n\t\"\\\/\u00e9\ud83d\ude00\ud83dx\udc00"`, want: `"a\u0000\n\t\"\\/é😀` + "\uFFFDx\uFFFD" + `"`},
		{name: "invalid UTF-8", in: "\"a\xffb\xc3\"", want: "\"a\uFFFDb\uFFFD\""},

		{name: "secret string", in: `{"password":"hunter2","a":1}`, want: `{"password":"[redacted:key]","a":1}`, found: []Finding{{"/password", Key}}},
		{name: "secret number", in: `{"otp":123456}`, want: `{"otp":"[redacted:key]"}`, found: []Finding{{"/otp", Key}}},
		{name: "secret null", in: `{"token":null}`, want: `{"token":"[redacted:key]"}`, found: []Finding{{"/token", Key}}},
		{
			name: "secret subtree", in: `{"a":[{"apiKey":{"x":["}","\"",{"y":1}]},"b":2}]}`, want: `{"a":[{"apiKey":"[redacted:key]","b":2}]}`,
			found: []Finding{{"/a/0/apiKey", Key}},
		},
		{name: "escaped key", in: `{"p\u0061ssword":"hunter2"}`, want: `{"password":"[redacted:key]"}`, found: []Finding{{"/password", Key}}},
		{name: "not secret", in: `{"max_tokens":5,"progressToken":"p1"}`, want: `{"max_tokens":5,"progressToken":"p1"}`},
		{
			name: "text and URI", in: `{"u":"https://a:b@h/","t":"x token=hunter2"}`, want: `{"u":"https://[redacted:userinfo]@h/","t":"x token=[redacted:pair]"}`,
			found: []Finding{{"/u", UserInfo}, {"/t", Pair}},
		},
		{
			name: "secret in key", in: `{"a/~":{"AKIA` + `IOSFODNN7EXAMPLE":1}}`, want: `{"a/~":{"[redacted:aws_key]":1}}`,
			found: []Finding{{"/a~1~0/[redacted:aws_key]", AWSKey}},
		},
		{name: "spelt out pair", in: `{"name":"API_KEY","value":"hunter2"}`, want: `{"name":"API_KEY","value":"[redacted:key]"}`, found: []Finding{{"/value", Key}}},
		{name: "no pair", in: `{"name":"city","value":"Rome"}`, want: `{"name":"city","value":"Rome"}`},
		{name: "flag", in: `["--password","hunter2","-v"]`, want: `["--password","[redacted:key]","-v"]`, found: []Finding{{"/1", Key}}},
		{name: "marked already", in: `{"token":"[redacted:key]"}`, want: `{"token":"[redacted:key]"}`, found: []Finding{{"/token", Key}}},

		{name: "nothing", in: ``, want: `null`, truncated: true},
		{name: "no JSON", in: `hello`, want: `null`, truncated: true},
		{name: "string cut", in: `"password=hun`, want: `null`, truncated: true},
		{name: "trailing bytes", in: `{"a":1} x`, want: `{"a":1}`, truncated: true},
		{name: "open object", in: `{"a":1`, want: `{}`, truncated: true},
		{name: "open member", in: `{"a":1,"b":{"c":[1,2`, want: `{"a":1,"b":{"c":[1]}}`, truncated: true},
		{name: "open string", in: `{"a":1,"b":"AKIA`, want: `{"a":1}`, truncated: true},
		{name: "open key", in: `{"a":1,"AKIA`, want: `{"a":1}`, truncated: true},
		{name: "open escape", in: `["a","b\u00`, want: `["a"]`, truncated: true},
		{name: "open literal", in: `[true,fal`, want: `[true]`, truncated: true},
		{name: "open secret", in: `{"a":1,"token":"hun`, want: `{"a":1,"token":"[redacted:key]"}`, truncated: true, found: []Finding{{"/token", Key}}},
		{name: "open secret number", in: `{"otp":123`, want: `{"otp":"[redacted:key]"}`, truncated: true, found: []Finding{{"/otp", Key}}},
		{name: "no secret yet", in: `{"a":1,"token":`, want: `{"a":1}`, truncated: true},
		{name: "two commas", in: `{"a":1,,"b":2}`, want: `{"a":1}`, truncated: true},
		{name: "trailing comma", in: `[1,]`, want: `[1]`, truncated: true},
		{name: "wrong closer", in: `[1}`, want: `[1]`, truncated: true},
		{name: "wrong closer in secret", in: `{"token":[},"b":"x"}`, want: `{"token":"[redacted:key]"}`, truncated: true, found: []Finding{{"/token", Key}}},
		{name: "bad number", in: `[1,01,2]`, want: `[1]`, truncated: true},
		{name: "bad escape", in: `["\x"]`, want: `[]`, truncated: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, found, truncated := JSON([]byte("pre"), []byte(tt.in), 1000)
			if string(got) != "pre"+tt.want || truncated != tt.truncated {
				t.Errorf("JSON(%s) = %s, %v, want %s, %v", tt.in, got[3:], truncated, tt.want, tt.truncated)
			}
			if diff := cmp.Diff(tt.found, found); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJSONFits(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		limit          int
	}{
		{"just fits", `{"a":"0123456789","b":"01234567"}`, `{"a":"0123456789","b":"01234567"}`, 33},
		{"last shortened", `{"a":"0123456789","b":"012345678901234"}`, `{"a":"0123456789","b":"01234567…"}`, 36},
		{"member left out", `{"a":"0123456789","b":"01234567890"}`, `{"a":"0123456789"}`, 32},
		{"string shortened", `{"a":"` + strings.Repeat("word ", 20) + `"}`, `{"a":"word word word word wo…"}`, 33},
		{"on a rune", `{"a":"` + strings.Repeat("日本", 20) + `"}`, `{"a":"日本日本日本日…"}`, 33},
		{"not in an escape", `["` + strings.Repeat(`\u0001`, 20) + `"]`, `[]`, 33},
		{"not in a marker", `["a word and password=hunter2 and more words"]`, `["a word and password=…"]`, 40},
		{"no new secret", `["a b c defgh password: expired and more words"]`, `["a b c defgh password:…"]`, 32},
		{"nested", `{"a":{"b":["0123456789","0123456789","0123456789"]}}`, `{"a":{"b":["0123456789"]}}`, 36},
		{"key too long", `{"` + strings.Repeat("k", 50) + `":1}`, `{}`, 32},
		{"number too long", `[` + strings.Repeat("1", 50) + `]`, `[]`, 32},
		{"least limit", `"0123456789012345678901234567890"`, `"012345678901234567890123456…"`, 0},
	} {
		got, _, truncated := JSON(nil, []byte(tt.in), tt.limit)
		if string(got) != tt.want || truncated != (string(got) != tt.in) || !json.Valid(got) || len(got) > max(tt.limit, minJSON) {
			t.Errorf("%s: JSON(%s, %d) = %s (%d bytes), %v, want %s", tt.name, tt.in, tt.limit, got, len(got), truncated, tt.want)
		}
	}
}

// At no end of the input and no limit does a piece of a secret come out.
func TestJSONEveryCut(t *testing.T) {
	src := `{"method":"tools/call","params":{"name":"x","arguments":{"password":"Canary1Canary","list":[1,"token=Canary2Canary rest"],` +
		`"url":"https://u:Canary3Canary@h/?sig=Canary4Canary","k":"` + fakeGitHub + `","c":{"session":{"deep":["Canary5Canary"]}},"Bearer Canary6Canary":true}}}`
	for end := range len(src) + 1 {
		for _, limit := range []int{32, 48, 80, 120, 1000} {
			got, found, truncated := JSON(nil, []byte(src[:end]), limit)
			if !json.Valid(got) || len(got) > limit {
				t.Fatalf("JSON(%s, %d) = %s", src[:end], limit, got)
			}
			all := string(got) + fmt.Sprint(found)
			if strings.Contains(all, "Can") || strings.Contains(all, "ghp") {
				t.Fatalf("JSON(%s, %d) = %s", src[:end], limit, all)
			}
			if end < len(src) && !truncated {
				t.Fatalf("JSON(%s, %d): not truncated", src[:end], limit)
			}
		}
	}
}

func TestJSONDeep(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	got, _, truncated := JSON(nil, []byte(deep(maxDepth)), 1000)
	if string(got) != deep(maxDepth) || truncated {
		t.Errorf("%d levels: %s, %v", maxDepth, got, truncated)
	}
	got, found, truncated := JSON(nil, []byte(deep(maxDepth+5)), 1000)
	want := strings.Repeat("[", maxDepth) + `"[redacted:depth]"` + strings.Repeat("]", maxDepth)
	if string(got) != want || truncated || len(found) != 1 || found[0].Rule != Depth {
		t.Errorf("%d levels: %s, %v, %v", maxDepth+5, got, found, truncated)
	}
	if got, _, truncated = JSON(nil, []byte(deep(1<<20)), 1000); string(got) != want || !truncated {
		t.Errorf("1 Mi levels: %s, %v", got, truncated)
	}
}

func TestJSONBounds(t *testing.T) {
	src := "[" + strings.Repeat(`{"`+strings.Repeat("long/", 100)+`":"token=x"},`, 50) + "0]"
	got, found, _ := JSON(nil, []byte(src), 1<<20)
	if len(found) != maxFindings || !json.Valid(got) {
		t.Errorf("%d findings, want %d", len(found), maxFindings)
	}
	for _, f := range found {
		if len(f.Path) > maxPath {
			t.Errorf("path of %d bytes: %s", len(f.Path), f.Path)
		}
	}
}

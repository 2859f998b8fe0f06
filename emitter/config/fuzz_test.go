package config

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// FuzzLoad gives Load any value for any variable, and a secret in between. It
// must not panic, not show the secret, and answer with one clean line for each
// mistake.
func FuzzLoad(f *testing.F) {
	for i, key := range names {
		f.Add(uint(i), known[key].doc.Example, "LISTEN", known[key].doc.Default, false)
	}
	f.Add(uint(0), "\x1b[2J\xff", "FILE_1_PATH", "a\nb", true)
	f.Add(uint(1), "http://u:p@h", "HASH_KEY: x", "=", true)
	f.Fuzz(func(t *testing.T, index uint, value, other, otherValue string, file bool) {
		key := names[index%uint(len(names))]
		if strings.Contains(key, fileSuffix) || other == "HASH_KEY_FILE" || strings.Contains(value+other+otherValue, canary[:4]) {
			t.Skip("reads any file, or knows the secret")
		}
		secret := "VMCP_AUDIT_HASH_KEY=" + canary
		if file {
			secret = "VMCP_AUDIT_HASHKEY=" + canary // a mistake
		}
		environ := []string{Prefix + key + "=" + value, Prefix + other + "=" + otherValue, secret, "OTEL_RESOURCE_ATTRIBUTES=" + otherValue}
		opt := LoadOptions{HostName: "h", Known: []string{"mcp_ping"}, Flags: map[string]string{key: otherValue}, Need: Need{true, true}}
		checkLoad(t, environ, LoadOptions{})
		checkLoad(t, environ, opt)
	})
}

func checkLoad(t *testing.T, environ []string, opt LoadOptions) {
	t.Helper()
	c, warnings, err := Load(environ, opt)
	values, effectiveErr := Effective(environ, opt)
	if (err == nil) != (effectiveErr == nil) {
		t.Errorf("Load: %v; Effective: %v", err, effectiveErr)
	}
	shown := warnings
	for _, v := range values {
		shown = append(shown, v.Value, v.From)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		shown = append(shown, strings.Split(e.Error(), "\n")...)
		if len(strings.Split(e.Error(), "\n")) != len(e.Mistakes) {
			t.Errorf("%d mistakes in other than as many lines: %q", len(e.Mistakes), e.Error())
		}
	} else if err != nil || c.Host == "" || c.Instance == "" || c.MaxDataSize == 0 {
		t.Errorf("error %v, Config %+v", err, c)
	}
	for _, text := range shown {
		noCanary(t, "Load", text)
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("unprintable: %q", text)
		}
	}
}

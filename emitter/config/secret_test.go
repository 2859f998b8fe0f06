package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "c4n4ry-tweets-in-the-mine"

func TestSecretIsNeverPrinted(t *testing.T) {
	type foreign struct{ unexported Secret } // fmt cannot call methods of such a field
	s := NewSecret(canary)
	c := Config{HashKey: s}
	for _, v := range []any{s, &s, c, &c, foreign{s}, &foreign{s}, []Secret{s}, map[string]Secret{"k": s}, map[Secret]int{s: 1}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%10.3s"} {
			noCanary(t, fmt.Sprintf("Sprintf(%q, %T)", verb, v), fmt.Sprintf(verb, v))
		}
		for name, handler := range map[string]func(*strings.Builder) slog.Handler{
			"text": func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
			"json": func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b strings.Builder
			slog.New(handler(&b)).Info("hello", "value", v)
			noCanary(t, fmt.Sprintf("slog %s %T", name, v), b.String())
		}
		b, err := json.Marshal(v)
		noCanary(t, fmt.Sprintf("json.Marshal(%T)", v), string(b)+fmt.Sprint(err))
	}
}

func TestSecretText(t *testing.T) {
	s := NewSecret(canary)
	text, _ := s.MarshalText()
	asJSON, _ := s.MarshalJSON()
	for name, got := range map[string]string{
		"String": s.String(), "GoString": s.GoString(), "LogValue": s.LogValue().String(),
		"MarshalText": string(text), "MarshalJSON": strings.Trim(string(asJSON), `"`), "%v": fmt.Sprint(s),
		"zero": fmt.Sprint(Secret{}),
	} {
		if got != Redacted {
			t.Errorf("%s = %q, want %q", name, got, Redacted)
		}
	}
	if s.Reveal() != canary || !s.IsSet() {
		t.Errorf("Reveal() = %q, IsSet() = %v", s.Reveal(), s.IsSet())
	}
	if zero := (Secret{}); zero.Reveal() != "" || zero.IsSet() {
		t.Errorf("zero: Reveal() = %q, IsSet() = %v", zero.Reveal(), zero.IsSet())
	}
}

// noCanary also looks for the canary in the encodings that hide it a little.
func noCanary(t *testing.T, where, text string) {
	t.Helper()
	for _, form := range []string{canary, canary[:8], fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("%d", []byte(canary))} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret: %s", where, text)
		}
	}
}

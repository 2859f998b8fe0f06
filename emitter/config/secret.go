package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Redacted stands wherever a [Secret] is printed, whether it is set or not.
const Redacted = "<redacted>"

// Secret is text that only [Secret.Reveal] gives away. Every way of printing,
// logging or encoding it gives [Redacted]. The zero Secret is not set.
type Secret struct {
	// A pointer, because fmt reaches the unexported fields of foreign structs
	// without asking for their methods; it prints an address then.
	value *string
}

// NewSecret returns a secret that holds text.
func NewSecret(text string) Secret { return Secret{value: &text} }

// UnmarshalText sets the secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// Reveal returns the secret itself, empty if it is not set.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.Reveal() != "" }

// String returns [Redacted].
func (Secret) String() string { return Redacted }

// GoString returns [Redacted].
func (Secret) GoString() string { return Redacted }

// Format writes [Redacted] for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue returns [Redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns [Redacted].
func (Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON returns [Redacted] as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

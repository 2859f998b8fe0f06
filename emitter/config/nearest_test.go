package config

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "ab", 1},
		{"abc", "acb", 1}, // swapped neighbours
		{"kitten", "sitting", 3},
		{"ca", "abc", 3},
	}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestNearest(t *testing.T) {
	tests := []struct{ name, want string }{
		{"FILE_PAHT", "FILE_PATH"},
		{"FILEPATH", "FILE_PATH"},
		{"FILE_2_FROMAT", "FILE_2_FORMAT"},
		{"HASHKEY_FILE", "HASH_KEY_FILE"},
		{"LISTN", "LISTEN"},
		{"HSOT", "HOST"},
		{"LOGLEVEL", "LOG_LEVEL"},
		{"EVENTS_TYPES", "EVENT_TYPES"},
		{"HEC_TOKENFILE", "HEC_TOKEN_FILE"},
		{"KAFKA_BROKERS", ""},
		{"X", ""},
		{"", ""},
		{strings.Repeat("FILE_PATH", 100), ""},
	}
	for _, tt := range tests {
		if got := Nearest(tt.name, names); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

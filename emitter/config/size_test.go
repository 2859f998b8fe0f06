package config

import (
	"math"
	"testing"
)

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want Size
		back string // what String makes of it
	}{
		{"0", 0, "0"},
		{"0KiB", 0, "0"},
		{"1", 1, "1"},
		{"500", 500, "500"},
		{"1000", 1000, "1kB"},
		{"1024", 1024, "1KiB"},
		{"1500", 1500, "1500"},
		{"1kB", 1000, "1kB"},
		{"1KiB", 1024, "1KiB"},
		{"64MiB", 64 << 20, "64MiB"},
		{"64MB", 64e6, "64MB"},
		{"1GiB", 1 << 30, "1GiB"},
		{"1GB", 1e9, "1GB"},
		{"1024GiB", 1 << 40, "1024GiB"},
		{"1024000", 1024000, "1024kB"},
		{"007KiB", 7168, "7KiB"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			var got, again Size
			if err := got.UnmarshalText([]byte(tt.text)); err != nil || got != tt.want {
				t.Fatalf("UnmarshalText(%q) = %d, %v; want %d", tt.text, int64(got), err, int64(tt.want))
			}
			if back := got.String(); back != tt.back {
				t.Errorf("String() = %q, want %q", back, tt.back)
			}
			if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
				t.Errorf("String() %q is read as %d, %v", got, int64(again), err)
			}
		})
	}
}

func TestSizeMistakes(t *testing.T) {
	tests := []string{
		"", "KiB", "-1", "+1", "1.5KiB", "1 KiB", "1kib", "1KB", "1K", "1TiB", "0x10", "1_000", "1KiBKiB", "12three",
		"9223372036854775808", "8589934592GiB", "99999999999999999999999",
	}
	for _, text := range tests {
		t.Run(text, func(t *testing.T) {
			s := Size(7)
			if err := s.UnmarshalText([]byte(text)); err == nil || s != 7 {
				t.Errorf("UnmarshalText(%q) = %d, %v; want an error and no change", text, int64(s), err)
			}
		})
	}
}

func FuzzSize(f *testing.F) {
	for _, text := range []string{"1KiB", "64MB", "0", "9223372036854775807", "1e3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || s != again || s < 0 || len(s.String()) > len(text) && s != 0 {
			t.Errorf("%q is %d, printed %q, read again as %d, %v", text, int64(s), s, int64(again), err)
		}
	})
}

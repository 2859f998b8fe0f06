package syslog

import (
	"bytes"
	"io"
	"testing"
)

// FuzzAddress reads what String has written of any address, and shows no password.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"tls://siem.example", "udp://[2001:db8::1%25eth0]:1", "unix:///a b", "tcp://user:pass@h", "unixgram:///%2e"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a, again Address
		if err := a.UnmarshalText([]byte(text)); err != nil {
			return
		}
		if a.Network == "unix" || a.Network == "unixgram" || bytes.ContainsAny([]byte(a.Host), "%") {
			return // a path may hold what an address has to escape
		}
		if err := again.UnmarshalText([]byte(a.String())); err != nil || again != a {
			t.Errorf("%q is %+v, and %q is %+v, %v", text, a, a.String(), again, err)
		}
	})
}

// FuzzFrames divides a stream into the very messages that were framed.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("<134>1 a"), []byte("6 forged"), true)
	f.Add([]byte("a\nb"), []byte("\n"), false)
	f.Fuzz(func(t *testing.T, one, two []byte, lines bool) {
		o := Options{Framing: FramingOctet, MaxSize: DefaultMaxSize}
		if lines {
			o.Framing = FramingLF
		}
		var stream []byte
		var want []string
		for _, body := range [][]byte{one, two} {
			if checkBody(body, &o, false) == nil {
				stream = appendFrame(stream, o.Framing, body)
				want = append(want, string(body))
			}
		}
		r := bytes.NewReader(stream)
		for _, body := range want {
			if got, err := readFrame(r, o.Framing); err != nil || got != body {
				t.Fatalf("%q, %v; want %q", got, err, body)
			}
		}
		if rest, _ := io.ReadAll(r); len(rest) > 0 {
			t.Errorf("left: %q", rest)
		}
	})
}

package receivers

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A port that somebody else has taken is seen at once.
func TestPortTaken(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, product := range []Product{Rsyslog, SyslogNG} {
		for transport, addr := range map[Transport]string{TCP: tcp.Addr().String(), UDP: udp.LocalAddr().String()} {
			t.Run(string(product)+" "+string(transport), func(t *testing.T) {
				r := &Receiver{tb: t, product: product, opt: Options{Transport: transport}, program: need(t, string(product)), dir: t.TempDir(), Addr: addr}
				t.Cleanup(r.close)
				if r.try() {
					t.Error("took somebody else's port for its own")
				}
				if !taken(r.Log()) {
					t.Errorf("did not see that the port is taken:\n%s", r.Log())
				}
			})
		}
	}
}

// A line that was cut by a kill is no message, and one that is still being
// written not yet.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	tail := tail{path: path}
	for _, step := range []struct {
		write string
		want  []string
	}{
		{"", nil},
		{"a\nb", []string{"a"}},
		{"b", nil},
		{"\n\nc\nd", []string{"bb", "", "c"}},
	} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString(step.write)
		_ = f.Close()
		lines, err := tail.next()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, line := range lines {
			got = append(got, string(line))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", step.write, diff)
		}
	}
}

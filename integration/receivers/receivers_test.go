package receivers_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/vmcp-audit/vmcp-audit/integration/receivers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is an RFC 5424 message, text its MSG.
func message(text string) string {
	return `<165>1 2026-11-22T10:00:00.123456Z gw vmcp-server 12 mcp_tool_call [vmcp@32473 user="al\"ice \]x\\"] ` + text
}

// parsed is what a receiver makes of it.
func parsed(text string) receivers.Message {
	return receivers.Message{
		Msg: text, Raw: message(text), Time: time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC),
		Facility: 20, Severity: 5, Host: "gw", App: "vmcp-server", ProcID: "12", MsgID: "mcp_tool_call",
		SD: `[vmcp@32473 user="al\"ice \]x\\"]`, Params: map[string]string{"vmcp@32473.user": `al"ice ]x\`},
	}
}

func octets(message string) string { return fmt.Sprintf("%d %s", len(message), message) }
func line(message string) string   { return message + "\n" }
func bare(message string) string   { return message }

// dial connects to the receiver; the connection is closed when the test ends.
func dial(t *testing.T, r *receivers.Receiver, network string, config *tls.Config) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	if config != nil {
		conn, err = tls.Dial("tcp", r.Addr, config)
	} else {
		conn, err = net.Dial(network, r.Addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestTransports(t *testing.T) {
	ca := receivers.NewCA(t)
	own := ca.Server()
	trust := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	mutual := trust.Clone()
	mutual.Certificates = []tls.Certificate{ca.Client("collector-1").TLS}
	allowed := receivers.TLSOptions{Cert: own, ClientCA: ca.File, Peers: []string{"somebody", "collector-1"}}
	for _, tt := range []struct {
		name    string
		product receivers.Product
		opt     receivers.Options
		tls     *tls.Config
		frame   func(string) string
	}{
		{"rsyslog udp", receivers.Rsyslog, receivers.Options{Transport: receivers.UDP}, nil, bare},
		{"rsyslog octets", receivers.Rsyslog, receivers.Options{}, nil, octets},
		{"rsyslog lines", receivers.Rsyslog, receivers.Options{}, nil, line},
		{"rsyslog tls", receivers.Rsyslog, receivers.Options{Transport: receivers.TLS, TLS: receivers.TLSOptions{Cert: own}}, trust, octets},
		{"rsyslog mutual tls", receivers.Rsyslog, receivers.Options{Transport: receivers.TLS, TLS: allowed}, mutual, octets},
		{"syslog-ng udp", receivers.SyslogNG, receivers.Options{Transport: receivers.UDP}, nil, bare},
		{"syslog-ng octets", receivers.SyslogNG, receivers.Options{}, nil, octets},
		{"syslog-ng lines", receivers.SyslogNG, receivers.Options{Framing: receivers.LF}, nil, line},
		{"syslog-ng tls", receivers.SyslogNG, receivers.Options{Transport: receivers.TLS, TLS: receivers.TLSOptions{Cert: own}}, trust, octets},
		{"syslog-ng mutual tls", receivers.SyslogNG, receivers.Options{Transport: receivers.TLS, TLS: allowed}, mutual, octets},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := receivers.Start(t, tt.product, tt.opt)
			network := "tcp"
			if tt.opt.Transport == receivers.UDP {
				network = "udp"
			}
			conn := dial(t, r, network, tt.tls)
			send(t, conn, tt.frame(message("one")))
			send(t, conn, tt.frame(message(`two é "q" \`)))
			if diff := cmp.Diff([]receivers.Message{parsed("one"), parsed(`two é "q" \`)}, r.Wait(2)); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// As programs do that write to /dev/log.
func TestUnix(t *testing.T) {
	for _, tt := range []struct {
		product   receivers.Product
		transport receivers.Transport
		network   string
		frame     func(string) string
	}{
		{receivers.Rsyslog, receivers.Unixgram, "unixgram", bare},
		{receivers.SyslogNG, receivers.Unixgram, "unixgram", bare},
		{receivers.SyslogNG, receivers.Unix, "unix", line},
	} {
		t.Run(fmt.Sprint(tt.product, " ", tt.transport), func(t *testing.T) {
			r := receivers.Start(t, tt.product, receivers.Options{Transport: tt.transport})
			conn := dial(t, r, tt.network, nil)
			send(t, conn, tt.frame("<165>Nov 22 10:00:00 vmcp-server[12]: one"))
			send(t, conn, tt.frame("<165>Nov 22 10:00:00 vmcp-server[12]: two"))
			m := r.Wait(2)[1]
			if m.App != "vmcp-server" || m.ProcID != "12" || strings.TrimSpace(m.Msg) != "two" || m.Facility != 20 {
				t.Errorf("got %+v", m)
			}
		})
	}
}

func TestRFC3164(t *testing.T) {
	for _, product := range []receivers.Product{receivers.Rsyslog, receivers.SyslogNG} {
		t.Run(string(product), func(t *testing.T) {
			r := receivers.Start(t, product, receivers.Options{BSD: true, Plain: true})
			send(t, dial(t, r, "tcp", nil), "<165>Nov 22 10:00:00 gw vmcp-server[12]: CEF:0|a|b\n")
			m := r.Wait(1)[0]
			r.WaitPlain(1)
			got := receivers.Message{Msg: strings.TrimPrefix(m.Msg, " "), Facility: m.Facility, Severity: m.Severity, Host: m.Host, App: m.App, ProcID: m.ProcID}
			want := receivers.Message{Msg: "CEF:0|a|b", Facility: 20, Severity: 5, Host: "gw", App: "vmcp-server", ProcID: "12"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			r.Stop()
			if plain := string(r.Plain()); !strings.HasSuffix(plain, " gw vmcp-server[12]: CEF:0|a|b\n") {
				t.Errorf("plain file has %q", plain)
			}
		})
	}
}

// What a receiver has written outlives it, and it comes back where it was.
func TestRestart(t *testing.T) {
	for _, product := range []receivers.Product{receivers.Rsyslog, receivers.SyslogNG} {
		for name, end := range map[string]func(*receivers.Receiver){"stop": (*receivers.Receiver).Stop, "kill": (*receivers.Receiver).Kill} {
			t.Run(string(product)+" "+name, func(t *testing.T) {
				const each = 500
				r := receivers.Start(t, product, receivers.Options{})
				addr := r.Addr
				var want []string
				for life := range 3 {
					if life > 0 {
						end(r)
						r.Restart()
					}
					conn := dial(t, r, "tcp", nil)
					for i := range each {
						text := fmt.Sprintf("%d-%d", life, i)
						want = append(want, text)
						send(t, conn, octets(message(text)))
					}
					r.Wait(len(want))
				}
				end(r)
				var got []string
				for _, m := range r.Messages() {
					got = append(got, m.Msg)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("messages (-want +got):\n%s", diff)
				}
				if r.Addr != addr {
					t.Errorf("was at %s, is at %s", addr, r.Addr)
				}
			})
		}
	}
}

func TestStall(t *testing.T) {
	r := receivers.Start(t, receivers.Rsyslog, receivers.Options{})
	conn := dial(t, r, "tcp", nil)
	r.Stall()
	send(t, conn, octets(message("late")))
	if m := r.Messages(); len(m) != 0 {
		t.Errorf("a stalled receiver wrote %v", m)
	}
	r.Resume()
	r.Wait(1)
}

// Who must not be let in is not: the receivers check clients.
func TestRefusedClients(t *testing.T) {
	ca, rogue := receivers.NewCA(t), receivers.NewCA(t)
	own := ca.Server()
	for _, product := range []receivers.Product{receivers.Rsyslog, receivers.SyslogNG} {
		for name, certs := range map[string][]tls.Certificate{
			"none":        nil,
			"rogue":       {rogue.Client("collector-1").TLS},
			"wrong name":  {ca.Client("collector-2").TLS},
			"expired":     {ca.Expired().TLS},
			"self-signed": {receivers.SelfSigned(t).TLS},
		} {
			t.Run(string(product)+" "+name, func(t *testing.T) {
				r := receivers.Start(t, product, receivers.Options{
					Transport: receivers.TLS,
					TLS:       receivers.TLSOptions{Cert: own, ClientCA: ca.File, Peers: []string{"collector-1"}},
				})
				conn, err := tls.Dial("tcp", r.Addr, &tls.Config{
					RootCAs: ca.Pool(), ServerName: "localhost",
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if len(certs) == 0 {
							return new(tls.Certificate), nil
						}
						return &certs[0], nil // although the receiver did not ask for its authority
					},
				})
				if err == nil {
					t.Cleanup(func() { _ = conn.Close() })
					_ = conn.SetReadDeadline(time.Now().Add(3 * time.Minute))
					_, _ = conn.Write([]byte(octets(message("forged")))) // TLS 1.3: the refusal comes later
					_, err = conn.Read(make([]byte, 1))
				}
				if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the receiver said nothing against it: %v", err)
				}
				r.Stop()
				if m := r.Messages(); len(m) != 0 {
					t.Errorf("let in %v", m)
				}
			})
		}
	}
}

func TestServerCertificates(t *testing.T) {
	ca := receivers.NewCA(t)
	for name, tt := range map[string]struct {
		cert receivers.Cert
		want any // pointer to the error's type
	}{
		"expired":     {ca.Expired(), new(x509.CertificateInvalidError)},
		"wrong name":  {ca.Issue(receivers.CertOptions{Name: "other.example"}), new(x509.HostnameError)},
		"self-signed": {receivers.SelfSigned(t), new(x509.UnknownAuthorityError)},
		"rogue":       {receivers.NewCA(t).Server(), new(x509.UnknownAuthorityError)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.cert.TLS.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "localhost"})
			if name == "wrong name" {
				err = tt.cert.TLS.Leaf.VerifyHostname("localhost")
			}
			if got, want := fmt.Sprintf("*%T", err), fmt.Sprintf("%T", tt.want); got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		})
	}
	leaf := ca.Server().TLS.Leaf
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
}

func TestNormalize(t *testing.T) {
	got := receivers.Normalize(t, "rule=:%f:cef%", []string{`CEF:0|V|P\|x|1|id|name|3| suser=al\=ice msg=a b`, "no CEF"})
	want := map[string]any{
		"f": map[string]any{
			"DeviceVendor": "V", "DeviceProduct": "P|x", "DeviceVersion": "1", "SignatureID": "id", "Name": "name", "Severity": "3",
			"Extensions": map[string]any{"suser": "al=ice", "msg": "a b"},
		},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if _, taken := got[1]["f"]; taken {
		t.Errorf("took %v for CEF", got[1])
	}
}

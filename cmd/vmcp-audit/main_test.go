package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// patience is the longest wait of a test, and of what it runs. It is also longer
// than the pause, of 40 s at most, after a destination has refused us.
const patience = 5 * time.Minute

func TestMain(m *testing.M) {
	handlerTimeout = patience // also in the programs that the scripts run
	testscript.Main(m, map[string]func(){"vmcp-audit": main})
}

// TestScripts runs the real program by the scripts in testdata. $upstream is a
// server that answers every POST with a JSON-RPC result, $busy an address that is
// taken, $own a port that is not, $esc an escape character. $hec and, with a certificate that nobody
// knows, $hecs are collectors that take $hectoken. $syslog is a syslog receiver
// that takes lines, $strict one that closes at what is not octet counting.
func TestScripts(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}))
	t.Cleanup(upstream.Close) // the scripts run in parallel, when this function has returned
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })
	collector := hectest.New(hectest.Options{Acks: true})
	plain, secret := httptest.NewServer(collector), httptest.NewUnstartedServer(collector)
	secret.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // handshakes fail on purpose
	secret.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secret.Close)
	lines, strict := listenSyslog(t, false), listenSyslog(t, true)
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"trail": writeTrail, "makespool": makeSpool},
		Setup: func(env *testscript.Env) error {
			env.Setenv("esc", "\x1b")
			env.Setenv("upstream", upstream.URL)
			env.Setenv("own", strconv.Itoa(20_000+os.Getpid()%10_000)) // of no connection, and of no other run of this test
			env.Setenv("VMCP_AUDIT_FLUSH_TIMEOUT", patience.String())
			env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, "state"))
			env.Setenv("hec", plain.URL)
			env.Setenv("hecs", secret.URL)
			env.Setenv("syslog", lines)
			env.Setenv("strict", strict)
			env.Setenv("hectoken", hectest.Token)
			env.Setenv("busy", busy.Addr().String())
			return nil
		},
	})
}

// listenSyslog returns the address of a syslog receiver. A strict one closes at a
// message that does not begin with its length.
func listenSyslog(t *testing.T, strict bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 1)
				if _, err := c.Read(b); err == nil && (!strict || '1' <= b[0] && b[0] <= '9') {
					_, _ = io.Copy(io.Discard, c)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// writeTrail is the script command trail: it writes the lines of the chain's
// test vectors to trail.jsonl, and a spool with three records to the folder
// spool.
func writeTrail(ts *testscript.TestScript, _ bool, _ []string) {
	page, err := os.ReadFile("../../docs/chain-vectors.json")
	ts.Check(err)
	var vectors struct{ Trail []string }
	ts.Check(json.Unmarshal(page, &vectors))
	ts.Check(os.WriteFile(ts.MkAbs("trail.jsonl"), []byte(strings.Join(vectors.Trail, "\n")+"\n"), 0o600))
	s, err := spool.Open(ts.MkAbs("spool"), spool.Options{MinFree: -1})
	ts.Check(err)
	_, err = s.Append(context.Background(), spool.Ordinary, []byte("{}"), []byte("{}"), []byte("{}"))
	ts.Check(err)
	ts.Check(s.Close())
}

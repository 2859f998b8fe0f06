package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// counter is a server behind the proxy whose tool counts its runs by the text
// that it is called with.
type counter struct {
	*httptest.Server
	mu   sync.Mutex
	runs map[string]int
}

func newCounter(t *testing.T) *counter {
	c := &counter{runs: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Params struct{ Name string }
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the proxy was killed: the tool is not known, and does not run
		}
		if err := json.Unmarshal(body, &call); err != nil {
			t.Errorf("body %q: %v", body, err)
			return
		}
		c.mu.Lock()
		c.runs[call.Params.Name]++
		c.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}`, call.ID)
	}))
	t.Cleanup(c.Close)
	return c
}

// ran returns the names of the tools that have run.
func (c *counter) ran() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[string]int, len(c.runs))
	for k, v := range c.runs {
		m[k] = v
	}
	return m
}

// callTools has 8 clients call tools of new names through the proxy until stop is
// closed, and returns the answers by HTTP status; 0: none.
func callTools(url, prefix string, stop <-chan struct{}) map[int]int {
	var mu sync.Mutex
	answers := map[int]int{}
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				status := callTool(url, fmt.Sprintf("%s-%d-%d", prefix, client, i))
				mu.Lock()
				answers[status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return answers
}

func callTool(url, name string) int {
	resp, err := http.Post(url, "application/json", strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+name+`","arguments":{"pad":"`+strings.Repeat("x", 500)+`"}}}`))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

// inSpool returns how often each tool is named by an event of a stage in the
// spool, and how many events the trail says are lost.
func inSpool(t *testing.T, dir string, stage emitter.Stage) (tools map[string]int, lost uint64) {
	t.Helper()
	l, err := spool.OpenLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	tools = map[string]int{}
	for r, err := range l.Records() {
		if err != nil {
			t.Fatal(err)
		}
		e, err := emitter.Decode(r.Payload)
		if err != nil {
			t.Fatal(err)
		}
		lost += e.Loss.Count
		if e.Type == emitter.TypeToolCall && e.Stage == stage {
			tools[e.Target.Name]++
		}
	}
	return tools, lost
}

// none fails unless each tool that has run has its received event in the spool.
func (c *counter) none(t *testing.T, dir string) {
	t.Helper()
	received, _ := inSpool(t, dir, emitter.StageReceived)
	ran := c.ran()
	for name, n := range ran {
		if n != 1 || received[name] != 1 {
			t.Errorf("%s ran %d times, and has %d received events", name, n, received[name])
		}
	}
	if len(ran) == 0 {
		t.Error("nothing ran")
	}
}

// away returns the settings of a proxy whose only destination is away, so that its spool keeps
// everything.
func away(t *testing.T, dir string, more ...string) []string {
	return append([]string{
		"FILE_PATH=", "HEC_URL=http://" + loopback(freePort(t)), "HEC_TOKEN=0123456789abcdef", "SPOOL_DIR=" + dir, "FLUSH_TIMEOUT=1s",
	}, more...)
}

// TestStrictSurvives kills a strict proxy at work: whatever ran has its received
// event on disk.
func TestStrictSurvives(t *testing.T) {
	c, dir := newCounter(t), filepath.Join(t.TempDir(), "spool")
	for round := range 6 {
		p := startProxy(t, c.URL, away(t, dir, "DURABILITY=strict")...)
		stop := make(chan struct{})
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			before := len(c.ran())
			for end := time.Now().Add(patience); len(c.ran()) < before+40*(round+1) && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			_ = p.cmd.Process.Kill()
			<-p.ended
			close(stop)
		}()
		answers := callTools(p.url, fmt.Sprint("r", round), stop)
		<-killed
		if answers[http.StatusOK] == 0 {
			t.Errorf("round %d: answers %v\n%s", round, answers, p.output())
		}
		c.none(t, dir)
	}
}

// TestStrictOnAFullSpool refuses calls before they run, and runs them again when
// there is room.
func TestStrictOnAFullSpool(t *testing.T) {
	c, dir := newCounter(t), filepath.Join(t.TempDir(), "spool")
	p := startProxy(t, c.URL, away(t, dir, "DURABILITY=strict", "SPOOL_MAX_SIZE=1MiB")...)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for end := time.Now().Add(patience); !strings.Contains(p.output(), "requests are refused") && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond) // some more are refused
	}()
	answers := callTools(p.url, "full", stop)
	if answers[http.StatusServiceUnavailable] == 0 || answers[http.StatusOK] == 0 || answers[0] > 0 {
		t.Fatalf("answers %v\n%s", answers, p.output())
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	c.none(t, dir)

	before := len(c.ran())
	p = startProxy(t, c.URL, away(t, dir, "DURABILITY=strict", "SPOOL_MAX_SIZE=8MiB")...)
	if status := callTool(p.url, "roomy"); status != http.StatusOK || len(c.ran()) != before+1 {
		t.Errorf("with room: %d, %d runs", status, len(c.ran())-before)
	}
}

// smallMount is a file system of 160 MiB.
func smallMount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=160m"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk fills the disk of the spool under a proxy at work:
// strict refuses what cannot be recorded and runs nothing, durable answers
// everything and names what it lost. Both go on when there is room.
func TestFullDisk(t *testing.T) {
	for _, durability := range []string{"strict", "durable"} {
		t.Run(durability, func(t *testing.T) {
			c, disk := newCounter(t), smallMount(t)
			dir := filepath.Join(disk, "spool")
			p := startProxy(t, c.URL, away(t, dir, "DURABILITY="+durability, "SPOOL_MAX_SIZE=1MiB", "HEARTBEAT=0s")...)
			if status := callTool(p.url, "before"); status != http.StatusOK {
				t.Fatalf("status %d\n%s", status, p.output())
			}
			fill(t, disk)
			refused, lost := 0, 0
			for i := range 2000 {
				switch status := callTool(p.url, fmt.Sprint("during", i)); status {
				case http.StatusOK:
					lost++
				case http.StatusServiceUnavailable:
					refused++
				default:
					t.Fatalf("status %d\n%s", status, p.output())
				}
			}
			if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
				t.Fatal(err)
			}
			until(t, "a call runs again", func() bool { return callTool(p.url, "after") == http.StatusOK })
			p.end(t)
			checkFaults(t, c, dir, durability, refused)
		})
	}
}

// fill leaves no space on the disk.
func fill(t *testing.T, disk string) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 1<<20)); errors.Is(err, syscall.ENOSPC) {
			return
		}
	}
}

// end ends the proxy in order; that events were lost makes its exit code 1.
func (p *proxy) end(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the proxy does not end:\n%s", p.output())
	}
}

func checkFaults(t *testing.T, c *counter, dir, durability string, refused int) {
	t.Helper()
	if durability == "strict" {
		if refused == 0 {
			t.Error("strict refused nothing")
		}
		c.none(t, dir)
		return
	}
	completed, lost := inSpool(t, dir, emitter.StageCompleted)
	missing := uint64(0)
	for name, n := range c.ran() {
		if completed[name] < n {
			missing += uint64(n - completed[name])
		}
	}
	if refused > 0 || lost < missing || lost > missing+20 || missing == 0 { // some of the audit's own events are lost too
		t.Errorf("%d refused, %d events missing, %d told", refused, missing, lost)
	}
}

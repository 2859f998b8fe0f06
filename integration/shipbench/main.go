//go:build unix

// Shipbench measures what it costs to take audit lines from a file over a spool
// to an HTTP Event Collector that keeps nothing, beside the OpenTelemetry
// Collector (filelog receiver, a queue on disk that is synced, an exporter built on its
// exporterhelper, see otelcol) where that is built. The programs take turns, and
// medians are shown.
package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func main() {
	lines := flag.Int("lines", 1_000_000, "lines of a run")
	runs := flag.Int("runs", 3, "runs of each kind")
	otelcol := flag.String("otelcol", "", "the OpenTelemetry Collector of the folder otelcol, built; empty: without it")
	flag.Parse()
	if err := bench(os.Stdout, *lines, *runs, *otelcol); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// kind is one line of the table.
type kind struct {
	name     string
	toolhive bool // the lines are ToolHive's
	otelcol  bool
	cores    int // 0: all
}

var kinds = []kind{
	{name: "ship, canonical lines"},
	{name: "ship, ToolHive's lines", toolhive: true},
	{name: "collector, canonical lines", otelcol: true},
	{name: "ship, canonical lines, one core", cores: 1},
	{name: "collector, the same, one core", otelcol: true, cores: 1},
}

// result is what was measured of one process.
type result struct {
	seconds float64
	cpu     float64 // seconds of user and system
	peak    float64 // MiB
}

type table struct {
	dir, ship, otelcol string
	lines              int
	files              map[bool]string // by kind.toolhive
	far                *discard
}

func bench(w io.Writer, lines, runs int, otelcol string) error {
	dir, err := os.MkdirTemp("", "shipbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := &table{dir: dir, ship: filepath.Join(dir, "vmcp-audit"), otelcol: otelcol, lines: lines, files: map[bool]string{}}
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/vmcp-audit/vmcp-audit").Output()
	if err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", t.ship, "./cmd/vmcp-audit")
	build.Dir = strings.TrimSpace(string(module))
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build vmcp-audit: %w\n%s", err, out)
	}
	for _, toolhive := range []bool{false, true} {
		if t.files[toolhive], err = fill(dir, lines, toolhive); err != nil {
			return err
		}
	}
	if t.far, err = listen(); err != nil {
		return err
	}
	defer t.far.srv.Close()
	got := map[string][]result{}
	for range runs {
		for _, k := range kinds {
			if k.otelcol && otelcol == "" || k.cores > 0 && runtime.GOOS != "linux" {
				continue
			}
			r, err := t.run(k)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			got[k.name] = append(got[k.name], r)
		}
	}
	fmt.Fprintf(w, "%d lines from a file over a queue on disk to a collector, gzip; %d runs of each, medians\n\n", lines, runs)
	fmt.Fprintf(w, "%-34s %12s %22s %12s\n", "", "events/s", "CPU s per million", "peak MiB")
	for _, k := range kinds {
		if rs := got[k.name]; len(rs) > 0 {
			fmt.Fprintf(w, "%-34s %12.0f %22.2f %12.1f\n", k.name,
				float64(lines)/median(rs, func(r result) float64 { return r.seconds }),
				median(rs, func(r result) float64 { return r.cpu })/float64(lines)*1e6,
				median(rs, func(r result) float64 { return r.peak }))
		}
	}
	ratios(w, "all cores", got[kinds[0].name], got[kinds[2].name])
	ratios(w, "one core", got[kinds[3].name], got[kinds[4].name])
	return nil
}

// ratios compares ship with the collector.
func ratios(w io.Writer, what string, ship, otelcol []result) {
	if len(ship) == 0 || len(otelcol) == 0 {
		return
	}
	seconds := func(r result) float64 { return r.seconds }
	cpu := func(r result) float64 { return r.cpu }
	fmt.Fprintf(w, "ship / collector, canonical lines, %s: %.1f of its rate, %.2f of its CPU\n",
		what, median(otelcol, seconds)/median(ship, seconds), median(ship, cpu)/median(otelcol, cpu))
}

func median(rs []result, of func(result) float64) float64 {
	var v []float64
	for _, r := range rs {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

// mostTime is how long a run may take.
const mostTime = 10 * time.Minute

// run starts a program and measures it until the far end has every line.
func (t *table) run(k kind) (result, error) {
	state, err := os.MkdirTemp(t.dir, "state-")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(state)
	args := []string{t.ship, "ship", "--follow", t.files[k.toolhive]}
	if k.otelcol {
		args = []string{t.otelcol, t.files[k.toolhive], state, t.far.url}
	}
	if k.cores > 0 {
		args = append([]string{"taskset", "-c", "0"}, args...)
	}
	t.far.events.Store(0)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "VMCP_AUDIT_SPOOL_DIR="+filepath.Join(state, "spool"), "VMCP_AUDIT_HEC_URL="+t.far.url,
		"VMCP_AUDIT_HEC_TOKEN=5c0ffee5-0000-4000-8000-000000000000", "VMCP_AUDIT_HEC_ACK=off", "VMCP_AUDIT_SPOOL_MAX_SIZE=4GiB", "VMCP_AUDIT_LOG_LEVEL=warn")
	var said strings.Builder
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for t.far.events.Load() < int64(t.lines) && len(ended) == 0 && time.Since(began) < mostTime {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended
	if err := <-ended; err != nil || t.far.events.Load() < int64(t.lines) {
		return result{}, fmt.Errorf("%d of %d lines came: %w\n%s", t.far.events.Load(), t.lines, err, said.String())
	}
	use, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return result{
		seconds: took.Seconds(), cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), peak: float64(use.Maxrss) / 1024,
	}, nil
}

// discard is a collector that counts events and keeps nothing.
type discard struct {
	url    string
	srv    *http.Server
	events atomic.Int64
}

func listen() (*discard, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &discard{url: "http://" + l.Addr().String()}
	d.srv = &http.Server{Handler: d, ReadHeaderTimeout: time.Minute}
	go func() { _ = d.srv.Serve(l) }()
	return d, nil
}

// ServeHTTP counts the envelopes: each begins with its time, as no event does.
func (d *discard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = z
	}
	d.events.Add(count(body))
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
}

// count returns how many lines of ours are in a body: both programs pass on the
// id that each line has.
func count(body io.Reader) (n int64) {
	b, _ := io.ReadAll(body) // what was cut is missed
	return int64(strings.Count(string(b), "shipbench-line-"))
}

// fill writes the lines.
func fill(dir string, lines int, toolhive bool) (string, error) {
	path := filepath.Join(dir, fmt.Sprint("lines-", toolhive, ".jsonl"))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	var line []byte
	for i := range lines {
		line = append(lineOf(line[:0], i, toolhive), '\n')
		_, _ = w.Write(line) // Flush tells
	}
	return path, errors.Join(w.Flush(), f.Close())
}

func lineOf(dst []byte, i int, toolhive bool) []byte {
	id := fmt.Sprintf("shipbench-line-%020d", i)
	if toolhive {
		return fmt.Appendf(dst, `{"time":"2026-11-22T13:39:50.678166169Z","level":"AUDIT","msg":"audit_event","audit_id":%q,"type":"mcp_tool_call","logged_at":"2026-11-22T13:39:50.678146Z","outcome":"success","component":"vmcp","source":{"type":"network","value":"203.0.113.9","extra":{"request_id":"req-%d","user_agent":"example-client/1.2.3"}},"subjects":{"user":"alice","user_id":"u-1"},"target":{"endpoint":"/mcp","method":"tools/call","name":"search","type":"tool"},"metadata":{"extra":{"duration_ms":%d,"transport":"http"}}}`, id, i, i%300)
	}
	e := emitter.NewEvent(emitter.TypeToolCall)
	e.AuditID, e.LoggedAt = id, time.Now()
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Observer = emitter.Observer{Host: "gw-prod", Instance: "gw-prod-1", Version: "v1.0.0"}
	e.Source = emitter.Source{Type: "network", Value: "192.0.2.7", Peer: "192.0.2.7", Port: 40000 + i%20000}
	e.Source.Extra.UserAgent, e.Source.Extra.RequestID = "example-client/1.2.3", fmt.Sprint("req-", i)
	e.Subjects = emitter.Subject{Type: "user", User: "alice", UserID: "u-1"}
	e.Target.Type, e.Target.Name, e.Target.Method, e.Target.Endpoint = "tool", "search", "tools/call", "/mcp"
	e.Metadata.Extra.DurationMS = emitter.Of(int64(i % 300))
	e.Severity = emitter.SeverityOf(e)
	return emitter.AppendEvent(dst, e)
}

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/hec"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// What a request holds at most, of both.
const (
	maxEvents = hec.DefaultMaxEvents
	maxBytes  = hec.DefaultMaxBytes
	token     = "5c0ffee5-0000-4000-8000-000000000000"
)

// meter measures this process from its start on.
type meter struct {
	began time.Time
	cpu   float64
}

func startMeter() meter { return meter{time.Now(), cpuSeconds()} }

// report prints what was measured.
func (m meter) report(events int, wire int64) error {
	return json.NewEncoder(os.Stdout).Encode(result{
		Events: events, Seconds: time.Since(m.began).Seconds(), CPU: cpuSeconds() - m.cpu, Wire: wire, Peak: peak(),
	})
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// peak returns VmHWM, the most memory that the process ever had, where it is told.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	text, _, _ := strings.Cut(rest, "kB")
	n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n
}

// serve answers every request at once, until its standard input ends.
func serve([]string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	})}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	fmt.Printf("http://%s\n", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func openSpool(dir string) (*spool.Spool, error) {
	return spool.Open(dir, spool.Options{MaxSize: 16 << 30, MinFree: -1, Gap: emitter.GapPayload(emitter.Options{})})
}

// fill stores events in a new spool, and the lines that they become in a file.
func fill(args []string) error {
	dir, lines := args[0], args[1]
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	sp, err := openSpool(dir)
	if err != nil {
		return err
	}
	em, err := emitter.New(sp, emitter.Options{})
	if err != nil {
		return err
	}
	m := startMeter()
	for done := 0; done < count; {
		var events []*emitter.Event
		for ; done < count && len(events) < 500; done++ {
			events = append(events, event(done))
		}
		if err := em.EmitAll(context.Background(), events...); err != nil {
			return err
		}
	}
	if err := sp.Close(); err != nil {
		return err
	}
	if lines != "" {
		if err := writeLines(dir, lines); err != nil {
			return err
		}
	}
	return m.report(count, 0)
}

// event returns an event as a tool call makes it.
func event(i int) *emitter.Event {
	e := emitter.NewEvent(emitter.TypeToolCall)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Source = emitter.Source{Type: "network", Value: "192.0.2.7", Peer: "192.0.2.7", Port: 40000 + i%20000}
	e.Source.Extra.UserAgent = "example-client/1.2.3"
	e.Source.Extra.RequestID = rand.Text()
	e.Target.Type, e.Target.Name, e.Target.Method = "tool", "search", "tools/call"
	e.Client.NameClaimed, e.Client.VersionClaimed = "example-client", "1.2.3"
	e.Metadata.Extra.DurationMS = emitter.Of(int64(i % 300))
	return e
}

func writeLines(dir, path string) error {
	l, err := spool.OpenLog(dir)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	var line []byte
	for r, err := range l.Records() {
		if err != nil {
			return err
		}
		in := emitter.IntegrityOf(l.Stream(), &r)
		line = append(emitter.AppendIntegrity(line[:0], r.Payload, &in), '\n')
		_, _ = w.Write(line) // Flush tells
	}
	return errors.Join(w.Flush(), f.Close())
}

// deliver empties a spool.
func deliver(args []string) error {
	sp, err := openSpool(args[0])
	if err != nil {
		return err
	}
	count := int(sp.Stats().Last)
	sink, err := hec.New(args[1], hec.Options{Token: func() (string, error) { return token, nil }, NoGzip: args[2] != "true"})
	if err != nil {
		return err
	}
	em, err := emitter.New(sp, emitter.Options{}, emitter.Route{Name: "splunk", Sink: sink, BatchRecords: maxEvents, BatchBytes: 2 * maxBytes})
	if err != nil {
		return err
	}
	m := startMeter()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- em.Run(ctx) }()
	for em.Stats().Routes[0].Sent < uint64(count) {
		time.Sleep(time.Millisecond)
	}
	if err := m.report(count, int64(sink.Stats().BytesSent)); err != nil {
		return err
	}
	stop()
	return cmp.Or(<-ended, sp.Close())
}

// loop posts the lines of a file: what one would write without this project.
func loop(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	m := startMeter()
	p := poster{url: args[1] + "/services/collector/event", zip: args[2] == "true"}
	count := 0
	var body bytes.Buffer
	events := 0
	in := bufio.NewScanner(f)
	in.Buffer(nil, 2<<20)
	for in.Scan() {
		const head = `{"time":1795354790.678166,"source":"vmcp-audit","sourcetype":"vmcp:audit","event":`
		if events == maxEvents || body.Len()+len(head)+len(in.Bytes())+2 > maxBytes {
			if err := p.post(&body); err != nil {
				return err
			}
			events = 0
		}
		body.WriteString(head)
		body.Write(in.Bytes())
		body.WriteString("}\n")
		events, count = events+1, count+1
	}
	if err := cmp.Or(in.Err(), p.post(&body)); err != nil {
		return err
	}
	return m.report(count, p.wire)
}

// poster posts bodies with net/http and nothing else.
type poster struct {
	url  string
	zip  bool
	wire int64
	gz   *gzip.Writer
}

// post sends body, looks at the status, and empties body.
func (p *poster) post(body *bytes.Buffer) error {
	defer body.Reset()
	content := body
	if p.zip {
		content = new(bytes.Buffer)
		if p.gz == nil {
			p.gz, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed)
		}
		p.gz.Reset(content)
		_, _ = p.gz.Write(body.Bytes())
		_ = p.gz.Close()
	}
	p.wire += int64(content.Len())
	req, err := http.NewRequest(http.MethodPost, p.url, bytes.NewReader(content.Bytes()))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Splunk "+token)
	if p.zip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

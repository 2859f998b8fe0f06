//go:build linux

// Syslogbench measures what delivery from the spool to a syslog receiver over TCP
// costs, beside srslog sending the same lines one by one from a file, and beside
// rsyslog forwarding that file. What the spool and rendering have in it shows in a
// run of the sink alone on that file. Each is a process of its own; the runs take
// turns, and medians are shown. The receiver is in this process: it counts the lines.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// The parts that run as processes of their own.
var parts = map[string]func(args []string) error{"fill": fill, "spool": deliver, "sink": sinkAlone, "srslog": oneByOne}

func main() {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		if err := parts[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	events := flag.Int("events", 200_000, "events of a run")
	runs := flag.Int("runs", 5, "runs of each kind")
	flag.Parse()
	if err := bench(os.Stdout, *events, *runs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// result is what one run took.
type result struct {
	Events  int
	Seconds float64
	CPU     float64 // seconds of user and system
}

// table runs the measurements.
type table struct {
	dir   string
	to    string // the receiver
	lines *atomic.Int64
	count int // lines of a run
}

func bench(w io.Writer, events, runs int) error {
	dir, err := os.MkdirTemp("", "syslogbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	b := &table{dir: dir, to: l.Addr().String(), lines: new(atomic.Int64)}
	go b.receive(l)
	filled, err := child("fill", b.path("spool"), b.path("lines"), strconv.Itoa(events))
	if err != nil {
		return err
	}
	b.count = filled.Events
	kinds := []struct {
		name string
		run  func() (result, error)
	}{
		{"spool to receiver, settled", b.spool},
		{"the sink alone, from a file", func() (result, error) { return b.await(child("sink", b.path("lines"), b.to)) }},
		{"srslog, one by one", func() (result, error) { return b.await(child("srslog", b.path("lines"), b.to)) }},
		{"rsyslog, forwarding", b.forward},
	}
	got := make([][]result, len(kinds))
	for range runs {
		for i, k := range kinds {
			r, err := k.run()
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			got[i] = append(got[i], r)
		}
	}
	fmt.Fprintf(w, "%d events, %d runs of each, medians\n\n%-28s %10s %20s\n", b.count, runs, "", "events/s", "CPU µs per event")
	var speed, cpu []float64
	for i, k := range kinds {
		speed = append(speed, median(got[i], func(r result) float64 { return float64(b.count) / r.Seconds }))
		cpu = append(cpu, median(got[i], func(r result) float64 { return r.CPU / float64(b.count) * 1e6 }))
		fmt.Fprintf(w, "%-28s %10.0f %20.2f\n", k.name, speed[i], cpu[i])
	}
	for i := range kinds[:2] {
		for j := 2; j < len(kinds); j++ {
			fmt.Fprintf(w, "%s beside %s: %.2f times the events/s, %.2f times the CPU\n", kinds[i].name, kinds[j].name, speed[i]/speed[j], cpu[i]/cpu[j])
		}
	}
	return nil
}

func (b *table) path(name string) string { return filepath.Join(b.dir, name) }

// receive counts lines, and closes when the sender does.
func (b *table) receive(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for buf := make([]byte, 256<<10); ; {
				n, err := c.Read(buf)
				b.lines.Add(int64(bytes.Count(buf[:n], []byte{'\n'})))
				if err != nil {
					return
				}
			}
		}()
	}
}

// patience is how long the receiver may wait for the lines of a run.
const patience = 2 * time.Minute

// await waits until the receiver has all lines of a run, and forgets them.
func (b *table) await(r result, err error) (result, error) {
	for end := time.Now().Add(patience); err == nil && b.lines.Load() < int64(b.count); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			err = fmt.Errorf("%d of %d lines arrived", b.lines.Load(), b.count)
		}
	}
	b.lines.Store(0)
	return r, err
}

// spool delivers from a copy of the spool, until all has settled.
func (b *table) spool() (result, error) {
	copied := b.path("copy")
	defer os.RemoveAll(copied)
	if err := os.CopyFS(copied, os.DirFS(b.path("spool"))); err != nil {
		return result{}, err
	}
	return b.await(child("spool", copied, b.to))
}

// child runs a part and returns what it measured.
func child(args ...string) (r result, err error) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%s: %w", args[0], err)
	}
	return r, json.Unmarshal(out, &r)
}

func median(rs []result, of func(result) float64) float64 {
	var v []float64
	for _, r := range rs {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

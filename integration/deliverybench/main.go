//go:build unix

// Deliverybench measures what delivery from the spool to an HTTP Event
// Collector costs, beside a plain loop that reads the same lines from a file and
// posts them in the same batches. Collector, delivery and loop are processes of
// their own; the runs take turns, and medians are shown.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The parts that run as processes of their own.
var parts = map[string]func(args []string) error{"serve": serve, "fill": fill, "spool": deliver, "loop": loop}

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
	backlog := flag.Int("backlog", 1_000_000, "events of the long backlog; 0: none")
	flag.Parse()
	if err := bench(os.Stdout, *events, *runs, *backlog); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// result is what one process measured of itself.
type result struct {
	Events  int
	Seconds float64
	CPU     float64 // seconds of user and system
	Wire    int64   // bytes of the bodies as sent
	Peak    int64   // KiB of memory at most; 0: unknown
}

func bench(w io.Writer, events, runs, backlog int) error {
	dir, err := os.MkdirTemp("", "deliverybench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	url, stop, err := startServer()
	if err != nil {
		return err
	}
	defer stop()
	b := &table{w: w, dir: dir, url: url}
	if err := b.compare(events, runs); err != nil || backlog == 0 {
		return err
	}
	return b.long(backlog)
}

// startServer starts the collector that takes everything and keeps nothing.
func startServer() (url string, stop func(), err error) {
	cmd := exec.Command(os.Args[0], "serve")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
	}
	return strings.TrimSpace(url), stop, err
}

// table runs the measurements and prints them.
type table struct {
	w   io.Writer
	dir string
	url string
}

// kind is one line of the table.
type kind struct {
	name string
	part string
	gzip bool
}

var kinds = []kind{
	{"spool to collector, gzip", "spool", true},
	{"plain loop over a file, gzip", "loop", true},
	{"spool to collector", "spool", false},
	{"plain loop over a file", "loop", false},
}

func (b *table) compare(events, runs int) error {
	if _, err := b.child("fill", filepath.Join(b.dir, "spool"), filepath.Join(b.dir, "lines"), strconv.Itoa(events)); err != nil {
		return err
	}
	got := make([][]result, len(kinds))
	for range runs {
		for i, k := range kinds {
			r, err := b.run(k)
			if err != nil {
				return err
			}
			got[i] = append(got[i], r)
		}
	}
	fmt.Fprintf(b.w, "%d events, %d runs of each, medians\n\n", got[0][0].Events, runs)
	fmt.Fprintf(b.w, "%-30s %12s %22s %16s %12s\n", "", "events/s", "CPU s per million", "bytes per event", "peak MiB")
	var cpu, speed []float64
	for i, k := range kinds {
		n := float64(got[i][0].Events)
		speed = append(speed, median(got[i], func(r result) float64 { return n / r.Seconds }))
		cpu = append(cpu, median(got[i], func(r result) float64 { return r.CPU / n * 1e6 }))
		fmt.Fprintf(b.w, "%-30s %12.0f %22.2f %16.0f %12.1f\n", k.name, speed[i], cpu[i],
			median(got[i], func(r result) float64 { return float64(r.Wire) / n }),
			median(got[i], func(r result) float64 { return float64(r.Peak) / 1024 }))
		if k.part == "loop" {
			fmt.Fprintf(b.w, "%-30s %12.2f %22.2f\n", "  the spool beside it: times", speed[i-1]/speed[i], cpu[i-1]/cpu[i])
		}
	}
	return nil
}

// run measures one kind once. Each run has a copy of the spool to empty.
func (b *table) run(k kind) (result, error) {
	if k.part == "loop" {
		return b.child("loop", filepath.Join(b.dir, "lines"), b.url, fmt.Sprint(k.gzip))
	}
	copied := filepath.Join(b.dir, "copy")
	defer os.RemoveAll(copied)
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(b.dir, "spool"))); err != nil {
		return result{}, err
	}
	return b.child("spool", copied, b.url, fmt.Sprint(k.gzip))
}

// long delivers a backlog that would not fit in memory.
func (b *table) long(events int) error {
	dir := filepath.Join(b.dir, "long")
	stored, err := b.child("fill", dir, "", strconv.Itoa(events))
	if err != nil {
		return err
	}
	sent, err := b.child("spool", dir, b.url, "true")
	if err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\n%d events of backlog: stored in %.1f s, delivered in %.1f s with %.1f MiB of memory at most\n",
		sent.Events, stored.Seconds, sent.Seconds, float64(sent.Peak)/1024)
	return nil
}

// child runs a part and returns what it measured.
func (b *table) child(args ...string) (r result, err error) {
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

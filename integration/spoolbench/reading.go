package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

const (
	readBatch = 500
	perCall   = 985 // records of one Append where many are stored: 64 such calls fill a segment
)

// pass holds the figures of one reading of all records.
type pass struct {
	perSecond float64 // bytes of payload
	allocs    float64 // for each record
}

// reading measures a cursor that works off a backlog, beside a bufio.Scanner
// that reads the same payloads as lines of one file.
func reading(ctx context.Context, o options, dir string, out io.Writer) error {
	s, err := spool.Open(filepath.Join(dir, "backlog"), spool.Options{MaxSize: 64 << 30})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Cursor("keeps all"); err != nil {
		return err
	}
	payload := text(payloadSize)
	if err := fill(ctx, s, o.records, payload); err != nil {
		return err
	}
	lines := filepath.Join(dir, "lines")
	if err := os.WriteFile(lines, bytes.Repeat(append(payload, '\n'), o.records), 0o600); err != nil {
		return err
	}
	ways := []func() (int, error){
		func() (int, error) { return scanLines(lines) },
		func() (int, error) { return drain(ctx, s, o.records) },
	}
	passes := make([][]pass, len(ways))
	for r := range o.rounds {
		for i := range ways {
			w := (i + r) % len(ways)
			p, err := measure(ways[w])
			if err != nil {
				return err
			}
			passes[w] = append(passes[w], p)
		}
	}
	fmt.Fprintf(out, "\nReading a backlog of %d records of %d bytes, from the page cache.\n", o.records, payloadSize)
	t := newTable(out, "reader", "MB/s", "to Scanner", "allocations/1000 records")
	for i, name := range []string{"bufio.Scanner", "cursor, confirming"} {
		var speed, ratio, allocs []float64
		for r, p := range passes[i] {
			speed = append(speed, p.perSecond/1e6)
			ratio = append(ratio, p.perSecond/passes[0][r].perSecond)
			allocs = append(allocs, p.allocs*1000)
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.1f\t\n", name, median(speed), median(ratio), median(allocs))
	}
	return t.Flush()
}

// fill appends n records, many with one call.
func fill(ctx context.Context, s *spool.Spool, n int, payload []byte) error {
	call := slices.Repeat([][]byte{payload}, perCall)
	for ; n > 0; n -= perCall {
		if _, err := s.Append(ctx, spool.Ordinary, call[:min(n, perCall)]...); err != nil {
			return err
		}
	}
	return nil
}

// measure calls read, which returns the number of records.
func measure(read func() (int, error)) (p pass, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	n, err := read()
	elapsed := time.Since(begin)
	runtime.ReadMemStats(&after)
	return pass{
		perSecond: float64(n) * payloadSize / elapsed.Seconds(),
		allocs:    float64(after.Mallocs-before.Mallocs) / float64(n),
	}, err
}

func scanLines(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); ; n++ {
		if !lines.Scan() {
			return n, lines.Err()
		}
	}
}

// drain reads n records with a new cursor, as a sink does that is never slow.
func drain(ctx context.Context, s *spool.Spool, n int) (got int, err error) {
	const name = "sink"
	c, err := s.Cursor(name)
	if err != nil {
		return 0, err
	}
	for got < n {
		batch, err := c.Next(ctx, spool.Limits{Records: readBatch, Bytes: 1 << 20})
		if err != nil {
			return got, err
		}
		got += len(batch)
		c.Confirm(batch[len(batch)-1].Seq)
	}
	if err := c.Close(); err != nil {
		return got, err
	}
	return got, s.Forget(name)
}

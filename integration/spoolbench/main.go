// Command spoolbench measures the spool beside what else an event could be
// stored with: a loop that writes and syncs, bbolt, pebble. The figures are
// ratios within one run, since disks and machines differ more than programs do.
// Contenders take turns, and each ratio is the median over the rounds.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const payloadSize = 1000 // bytes, about one audit event

type options struct {
	dir      string
	rounds   int
	time     time.Duration
	records  int
	segments int
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".", "`folder` on the disk to measure; what is made there is removed")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds of each contender")
	flag.DurationVar(&o.time, "time", 700*time.Millisecond, "length of a round")
	flag.IntVar(&o.records, "records", 200_000, "records to read in the second table")
	flag.IntVar(&o.segments, "segments", 32, "full segments of 64 MiB in the third table, at most; 0 leaves it out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "spoolbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	dir, err := os.MkdirTemp(o.dir, "spoolbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if inMemory(dir) {
		fmt.Fprintf(out, "%s is in memory: a sync costs nothing there, and the ratios mean nothing. Use -dir.\n\n", o.dir)
	}
	for _, part := range []func(context.Context, options, string, io.Writer) error{writing, reading, opening} {
		if err := part(ctx, o, dir, out); err != nil {
			return err
		}
	}
	return nil
}

// text returns n bytes of a line that compress about as badly as digests do.
func text(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = 'A' + byte(random.IntN(58))
	}
	return b
}

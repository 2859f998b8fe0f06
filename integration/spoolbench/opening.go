package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// perSegment is how many records fill a segment.
const perSegment = 64 * perCall

// opening measures Open with more and more full segments, beside reading one of
// them: it must not take longer the larger the backlog is.
func opening(ctx context.Context, o options, dir string, out io.Writer) error {
	if o.segments == 0 {
		return nil
	}
	dir = filepath.Join(dir, "full")
	fmt.Fprintln(out, "\nOpening a spool, beside reading one full segment of it.")
	t := newTable(out, "segments", "MiB", "ms", "to reading")
	payload := text(payloadSize)
	have := 0
	for _, want := range slices.Compact([]int{1, max(1, o.segments/4), o.segments}) {
		if err := grow(ctx, dir, want-have, payload); err != nil {
			return err
		}
		have = want
		var took, ratio []float64
		size := int64(0)
		for range o.rounds {
			read, err := readSegment(dir)
			if err != nil {
				return err
			}
			begin := time.Now()
			s, err := spool.Open(dir, full)
			if err != nil {
				return err
			}
			open := time.Since(begin)
			st := s.Stats()
			size = st.SegmentBytes
			if err := s.Close(); err != nil {
				return err
			}
			if st.Segments != want {
				return fmt.Errorf("%d segments, want %d", st.Segments, want)
			}
			took = append(took, open.Seconds()*1000)
			ratio = append(ratio, open.Seconds()/read.Seconds())
		}
		fmt.Fprintf(t, "%d\t%d\t%.1f\t%.2f\t\n", want, size>>20, median(took), median(ratio))
	}
	return t.Flush()
}

// full leaves room for segments of the largest size.
var full = spool.Options{MaxSize: 64 << 30}

// grow adds n full segments.
func grow(ctx context.Context, dir string, n int, payload []byte) error {
	s, err := spool.Open(dir, full)
	if err != nil {
		return err
	}
	if err := fill(ctx, s, n*perSegment, payload); err != nil {
		s.Close()
		return err
	}
	return s.Close()
}

// readSegment reads the oldest segment and returns how long that takes.
func readSegment(dir string) (time.Duration, error) {
	l, err := spool.OpenLog(dir)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	for r, err := range l.Records() {
		if err != nil {
			return 0, err
		}
		if r.Seq == perSegment {
			break
		}
	}
	return time.Since(begin), nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// cell is a contender with so many writers, and what its rounds gave.
type cell struct {
	entry
	writers int
	samples []sample
}

// writing measures every contender at every width.
func writing(ctx context.Context, o options, dir string, out io.Writer) error {
	var cells []*cell
	spools := map[int]*cell{} // by the number of writers
	for _, e := range contenders {
		for _, n := range e.widths {
			c := &cell{entry: e, writers: n}
			cells = append(cells, c)
			if e.name == "spool" {
				spools[n] = c
			}
		}
	}
	payload := text(payloadSize)
	for r := range o.rounds {
		for i := range cells {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c := cells[(i+r)%len(cells)]
			s, err := round(dir, c.entry, c.writers, payload, o.time)
			if err != nil {
				return fmt.Errorf("%s, %d writers: %w", c.name, c.writers, err)
			}
			c.samples = append(c.samples, s)
		}
	}
	fmt.Fprintf(out, "Writing, %d bytes a record, each on disk before the next of its writer.\n", payloadSize)
	fmt.Fprintln(out, "Raw is 1.00; for CPU it is the spool with as many writers.")
	t := newTable(out, "contender", "writers", "records/s", "p50", "p99", "CPU/record")
	for _, c := range cells {
		base := cells[0]
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t\n", c.name, c.writers,
			c.over(base, rate, rate), c.over(base, p50, p50), c.over(base, p99, p50), c.over(spools[c.writers], cpu, cpu))
	}
	return t.Flush()
}

// over returns the median over the rounds of c's figure divided by base's.
func (c *cell) over(base *cell, figure, baseFigure int) float64 {
	var v []float64
	for r, s := range c.samples {
		v = append(v, s[figure]/base.samples[r][baseFigure])
	}
	return median(v)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func newTable(out io.Writer, columns ...string) *tabwriter.Writer {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range columns {
		fmt.Fprint(t, c, "\t")
	}
	fmt.Fprintln(t)
	return t
}

// Formatbench measures what it costs to render an audit event as JSON, beside
// encoding/json, log/slog and zerolog, all of which write the same members in the
// same order. The contenders take turns, in short rounds, of which the fastest is
// shown: what the others took more, something else on the machine did.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
)

func main() {
	rounds := flag.Int("rounds", 60, "rounds of each")
	each := flag.Duration("time", 20*time.Millisecond, "time of one round")
	flag.Parse()
	if err := run(os.Stdout, *rounds, *each); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// contender renders an event once for each call.
type contender struct {
	name   string
	render func()
}

// typical returns an event as the middleware makes it, without arguments, results
// and labels.
func typical() *emitter.Event {
	e := formatstest.Full()
	e.Loss, e.Status, e.Workflow, e.Data = emitter.Loss{}, emitter.Status{}, emitter.Workflow{}, emitter.Data{}
	e.Delegation, e.Redactions, e.Anomalies, e.Observer.Labels = emitter.Delegation{}, nil, nil, nil
	e.Severity, e.Controls = emitter.SeverityOf(e), emitter.ControlsOf(e)
	return e
}

func contenders(e *emitter.Event, w io.Writer) ([]contender, error) {
	root, err := parse(emitter.AppendEvent(nil, e))
	if err != nil {
		return nil, err
	}
	var buf []byte
	return []contender{
		{"vmcp-audit", func() {
			buf = emitter.AppendEvent(buf[:0], e)
			_, _ = w.Write(buf)
		}},
		{"zerolog", withZerolog(root, w)},
		{"encoding/json", withEncodingJSON(root, w)},
		{"log/slog", withSlog(root, w)},
	}, nil
}

func run(out io.Writer, rounds int, each time.Duration) error {
	all, err := contenders(typical(), io.Discard)
	if err != nil {
		return err
	}
	times := make([][]float64, len(all))
	for range rounds {
		for i, c := range all {
			times[i] = append(times[i], measure(c.render, each))
		}
	}
	fmt.Fprintf(out, "%-14s %10s %12s\n", "", "ns/event", "times ours")
	ours := slices.Min(times[0])
	for i, c := range all {
		fmt.Fprintf(out, "%-14s %10.0f %12.2f\n", c.name, slices.Min(times[i]), slices.Min(times[i])/ours)
	}
	return nil
}

// measure returns the nanoseconds of one call.
func measure(f func(), d time.Duration) float64 {
	start, n := time.Now(), 0
	for time.Since(start) < d {
		for range 100 {
			f()
		}
		n += 100
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

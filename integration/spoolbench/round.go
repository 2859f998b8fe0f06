package main

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// sample holds the figures of one round of one contender.
type sample [4]float64

const (
	rate = iota // records a second
	p50         // seconds that Store took
	p99
	cpu // seconds of CPU for each record
)

// round opens a contender in a fresh folder, warms it up, measures it and
// removes the folder.
func round(dir string, e entry, writers int, payload []byte, d time.Duration) (s sample, err error) {
	dir, err = os.MkdirTemp(dir, "round-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	c, err := e.open(dir)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := load(c, writers, payload, d/8); err != nil {
		return s, err
	}
	runtime.GC() // nobody pays for what another one left
	return load(c, writers, payload, d)
}

// load lets each of so many writers store one payload after the other for d.
func load(c contender, writers int, payload []byte, d time.Duration) (sample, error) {
	took := make([][]time.Duration, writers)
	errs := make([]error, writers)
	used, begin := cpuTime(), time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for now := begin; now.Sub(begin) < d && errs[w] == nil; {
				errs[w] = c.Store(payload)
				then := now
				now = time.Now()
				took[w] = append(took[w], now.Sub(then))
			}
		})
	}
	wg.Wait()
	used, elapsed := cpuTime()-used, time.Since(begin)
	all := slices.Concat(took...)
	slices.Sort(all)
	n := len(all)
	return sample{
		rate: float64(n) / elapsed.Seconds(),
		p50:  all[n/2].Seconds(),
		p99:  all[n*99/100].Seconds(),
		cpu:  used.Seconds() / float64(n),
	}, errors.Join(errs...)
}

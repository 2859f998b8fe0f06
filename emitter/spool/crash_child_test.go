package spool

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// What TestKill tells the process that it kills.
const (
	crashDirEnv   = "SPOOL_CRASH_DIR"
	crashRoundEnv = "SPOOL_CRASH_ROUND"
)

const crashWriters = 32

// crashChild writes to the spool until it is killed, or until its standard input
// ends. What it does goes to standard output, a line for each thing and only
// whole lines:
//
//	noted WRITER ROUND COUNTER      the last Append of a writer, by its note
//	open STREAM CURSOR=CONFIRMED...
//	recovered TORN DAMAGED
//	write                           before a large write to a segment
//	ack SEQ PARTS WRITER COUNTER    after Append has returned
//	read CURSOR SEQ LINK
//	confirm CURSOR SEQ              before Confirm is called
//	closed
type crashChild struct {
	s     *Spool
	round int
	stop  atomic.Bool

	mu  sync.Mutex // guards out
	out io.Writer
}

// runCrashChild is the program that TestKill starts, and returns its exit code.
func runCrashChild(dir string) int {
	c := &crashChild{out: os.Stdout}
	var err error
	if c.round, err = strconv.Atoi(os.Getenv(crashRoundEnv)); err == nil {
		err = c.run(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c.say("closed\n")
	return 0
}

func (c *crashChild) run(dir string) (err error) {
	opt := Options{segmentSize: 256 << 10, MinFree: -1, Full: Refuse, disk: loudDisk{osDisk{}, c}}
	if c.s, err = Open(dir, opt); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		c.stop.Store(true)
	}()
	fast, err := c.s.Cursor("fast")
	if err != nil {
		return err
	}
	slow, err := c.s.Cursor("slow")
	if err != nil {
		return err
	}
	st := c.s.Stats()
	for _, n := range c.s.Notes() {
		c.say("noted %s %s\n", n.Key, n.Value)
	}
	c.say("open %s fast=%d slow=%d\nrecovered %d %d\n", c.s.Stream(), fast.Confirmed(), slow.Confirmed(), st.TornTails, st.Damaged)

	errs := make(chan error, crashWriters+3)
	var readers, writers, behind sync.WaitGroup
	behind.Add(2)
	readers.Go(func() { errs <- c.follow(fast, 500, 1, 0, st.Last, behind.Done) })
	readers.Go(func() { errs <- c.follow(slow, 20, 7, 3, st.Last, behind.Done) })
	behind.Wait() // what was there before has been read again
	n := crashWriters
	if largeRound(c.round) {
		n = 4
	}
	for w := range n {
		writers.Go(func() { errs <- c.write(w) })
	}
	writers.Wait()
	errs <- c.s.Close()
	readers.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func (c *crashChild) say(format string, args ...any) {
	c.put(fmt.Appendf(nil, format, args...))
}

func (c *crashChild) put(lines []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.out.Write(lines) // a parent that is gone ends us
}

// loudDisk says when a large write to a new file begins.
type loudDisk struct {
	disk
	c *crashChild
}

func (d loudDisk) Create(path string) (file, error) {
	f, err := d.disk.Create(path)
	return loudFile{f, d.c}, err
}

type loudFile struct {
	file
	c *crashChild
}

func (f loudFile) WriteAt(b []byte, off int64) (int, error) {
	if len(b) > 64<<10 {
		f.c.say("write\n")
	}
	return f.file.WriteAt(b, off)
}

// write appends until it is to stop.
func (c *crashChild) write(w int) error {
	for i := 0; !c.stop.Load(); i++ {
		payloads := crashPayloads(c.round, w, i)
		note := Note{strconv.Itoa(w), fmt.Appendf(nil, "%d %d", c.round, i)}
		seq, err := c.s.AppendNoted(context.Background(), Ordinary, []Note{note}, payloads...)
		if err != nil {
			return err
		}
		c.say("ack %d %d %d %d\n", seq, len(payloads), w, i)
	}
	return nil
}

// follow reads batches of n records, and of every so many confirms the last but
// behind its last records. It calls reached when it has read up to seq.
func (c *crashChild) follow(cur *Cursor, n, every, behind int, seq uint64, reached func()) error {
	defer cur.Close()
	var lines []byte
	for i, last := 1, cur.Confirmed(); ; i++ {
		if reached != nil && last >= seq {
			reached()
			reached = nil
		}
		batch, err := cur.Next(context.Background(), Limits{Records: n, Bytes: 1 << 20})
		if errors.Is(err, ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		lines = lines[:0]
		for _, r := range batch {
			link := r.Link(c.s.Stream())
			lines = fmt.Appendf(lines, "read %s %d ", cur.m.name, r.Seq)
			lines = append(hex.AppendEncode(lines, link[:]), '\n')
		}
		last = batch[len(batch)-1].Seq
		if i%every > 0 || len(batch) <= behind {
			c.put(lines)
			continue
		}
		done := batch[len(batch)-1-behind].Seq
		c.put(fmt.Appendf(lines, "confirm %s %d\n", cur.m.name, done))
		cur.Confirm(done)
	}
}

// largeRound reports whether payloads are large in that round: then a write takes
// so long that it is often cut.
func largeRound(round int) bool { return round%3 == 2 }

// crashPayloads returns what the writer w appends in its call i: mostly one
// payload, sometimes some. Each says who wrote it and which of how many it is.
func crashPayloads(round, w, i int) [][]byte {
	rng := rand.New(rand.NewPCG(uint64(round), uint64(w)<<32|uint64(i)))
	parts, size := 1, 20+rng.IntN(1500)
	if largeRound(round) {
		size *= 200
	}
	if largeRound(round) || rng.IntN(4) == 0 {
		parts = 2 + rng.IntN(5)
	}
	payloads := make([][]byte, parts)
	for part := range payloads {
		b := fmt.Appendf(nil, "%d %d %d %d/%d ", round, w, i, part, parts)
		filler := []byte{byte('a' + rng.IntN(26))}
		payloads[part] = append(b, bytes.Repeat(filler, size)...)
	}
	return payloads
}

package receivers

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// tail reads a file that grows, each byte once.
type tail struct {
	path string
	read int64
	part []byte // the last line, while its end is missing
}

// next returns the lines that have come to an end since the last call, without
// their line feeds.
func (t *tail) next() ([][]byte, error) {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	more, err := io.ReadAll(io.NewSectionReader(f, t.read, 1<<40))
	if err != nil {
		return nil, err
	}
	t.read += int64(len(more))
	text := slices.Concat(t.part, more)
	var lines [][]byte
	for {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		if !ended {
			t.part = text
			return lines, nil
		}
		lines, text = append(lines, line), rest
	}
}

// Messages returns what the receiver has written so far, of all its runs, in
// the order in which it was written.
func (r *Receiver) Messages() []Message {
	r.tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range r.runs {
		lines, err := run.lines.next()
		if err != nil {
			r.tb.Fatal(err)
		}
		for _, line := range lines {
			m, err := parse(line)
			if err != nil {
				r.tb.Fatal(err)
			}
			r.found = append(r.found, m)
		}
	}
	return slices.Clip(r.found)
}

// Wait returns the messages when there are n or more. The test fails if none
// arrives for some minutes before that.
func (r *Receiver) Wait(n int) []Message {
	r.tb.Helper()
	return r.WaitFor(func(m []Message) bool { return len(m) >= n })
}

// WaitFor returns the messages when they are as wanted. The test fails if none
// arrives for some minutes before that.
func (r *Receiver) WaitFor(wanted func([]Message) bool) []Message {
	r.tb.Helper()
	m := r.Messages()
	for seen, since := len(m), time.Now(); !wanted(m); m = r.Messages() {
		if len(m) > seen {
			seen, since = len(m), time.Now()
		}
		if time.Since(since) > patience {
			r.tb.Fatalf("waited in vain: %s has %d messages", r.product, len(m))
		}
		time.Sleep(5 * time.Millisecond)
	}
	return m
}

// WaitPlain waits until Plain has n lines or more.
func (r *Receiver) WaitPlain(n int) {
	r.tb.Helper()
	for deadline := time.Now().Add(patience); bytes.Count(r.Plain(), []byte("\n")) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.tb.Fatalf("waited in vain: %s has written %q", r.product, r.Plain())
		}
	}
}

// Plain returns what the receiver wrote in its own default format, of all its
// runs; Options.Plain asks for it.
func (r *Receiver) Plain() []byte {
	r.tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []byte
	for _, run := range r.runs {
		text, err := os.ReadFile(filepath.Join(run.dir, plainFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.tb.Fatal(err)
		}
		all = append(all, text...)
	}
	return all
}

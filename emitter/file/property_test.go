//go:build unix

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// FuzzFaults sends random batches while writes, syncs, truncates, opens and
// folder syncs fail at random, files are moved and reopened, and the power goes,
// after which an earlier record may be the next one. Whatever happens, the files
// together hold every confirmed record in order, and each line in them is a
// whole record that was sent, or the remains of a write that could not be cut
// off.
func FuzzFaults(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { newTrial(t, seed).run() })
}

var errInjected = errors.New("injected fault")

// trial is one run: a sink, a caller that repeats what was not confirmed, and a
// disk that knows what would survive a loss of power.
type trial struct {
	t    *testing.T
	rng  *rand.Rand
	x    faults
	opt  Options
	path string
	sink *Sink

	records   []string
	confirmed int              // records, from the first on
	next      int              // the record to be sent next, not above confirmed
	moved     []string         // files that were moved away, the oldest first
	remains   int              // lines that may be less than a record
	risk      float64          // of each disk operation to fail
	synced    map[uint64]int64 // by inode: bytes that survive
	named     map[uint64]bool  // by inode: the name survives
}

func newTrial(t *testing.T, seed uint64) *trial {
	t.Helper()
	r := &trial{
		t: t, rng: rand.New(rand.NewPCG(seed, 4484)), path: logPath(t),
		risk: 0.15, synced: map[uint64]int64{}, named: map[uint64]bool{},
	}
	if r.rng.IntN(2) == 0 {
		r.opt.MaxSize = r.rng.Int64N(300) + 1
	}
	r.x = faults{
		open: r.fault,
		sync: r.fault,
		write: func(p []byte) (int, error) {
			if err := r.fault(); err != nil {
				return r.rng.IntN(len(p) + 1), err
			}
			return len(p), nil
		},
		truncate: func(int64) error {
			err := r.fault()
			if err != nil {
				r.remains++
			}
			return err
		},
	}
	for i := range 50 {
		r.records = append(r.records, fmt.Sprintf("record-%09d:%s", i, strings.Repeat("x", r.rng.IntN(60))))
	}
	return r
}

func (r *trial) chance(p float64) bool { return r.rng.Float64() < p }

func (r *trial) fault() error {
	if r.chance(r.risk) {
		return errInjected
	}
	return nil
}

func (r *trial) run() {
	r.start()
	for step := 0; r.next < len(r.records); step++ {
		if step == 400 {
			r.risk = 0 // what is left must go through
		}
		if step > 500 {
			r.t.Fatalf("stuck at record %d", r.next)
		}
		r.send()
		switch {
		case r.risk == 0:
		case r.chance(0.1):
			_ = r.sink.Reopen()
		case r.chance(0.08):
			r.losePower()
		case r.opt.MaxSize == 0 && r.chance(0.1):
			r.moveAway()
		}
		if r.chance(0.2) {
			r.check()
		}
	}
	r.check()
}

// start opens the sink on a disk that cuts batches into small writes.
func (r *trial) start() {
	d := r.x.disk()
	d.maxWrite = 80
	realOpen := d.open
	d.open = func(path string) (handle, error) {
		f, err := realOpen(path)
		if err != nil {
			return nil, err
		}
		return &watchedFile{handle: f, r: r}, nil
	}
	d.syncFile = func(*os.File) error { return r.fault() }
	d.syncFolder = func(folder string) error {
		if err := r.fault(); err != nil {
			return err
		}
		r.nameAll(folder)
		return nil
	}
	for {
		s, err := open(r.path, r.opt, d)
		if err == nil {
			r.sink = s
			return
		}
		if !errors.Is(err, errInjected) {
			r.t.Fatalf("open: %v", err)
		}
	}
}

func (r *trial) send() {
	left := r.records[r.next:]
	batch := records(left[:1+r.rng.IntN(len(left))]...)
	n, err := r.sink.Send(r.t.Context(), batch)
	if n < 0 || n > len(batch) || (err == nil) != (n == len(batch)) && !errors.Is(err, errInjected) {
		r.t.Fatalf("Send of %d = %d, %v", len(batch), n, err)
	}
	if err == nil && n < len(batch) {
		r.t.Fatalf("Send of %d = %d without an error", len(batch), n)
	}
	r.next += n
	r.confirmed = max(r.confirmed, r.next)
}

func (r *trial) moveAway() {
	to := fmt.Sprint(r.path, ".moved-", len(r.moved))
	if err := os.Rename(r.path, to); err == nil {
		r.moved = append(r.moved, to)
	}
}

// losePower takes away what was not synced, or a part of it, and starts again.
func (r *trial) losePower() {
	if err := r.sink.Close(); err != nil {
		r.t.Fatal(err)
	}
	for _, name := range r.files() {
		info, err := os.Stat(name)
		if err != nil {
			continue // moved away
		}
		id, size := inode(info), info.Size()
		if !r.named[id] && r.chance(0.5) {
			delete(r.synced, id)
			if err := os.Remove(name); err != nil {
				r.t.Fatal(err)
			}
			continue
		}
		if safe := r.synced[id]; size > safe {
			r.remains++
			size = safe + r.rng.Int64N(size-safe+1)
			if err := os.Truncate(name, size); err != nil {
				r.t.Fatal(err)
			}
		}
		r.synced[id], r.named[id] = size, true // this is what the disk has now
	}
	r.next -= r.rng.IntN(min(r.next, 6) + 1)
	r.start()
}

// files returns the names of all files, the oldest first.
func (r *trial) files() []string {
	return append(slices.Clip(r.moved), numberedFiles(r.t, r.path)...)
}

// check compares the files with what was sent and confirmed.
func (r *trial) check() {
	sent := map[string]bool{}
	for _, body := range r.records {
		sent[body] = true
	}
	next, odd := 0, 0
	for _, line := range r.lines() {
		if !sent[line] {
			odd++
		}
		if line == "" {
			r.t.Fatal("a blank line")
		}
		if next < r.confirmed && line == r.records[next] {
			next++
		}
	}
	if next < r.confirmed {
		r.t.Fatalf("%d records confirmed, but number %d is not in its place", r.confirmed, next)
	}
	if odd > r.remains {
		r.t.Fatalf("%d lines that are no whole record, at most %d can be explained", odd, r.remains)
	}
}

// lines returns the lines of all files, the oldest first; the last line of a
// file counts even if it has no end.
func (r *trial) lines() []string {
	var all []string
	for _, name := range r.files() {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved away, or its name was lost with the power
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if len(content) > 0 {
			all = append(all, strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")...)
		}
	}
	return all
}

// nameAll notes that the names in folder survive.
func (r *trial) nameAll(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		r.t.Error(err)
	}
	for _, entry := range entries {
		if info, err := os.Stat(filepath.Join(folder, entry.Name())); err == nil {
			r.named[inode(info)] = true
		}
	}
}

// watchedFile notes which bytes survive. Nothing is really synced, which makes a
// trial fast.
type watchedFile struct {
	handle
	r      *trial
	broken bool // a sync has failed: no later one can be trusted
}

func (f *watchedFile) Write(p []byte) (int, error) {
	if f.broken {
		f.r.t.Error("write to a handle whose sync has failed")
	}
	return f.handle.Write(p)
}

func (f *watchedFile) Sync() error {
	if err := f.r.x.sync(); err != nil {
		f.broken = true
		return err
	}
	info, err := f.Stat()
	if err == nil {
		f.r.synced[inode(info)] = info.Size()
	}
	return err
}

func (f *watchedFile) Truncate(size int64) error {
	if info, err := f.Stat(); err != nil || size < f.r.synced[inode(info)] {
		f.r.t.Errorf("cut to %d bytes, %d are synced (%v)", size, f.r.synced[inode(info)], err)
	}
	return f.handle.Truncate(size)
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

package spool

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// memDisk is a disk in memory that loses, at a crash, what a real one may lose:
// writes that were not synced, in part and in any order, and names whose folder
// was not synced. A sync that fails drops the writes for good, as Linux does,
// and the next one succeeds without them.
type memDisk struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	names   map[string]*memFile // as programs see them
	durable map[string]*memFile // as they are after a crash
	free    int64               // bytes; 0: plenty
	ops     int                 // of those that can fail
	fail    func(op string, n int) error
}

type memFile struct {
	disk    *memDisk
	live    []byte
	durable []byte
	pending []func([]byte) []byte
}

func newMemDisk(seed uint64) *memDisk {
	return &memDisk{rnd: rand.New(rand.NewPCG(seed, 1)), names: map[string]*memFile{}, durable: map[string]*memFile{}}
}

var errInjected = errors.New("injected fault")

// step counts an operation and fails it if the test says so; d.mu is held.
func (d *memDisk) step(op string) error {
	d.ops++
	if d.fail == nil {
		return nil
	}
	return d.fail(op, d.ops)
}

// crash returns the disk as it may be after a loss of power. Whoever had the old
// one open goes on with that.
func (d *memDisk) crash() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newMemDisk(d.rnd.Uint64())
	names := map[string]*memFile{}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) { // in order: a seed has to bring back the same
		f := d.durable[name]
		if d.names[name] == f || d.rnd.IntN(2) == 0 { // else the journal had the removal
			names[name] = f
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		f := d.names[name]
		if d.durable[name] == f || d.rnd.IntN(2) == 0 { // else the journal had not got it
			names[name] = f
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := names[name]
		data := slices.Clone(f.durable)
		for _, write := range f.pending {
			if d.rnd.IntN(2) == 0 {
				data = write(data)
			}
		}
		g := &memFile{disk: after, live: data, durable: slices.Clone(data)}
		after.names[name], after.durable[name] = g, g
	}
	return after
}

// failWith makes the operations fail for which f returns an error; nil mends it.
func (d *memDisk) failWith(f func(op string, n int) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// clone copies the disk as a program sees it.
func (d *memDisk) clone() *memDisk {
	c := newMemDisk(1)
	for name, f := range d.names {
		g := &memFile{disk: c, live: slices.Clone(f.live), durable: slices.Clone(f.live)}
		c.names[name], c.durable[name] = g, g
	}
	return c
}

func (d *memDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f, nil
}

func (d *memDisk) Open(name string) (file, error) { return d.open(name) }
func (d *memDisk) Read(name string) (file, error) { return d.open(name) }
func (d *memDisk) MkdirAll(string) error          { return nil }
func (d *memDisk) Lock(string) (func(), error)    { return func() {}, nil }

func (d *memDisk) Create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("create"); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := &memFile{disk: d}
	d.names[name] = f
	return f, nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("rename"); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	if err := d.step("remove"); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *memDisk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("syncdir"); err != nil {
		return err
	}
	for name, f := range d.names {
		if path.Dir(name) == dir {
			d.durable[name] = f
		}
	}
	for name := range d.durable {
		if path.Dir(name) == dir && d.names[name] == nil {
			delete(d.durable, name)
		}
	}
	return nil
}

func (d *memDisk) Free(string) (int64, error) {
	if d.free == 0 {
		return 1 << 40, nil
	}
	return d.free, nil
}

func (d *memDisk) ReadDir(dir string) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[string]memEntry{}
	for name, f := range d.names {
		rest, ok := strings.CutPrefix(name, dir+"/")
		if !ok {
			continue
		}
		first, _, sub := strings.Cut(rest, "/")
		seen[first] = memEntry{name: first, dir: sub, size: int64(len(f.live))}
	}
	var list []fs.DirEntry
	for _, e := range seen {
		list = append(list, e)
	}
	return list, nil
}

type memEntry struct {
	name string
	dir  bool
	size int64
}

func (e memEntry) Name() string               { return e.name }
func (e memEntry) IsDir() bool                { return e.dir }
func (e memEntry) Type() fs.FileMode          { return 0 }
func (e memEntry) Info() (fs.FileInfo, error) { return e, nil }
func (e memEntry) Size() int64                { return e.size }
func (e memEntry) Mode() fs.FileMode          { return 0o600 }
func (e memEntry) ModTime() time.Time         { return time.Time{} }
func (e memEntry) Sys() any                   { return nil }

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.live)) {
		return 0, io.EOF
	}
	n := copy(b, f.live[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// change does op to the file now and, at a crash, perhaps.
func (f *memFile) change(op func([]byte) []byte) {
	f.live = op(f.live)
	f.pending = append(f.pending, op)
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.step("write")
	data := slices.Clone(b)
	if err != nil {
		data = data[:f.disk.rnd.IntN(len(data)+1)] // a short write
	}
	for len(data) > 0 { // what a power loss tears, it tears between sectors
		sector := min(len(data), 512-int(off%512))
		f.change(put(data[:sector], off))
		off, data = off+int64(sector), data[sector:]
	}
	return len(b), err
}

func put(b []byte, off int64) func([]byte) []byte {
	return func(data []byte) []byte {
		data = resized(data, max(len(data), int(off)+len(b)))
		copy(data[off:], b)
		return data
	}
}

func resized(data []byte, n int) []byte {
	if n <= len(data) {
		return data[:n:n]
	}
	return append(slices.Clip(data), make([]byte, n-len(data))...)
}

func (f *memFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step("truncate"); err != nil {
		return err
	}
	f.change(func(data []byte) []byte { return resized(data, int(size)) })
	return nil
}

func (f *memFile) Allocate(size int64) (bool, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step("allocate"); err != nil {
		return false, err
	}
	f.change(func(data []byte) []byte { return resized(data, max(len(data), int(size))) })
	return false, nil
}

func (f *memFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step("sync"); err != nil {
		for _, write := range f.pending {
			if f.disk.rnd.IntN(2) == 0 {
				f.durable = write(f.durable)
			}
		}
		f.pending = nil // the pages are clean now, and gone at a crash
		return err
	}
	for _, write := range f.pending {
		f.durable = write(f.durable)
	}
	f.pending = nil
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.live)), nil
}

func (f *memFile) Close() error { return nil }

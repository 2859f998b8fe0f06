package main

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"go.etcd.io/bbolt"
)

// contender stores payloads. It is safe for concurrent use unless its entry in
// contenders says one writer.
type contender interface {
	Store(p []byte) error // returns when p is on disk
	Close() error
}

// entry is a contender, and how many writers it is measured with.
type entry struct {
	name   string
	widths []int
	open   func(dir string) (contender, error)
}

// contenders begins with the one that the others are measured by.
var contenders = []entry{
	{"raw", []int{1}, openRaw},
	{"spool", []int{1, 16, 256}, openSpool},
	{"bbolt Batch", []int{1, 16, 256}, openBatch},
	{"bbolt Update", []int{1}, openUpdate}, // Batch makes one writer wait 10 ms for others
	{"pebble Set", []int{1, 16, 256}, openPebble},
}

// raw appends to a file that grows with each record and syncs each, from one
// goroutine: what the disk gives to a program that does nothing else.
type raw struct{ f *os.File }

func openRaw(dir string) (contender, error) {
	f, err := os.Create(filepath.Join(dir, "raw"))
	return raw{f}, err
}

func (r raw) Store(p []byte) error {
	if _, err := r.f.Write(p); err != nil {
		return err
	}
	return syncData(r.f)
}

func (r raw) Close() error { return r.f.Close() }

type spooled struct{ *spool.Spool }

func openSpool(dir string) (contender, error) {
	s, err := spool.Open(dir, spool.Options{MaxSize: 8 << 30})
	return spooled{s}, err
}

func (s spooled) Store(p []byte) error {
	_, err := s.Append(context.Background(), spool.Ordinary, p)
	return err
}

// key counts, big-endian: each record goes behind the one before it.
type key struct{ n atomic.Uint64 }

func (k *key) next() []byte { return binary.BigEndian.AppendUint64(nil, k.n.Add(1)) }

// bolt is bbolt with its defaults.
type bolt struct {
	*bbolt.DB
	key
	commit func(func(*bbolt.Tx) error) error
}

var bucket = []byte("log")

func openBolt(dir string) (*bolt, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	return &bolt{DB: db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
}

func openBatch(dir string) (contender, error) {
	b, err := openBolt(dir)
	if err == nil {
		b.commit = b.Batch
	}
	return b, err
}

func openUpdate(dir string) (contender, error) {
	b, err := openBolt(dir)
	if err == nil {
		b.commit = b.Update
	}
	return b, err
}

func (b *bolt) Store(p []byte) error {
	k := b.next()
	return b.commit(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(k, p) })
}

// rocks is pebble with its defaults.
type rocks struct {
	*pebble.DB
	key
}

func openPebble(dir string) (contender, error) {
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	return &rocks{DB: db}, err
}

func (r *rocks) Store(p []byte) error { return r.Set(r.next(), p, pebble.Sync) }

// quiet is a pebble.Logger.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}

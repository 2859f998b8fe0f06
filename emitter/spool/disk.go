package spool

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// disk is every file operation that the log rests on; tests make them fail.
type disk interface {
	Create(path string) (file, error) // new, for reading and writing, 0600
	Open(path string) (file, error)   // for reading and writing
	Read(path string) (file, error)   // for reading
	ReadDir(path string) ([]fs.DirEntry, error)
	MkdirAll(path string) error // 0700
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(path string) error
	Free(path string) (int64, error)              // bytes left for us on the file system
	Lock(path string) (release func(), err error) // keeps other processes from writing in the folder
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Allocate(size int64) (sparse bool, err error) // makes the file size bytes long, its blocks its own or sparse
	Truncate(size int64) error
	Sync() error // data and length
	Size() (int64, error)
}

// noFree is what Free returns where the system does not tell.
const noFree = math.MaxInt64

type osDisk struct{}

func (osDisk) Create(path string) (file, error) {
	return openFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}
func (osDisk) Open(path string) (file, error) { return openFile(path, os.O_RDWR) }
func (osDisk) Read(path string) (file, error) {
	return openFile(path, os.O_RDONLY|syscall.O_NONBLOCK) // a pipe of that name would wait for ever
}
func (osDisk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (osDisk) MkdirAll(path string) error                 { return os.MkdirAll(path, 0o700) }
func (osDisk) Rename(from, to string) error               { return os.Rename(from, to) }
func (osDisk) Remove(path string) error                   { return os.Remove(path) }
func (osDisk) SyncDir(path string) error                  { return syncDir(path) }
func (osDisk) Free(path string) (int64, error)            { return freeSpace(path) }
func (osDisk) Lock(path string) (func(), error)           { return lockDir(path) }

func openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }

func (f osFile) Allocate(size int64) (sparse bool, err error) {
	switch err := allocate(f.File, size); {
	case err == nil:
		return false, nil
	case !errors.Is(err, errors.ErrUnsupported):
		return false, err
	}
	return true, f.Truncate(size)
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// mode of a file that we create, before the umask: an audit trail is read by
// its owner.
const mode fs.FileMode = 0o600

// disk is the part of the operating system that tests put faults into.
type disk struct {
	open       func(path string) (handle, error)
	syncFile   func(f *os.File) error // f is open for reading
	syncFolder func(folder string) error
	maxWrite   int // bytes in one write; a larger record is a write by itself
	// pipeTimeout bounds one write to a pipe or device, so that a reader that has
	// stopped reading cannot hold up a shutdown.
	pipeTimeout time.Duration
}

// handle is an open file.
type handle interface {
	io.WriteCloser
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	SetWriteDeadline(t time.Time) error
	// Sync returns when what was written, and the length, are on the disk.
	Sync() error
}

func systemDisk() disk {
	return disk{open: openFile, syncFile: syncData, syncFolder: syncFolder, maxWrite: 1 << 20, pipeTimeout: 5 * time.Second}
}

// openFile opens path for appending. O_NONBLOCK keeps a pipe without a reader
// from blocking us (it gives ENXIO) and lets its writes have deadlines; regular
// files ignore it.
func openFile(path string) (handle, error) {
	const flags = os.O_APPEND | os.O_CREATE | os.O_WRONLY | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, flags, mode)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// diskFile is a handle on a real file; its Sync leaves out the time stamps.
type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return syncData(f.File) }

// syncFolder makes the names in folder durable. File systems that have no such
// call (EINVAL, ENOTSUP) are taken to do it unasked.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	err = f.Sync()
	_ = f.Close() // nothing was written through it
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// ensure makes s.f the file that path leads to now, and s.size its size. It
// costs one stat when nothing has changed.
func (s *Sink) ensure() error {
	if s.path == Stdout {
		return nil
	}
	if s.f == nil {
		return s.open()
	}
	now, err := os.Stat(s.path)
	if err != nil || !os.SameFile(now, s.info) {
		return s.open()
	}
	if s.regular && now.Size() != s.size { // somebody else appended or cut
		s.noteEnd(now)
	}
	return nil
}

// open puts a fresh handle of path in the place of s.f, which stays if that
// fails.
func (s *Sink) open() error {
	before, err := os.Stat(s.path)
	if err == nil {
		if err := checkKind(s.path, before); err != nil {
			return err
		}
	}
	created := errors.Is(err, fs.ErrNotExist)
	f, err := s.disk.open(s.path)
	if err != nil {
		return classify(err)
	}
	s.created = s.created || created
	info, err := f.Stat()
	if err == nil {
		err = s.prepare(info)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.drop()
	s.f, s.out, s.info, s.dirty = f, f, info, false
	s.regular = info.Mode().IsRegular()
	if s.regular {
		s.noteEnd(info)
	}
	return nil
}

// noteEnd takes in where the file ends, and how.
func (s *Sink) noteEnd(info fs.FileInfo) {
	s.size, s.torn = info.Size(), tornTail(s.path, info)
	if s.torn != nil && s.suspect {
		s.torn = unknown
	}
}

// prepare checks a file that was just opened and makes its name durable.
func (s *Sink) prepare(info fs.FileInfo) error {
	if err := checkKind(s.path, info); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		s.created = false
		return nil
	}
	s.noteMode(info)
	return s.syncName()
}

// syncName syncs the folder that the file is in, at the end of all links. A
// folder that may be searched and not read is no error for a file that was
// there before us, so that a locked-down folder with a prepared file works.
func (s *Sink) syncName() error {
	target, err := filepath.EvalSymlinks(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed since: no name to keep, and the next Send will see
	}
	if err != nil {
		return classify(err)
	}
	err = s.disk.syncFolder(filepath.Dir(target))
	if err != nil && (s.created || !errors.Is(err, fs.ErrPermission)) {
		return classify(err)
	}
	s.created = false
	return nil
}

// noteMode tells the log when files begin to be open to others than the owner.
func (s *Sink) noteMode(info fs.FileInfo) {
	loose := info.Mode().Perm()&0o066 != 0
	if loose && !s.loose {
		s.opt.Log.Warn("audit file can be read or written by others than its owner",
			"path", s.path, "mode", info.Mode().Perm().String())
	}
	s.loose = loose
}

// drop closes the file. What was confirmed has been synced, so an error of
// closing tells nothing new.
func (s *Sink) drop() {
	if s.f != nil {
		_ = s.f.Close()
	}
	s.f, s.out = nil, nil
}

// openStdout makes standard output, or what stands for it, the destination.
func (s *Sink) openStdout() error {
	s.out = s.opt.Stdout
	if s.out != nil {
		return nil
	}
	out, err := standardOutput()
	s.out = out
	return err
}

// checkKind refuses what cannot sensibly be appended to.
func checkKind(path string, info fs.FileInfo) error {
	switch info.Mode().Type() {
	case 0, fs.ModeNamedPipe, fs.ModeDevice | fs.ModeCharDevice:
		return nil
	case fs.ModeDir:
		return emitter.Blocked(pathError("open", path, syscall.EISDIR))
	default:
		return emitter.Blocked(pathError("open", path,
			errors.New("neither a regular file nor a pipe or character device")))
	}
}

// classify marks the errors of opening that waiting does not mend.
func classify(err error) error {
	for _, fault := range []error{
		fs.ErrPermission, syscall.EISDIR, syscall.EROFS,
		syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG,
	} {
		if errors.Is(err, fault) {
			return emitter.Blocked(err)
		}
	}
	return err
}

// lacksReader reports whether err says that path is a pipe nobody reads.
func lacksReader(path string, err error) bool {
	if !errors.Is(err, syscall.ENXIO) {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == fs.ModeNamedPipe
}

// pathError says what was done to which path, unless err does so already.
func pathError(op, path string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

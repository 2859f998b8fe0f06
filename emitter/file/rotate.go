package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// maxLinks is how many symbolic links Linux follows in one path.
const maxLinks = 40

var errDescriptor = errors.New("path leads to an open descriptor")

// over reports whether r, after what is in the file and the buffer, calls for a
// fresh file. It never does for an empty one, however large r is.
func (s *Sink) over(r emitter.Record) bool {
	if s.opt.MaxSize == 0 || !s.regular || s.capLifted {
		return false
	}
	empty := s.size == 0 && len(s.ends) == 0
	return !empty && s.size+int64(len(s.buf)+len(r.Body))+1 > s.opt.MaxSize
}

// rotate moves the file, which has been synced, to path.1 and opens a fresh
// one. If it cannot be moved the current one is written on, which is no error.
func (s *Sink) rotate() error {
	if err := s.shift(); err != nil {
		s.noteStuck(err)
		return nil
	}
	s.noteMoved()
	return s.open()
}

// shift renames the files, the oldest first, so that a crash on the way leaves
// a gap in the numbers, which the next rotation closes, and overwrites nothing.
func (s *Sink) shift() error {
	if isDescriptor(s.path) {
		return errDescriptor
	}
	target, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		return err
	}
	last, err := s.lastNumber(target)
	if err != nil {
		return err
	}
	for n := last; n > 1; n-- {
		if err := os.Rename(numbered(target, n-1), numbered(target, n)); err != nil {
			return err
		}
	}
	return os.Rename(target, numbered(target, 1))
}

// lastNumber returns the number up to which files have to move: the first that
// is free, or MaxFiles, whose file is then replaced.
func (s *Sink) lastNumber(target string) (int, error) {
	n := 1
	for ; n != s.opt.MaxFiles; n++ {
		_, err := os.Lstat(numbered(target, n))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// isDescriptor reports whether path leads to an open descriptor, as /dev/stdout
// does. Opened again, such a path is the file that was renamed, not a fresh one.
func isDescriptor(path string) bool {
	for range maxLinks {
		path = filepath.Clean(path)
		for _, prefix := range []string{"/proc/", "/dev/fd/"} {
			if strings.HasPrefix(path, prefix) {
				return true
			}
		}
		link, err := os.Readlink(path)
		if err != nil {
			return false
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	return false
}

func numbered(path string, n int) string { return path + "." + strconv.Itoa(n) }

func (s *Sink) noteStuck(err error) {
	s.capLifted = true
	s.stuck++
	if s.stuck == 1 {
		s.stuckSince = time.Now()
		s.opt.Log.Warn("audit file cannot be rotated and grows on", "path", s.path, "error", err)
	}
}

func (s *Sink) noteMoved() {
	if s.stuck > 0 {
		s.opt.Log.Info("audit file is rotated again",
			"path", s.path, "attempts_failed", s.stuck, "after", time.Since(s.stuckSince))
	}
	s.stuck = 0
}

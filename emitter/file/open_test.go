//go:build unix

package file

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

func TestModeOfNewFile(t *testing.T) {
	for _, tt := range []struct {
		umask int
		want  fs.FileMode
	}{{0, 0o600}, {0o022, 0o600}, {0o077, 0o600}, {0o277, 0o400}} {
		path := logPath(t)
		old := syscall.Umask(tt.umask)
		s, err := Open(path, Options{MaxSize: 3})
		if err == nil {
			_, err = s.Send(t.Context(), records("a", "b", "c")) // rotates
		}
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %03o: %v", tt.umask, err)
		}
		for _, name := range numberedFiles(t, path) {
			if info, err := os.Stat(name); err != nil || info.Mode() != tt.want {
				t.Errorf("umask %03o: %s has mode %v (%v), want %v", tt.umask, filepath.Base(name), info.Mode(), err, tt.want)
			}
		}
		s.Close()
	}
}

func TestLooseModeIsKeptAndReportedOnce(t *testing.T) {
	const message = "can be read or written by others"
	for _, tt := range []struct {
		mode fs.FileMode
		want int
	}{{0o600, 0}, {0o400, 0}, {0o700, 0}, {0o640, 1}, {0o604, 1}, {0o620, 1}, {0o666, 1}} {
		path := logPath(t)
		writeFile(t, path, "")
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if tt.mode&0o200 == 0 && os.Geteuid() != 0 {
			continue // only root can append to it
		}
		logger, count := logTo(t)
		s := mustOpen(t, path, Options{Log: logger})
		mustSend(t, s, "a")
		if err := s.Reopen(); err != nil {
			t.Fatal(err)
		}
		mustSend(t, s, "b")
		if got := count(message); got != tt.want {
			t.Errorf("mode %v: reported %d times, want %d", tt.mode, got, tt.want)
		}
		if info, _ := os.Stat(path); info.Mode() != tt.mode {
			t.Errorf("mode changed from %v to %v", tt.mode, info.Mode())
		}
	}
}

func TestRefusesWhatIsNoFile(t *testing.T) {
	folder := t.TempDir()
	socket := filepath.Join(folder, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file := filepath.Join(folder, "file")
	writeFile(t, file, "")
	loop := filepath.Join(folder, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, link, socket, loop, filepath.Join(file, "below")} {
		if s, err := Open(path, Options{}); s != nil || !emitter.IsBlocked(err) {
			t.Errorf("Open(%s) = %v, %v; want a blocked error", filepath.Base(path), s, err)
		}
	}
}

func TestMissingFolderIsTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "not yet", "audit.log")
	if _, err := Open(path, Options{}); !errors.Is(err, fs.ErrNotExist) || emitter.IsBlocked(err) {
		t.Fatalf("Open = %v; want a plain %v", err, fs.ErrNotExist)
	}
}

func TestPathBecomesUnusable(t *testing.T) {
	path := logPath(t)
	s := mustOpen(t, path, Options{})
	mustSend(t, s, "a")
	rename(t, path, path+".moved")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Send(t.Context(), records("b")); n != 0 || !emitter.IsBlocked(err) {
		t.Fatalf("Send = %d, %v; want 0 and a blocked error", n, err)
	}
	wantFile(t, path+".moved", "a\n") // not there: nobody looks for it
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "b")
	wantFile(t, path, "b\n")
}

func TestClassesOfOpenErrors(t *testing.T) {
	for _, tt := range []struct {
		errno   syscall.Errno
		blocked bool
	}{
		{syscall.EACCES, true},
		{syscall.EPERM, true},
		{syscall.EROFS, true},
		{syscall.EISDIR, true},
		{syscall.ENOSPC, false},
		{syscall.EMFILE, false},
		{syscall.EIO, false},
	} {
		path := logPath(t)
		x := faults{open: once(pathError("open", path, tt.errno))}
		_, err := open(path, Options{}, x.disk())
		if !errors.Is(err, tt.errno) || emitter.IsBlocked(err) != tt.blocked {
			t.Errorf("%v: open = %v, blocked %t; want blocked %t", tt.errno, err, emitter.IsBlocked(err), tt.blocked)
		}
	}
}

func TestClassesOfWriteErrors(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EACCES, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO} {
		x := faults{write: cutAfter(0, errno)}
		s := mustOpenOn(t, logPath(t), Options{}, x.disk())
		n, err := s.Send(t.Context(), records("a"))
		if n != 0 || !errors.Is(err, errno) || emitter.IsBlocked(err) || emitter.IsPermanent(err) {
			t.Errorf("Send = %d, %v; want 0 and a plain %v", n, err, errno)
		}
	}
}

func TestFolderIsSynced(t *testing.T) {
	path := logPath(t)
	var x faults
	s := mustOpenOn(t, path, Options{MaxSize: 3}, x.disk())
	if x.folders != 1 {
		t.Errorf("%d syncs of the folder after create, want 1", x.folders)
	}
	mustSend(t, s, "a", "b")
	if x.folders != 2 {
		t.Errorf("%d syncs of the folder after rotation, want 2", x.folders)
	}
	mustSend(t, mustOpen(t, path, Options{}), "c")
	if x.folders != 2 {
		t.Errorf("%d syncs of the folder after a plain Send, want 2", x.folders)
	}
}

func TestFolderCannotBeSynced(t *testing.T) {
	for _, tt := range []struct {
		name    string
		exists  bool
		errno   syscall.Errno
		fails   bool
		blocked bool
	}{
		{"new file, folder unreadable", false, syscall.EACCES, true, true},
		{"new file, broken disk", false, syscall.EIO, true, false},
		{"old file, folder unreadable", true, syscall.EACCES, false, false},
		{"old file, broken disk", true, syscall.EIO, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			if tt.exists {
				writeFile(t, path, "old\n")
			}
			x := faults{syncFolder: func() error { return tt.errno }}
			s := &Sink{path: path, disk: x.disk()}
			for range 2 { // the file that the first try made is no old file
				n, err := s.Send(t.Context(), records("a"))
				if (err != nil) != tt.fails || emitter.IsBlocked(err) != tt.blocked {
					t.Fatalf("Send = %d, %v (blocked %t); want error %t, blocked %t", n, err, emitter.IsBlocked(err), tt.fails, tt.blocked)
				}
			}
			if tt.fails && !tt.exists {
				wantFile(t, path, "") // nothing goes into a file that may vanish
			}
			x.syncFolder = nil
			mustSend(t, s, "b")
		})
	}
}

package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// wantFiles compares path, path.1, path.2 ... with want, and wants no more.
func wantFiles(t *testing.T, path string, want ...string) {
	t.Helper()
	wantFile(t, path, want[0])
	for i, content := range want[1:] {
		wantFile(t, numbered(path, i+1), content)
	}
	wantNoFile(t, numbered(path, len(want)))
}

func TestRotation(t *testing.T) {
	long := strings.Repeat("L", 20)
	tests := []struct {
		name    string
		opt     Options
		before  string
		batches [][]string
		want    []string // path, path.1, path.2, ...
	}{
		{"no cap", Options{MaxFiles: 2}, "", [][]string{{"aaaa", long}, {"bbbb"}}, []string{"aaaa\n" + long + "\nbbbb\n"}},
		{"just fits", Options{MaxSize: 10}, "", [][]string{{"aaaa", "bbbb"}}, []string{"aaaa\nbbbb\n"}},
		{"one byte more", Options{MaxSize: 9}, "", [][]string{{"aaaa", "bbbb"}}, []string{"bbbb\n", "aaaa\n"}},
		{
			"over several batches",
			Options{MaxSize: 10},
			"",
			[][]string{{"aaaa"}, {"bbbb"}, {"cccc"}, {"dddd"}, {"eeee"}},
			[]string{"eeee\n", "cccc\ndddd\n", "aaaa\nbbbb\n"},
		},
		{
			"in one batch",
			Options{MaxSize: 10},
			"",
			[][]string{{"aaaa", "bbbb", "cccc", "dddd", "eeee"}},
			[]string{"eeee\n", "cccc\ndddd\n", "aaaa\nbbbb\n"},
		},
		{
			"all are kept",
			Options{MaxSize: 1},
			"",
			[][]string{{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}},
			[]string{"l\n", "k\n", "j\n", "i\n", "h\n", "g\n", "f\n", "e\n", "d\n", "c\n", "b\n", "a\n"},
		},
		{"two are kept", Options{MaxSize: 1, MaxFiles: 2}, "", [][]string{{"a", "b", "c", "d", "e"}}, []string{"e\n", "d\n", "c\n"}},
		{"one is kept", Options{MaxSize: 1, MaxFiles: 1}, "", [][]string{{"a", "b", "c"}}, []string{"c\n", "b\n"}},
		{"too large a record", Options{MaxSize: 10}, "", [][]string{{"aaaa", long, "bbbb"}}, []string{"bbbb\n", long + "\n", "aaaa\n"}},
		{"too large and first", Options{MaxSize: 10}, "", [][]string{{long}, {"a"}}, []string{"a\n", long + "\n"}},
		{"file is too large already", Options{MaxSize: 10}, long + "\n", [][]string{{"a"}}, []string{"a\n", long + "\n"}},
		{"torn line goes along", Options{MaxSize: 10}, "torn", [][]string{{"a"}, {"bbbb"}}, []string{"bbbb\n", "torn\na\n"}},
		{"torn line, its end counts", Options{MaxSize: 10}, "torn", [][]string{{"aaaa"}, {"b"}}, []string{"b\n", "torn\naaaa\n"}},
		{"torn line, full", Options{MaxSize: 9}, "torn", [][]string{{"aaaa"}}, []string{"aaaa\n", "torn"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			if tt.before != "" {
				writeFile(t, path, tt.before)
			}
			s := mustOpen(t, path, tt.opt)
			for _, bodies := range tt.batches {
				mustSend(t, s, bodies...)
			}
			wantFiles(t, path, tt.want...)
		})
	}
}

func TestRotationClosesGapsAndLeavesOthersAlone(t *testing.T) {
	path := logPath(t)
	writeFile(t, path, "now\n")
	for _, n := range []int{1, 3, 9} {
		writeFile(t, numbered(path, n), strconv.Itoa(n)+"\n")
	}
	writeFile(t, path+".1.gz", "packed")
	mustSend(t, mustOpen(t, path, Options{MaxSize: 1, MaxFiles: 4}), "a", "b", "c")
	wantFiles(t, path, "c\n", "b\n", "a\n", "now\n", "1\n") // the file 3 was the oldest
	wantFile(t, numbered(path, 9), "9\n")                   // beyond MaxFiles
	wantFile(t, path+".1.gz", "packed")
}

func TestRotationThroughLink(t *testing.T) {
	folder := t.TempDir()
	target, path := filepath.Join(folder, "target"), filepath.Join(folder, "link")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	mustSend(t, mustOpen(t, path, Options{MaxSize: 1}), "a", "b")
	wantFiles(t, target, "b\n", "a\n")
	wantNoFile(t, numbered(path, 1))
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("link is gone: %v, %v", info, err)
	}
}

func TestRotatedFileIsSyncedFirst(t *testing.T) {
	path := logPath(t)
	var x faults
	s := mustOpenOn(t, path, Options{MaxSize: 1}, x.disk())
	calls := 0
	x.sync = func() error {
		if calls++; calls == 3 {
			return syscall.EIO
		}
		return nil
	}
	n, err := s.Send(t.Context(), records("a", "b", "c", "d"))
	if n != 2 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Send = %d, %v; want the 2 whose files were synced, %v", n, err, syscall.EIO)
	}
	mustSend(t, s, "c", "d")
	wantFiles(t, path, "d\n", "c\n", "c\n", "b\n", "a\n")
}

// stuckPath makes a path that cannot be rotated: path.1, the only number
// allowed, is a folder that is not empty.
func stuckPath(t *testing.T) (path, obstacle string) {
	t.Helper()
	path = logPath(t)
	obstacle = filepath.Join(numbered(path, 1), "obstacle")
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	return path, obstacle
}

func TestRotationThatFailsLosesNothing(t *testing.T) {
	path, obstacle := stuckPath(t)
	logger, count := logTo(t)
	var x faults
	s := mustOpenOn(t, path, Options{MaxSize: 2, MaxFiles: 1, Log: logger}, x.disk())
	mustSend(t, s, "a", "b", "c")
	mustSend(t, s, "d")
	wantFile(t, path, "a\nb\nc\nd\n")
	if got := count("cannot be rotated"); got != 1 {
		t.Errorf("failure logged %d times, want once", got)
	}
	if x.writes != 3 { // a; then the cap is lifted: b and c; d
		t.Errorf("%d writes, want 3", x.writes)
	}
	if err := os.RemoveAll(filepath.Dir(obstacle)); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "e")
	wantFiles(t, path, "e\n", "a\nb\nc\nd\n")
	mustSend(t, s, "f")
	wantFiles(t, path, "f\n", "e\n")
	if got := count("rotated again"); got != 1 {
		t.Errorf("recovery logged %d times, want once", got)
	}
}

func TestOpenFailsAfterRename(t *testing.T) {
	path := logPath(t)
	var x faults
	s := mustOpenOn(t, path, Options{MaxSize: 2}, x.disk())
	x.open = once(syscall.EMFILE)
	n, err := s.Send(t.Context(), records("a", "b"))
	if n != 1 || !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("Send = %d, %v; want 1, %v", n, err, syscall.EMFILE)
	}
	mustSend(t, s, "b")
	wantFiles(t, path, "b\n", "a\n")
}

func TestDescriptorIsNotRotated(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	folder := t.TempDir()
	target := filepath.Join(folder, "redirected")
	f, err := os.Create(target)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path := filepath.Join(folder, "link") // as images have /var/log/x -> /dev/stdout
	if err := os.Symlink("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), path); err != nil {
		t.Fatal(err)
	}
	logger, count := logTo(t)
	s := mustOpen(t, path, Options{MaxSize: 1, Log: logger})
	mustSend(t, s, "a", "b")
	mustSend(t, s, "c")
	wantFiles(t, target, "a\nb\nc\n")
	if got := count("cannot be rotated"); got != 1 {
		t.Errorf("logged %d times, want once", got)
	}
	if err := os.Remove(target); err != nil { // still open, without a name
		t.Fatal(err)
	}
	mustSend(t, mustOpen(t, path, Options{}), "d")
}

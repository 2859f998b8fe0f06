package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// body is the body of record n, long enough to be an ID.
func body(n int) string { return fmt.Sprintf("record-%012d", n) }

func bodies(from, to int) []string {
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, body(n))
	}
	return all
}

// lines is what a file holds that has the records from up to to.
func lines(from, to int) string {
	return strings.Join(append(bodies(from, to), ""), "\n")
}

func TestRecordsThatComeAgain(t *testing.T) {
	torn := func(n int) string { return body(n)[:9] }
	tests := []struct {
		name   string
		before []string // path, path.1, ...; "-": no such file
		from   int      // the first record sent
		to     int
		size   int      // of each batch
		want   []string // path, path.1, ...
	}{
		{"none", []string{lines(1, 3)}, 4, 5, 9, []string{lines(1, 5)}},
		{"all", []string{lines(1, 3)}, 1, 3, 9, []string{lines(1, 3)}},
		{"the last", []string{lines(1, 3)}, 3, 3, 9, []string{lines(1, 3)}},
		{"all, and new ones", []string{lines(1, 3)}, 1, 5, 9, []string{lines(1, 5)}},
		{"some, and new ones", []string{lines(1, 3)}, 3, 5, 9, []string{lines(1, 5)}},
		{"over several batches", []string{lines(1, 1000)}, 3, 1200, 90, []string{lines(1, 1200)}},
		{"one by one", []string{lines(1, 5)}, 2, 7, 1, []string{lines(1, 7)}},
		{"others between", []string{body(1) + "\nother\n" + lines(2, 2) + "other\n"}, 1, 3, 2, []string{body(1) + "\nother\n" + lines(2, 2) + "other\n" + body(3) + "\n"}},
		{"one is missing", []string{lines(1, 2) + lines(4, 5)}, 1, 6, 4, []string{lines(1, 2) + lines(4, 5) + lines(3, 6)}},
		{"the first is missing", []string{lines(2, 3)}, 1, 3, 9, []string{lines(2, 3) + lines(1, 3)}},
		{"twice there", []string{lines(1, 3) + lines(1, 3)}, 1, 4, 3, []string{lines(1, 3) + lines(1, 4)}},
		{"wrong order", []string{lines(2, 2) + lines(1, 1)}, 1, 2, 1, []string{lines(2, 2) + lines(1, 2)}},

		{"torn", []string{lines(1, 2) + torn(3)}, 1, 4, 9, []string{lines(1, 4)}},
		{"torn, first of its batch", []string{lines(1, 2) + torn(3)}, 1, 4, 2, []string{lines(1, 4)}},
		{"torn, no others come again", []string{lines(1, 2) + torn(3)}, 3, 3, 1, []string{lines(1, 3)}},
		{"only a torn one", []string{torn(1)}, 1, 2, 9, []string{lines(1, 2)}},
		{"only its line end is missing", []string{lines(1, 2) + body(3)}, 1, 4, 2, []string{lines(1, 4)}},
		{"torn, other", []string{lines(1, 2) + "oth"}, 1, 3, 9, []string{lines(1, 2) + "oth\n" + body(3) + "\n"}},
		{"torn, longer than the record", []string{body(1) + "x"}, 1, 1, 1, []string{body(1) + "x\n" + lines(1, 1)}},
		{"torn, but set apart", []string{lines(1, 2) + torn(3) + "\n"}, 1, 3, 9, []string{lines(1, 2) + torn(3) + "\n" + lines(3, 3)}},

		{"moved to path.1", []string{"", lines(1, 3)}, 2, 4, 9, []string{lines(4, 4), lines(1, 3)}},
		{"in several files", []string{lines(5, 5), lines(3, 4), lines(1, 2)}, 2, 6, 2, []string{lines(5, 6), lines(3, 4), lines(1, 2)}},
		{"in several, torn", []string{lines(5, 5) + torn(6), lines(3, 4), lines(1, 2)}, 1, 7, 3, []string{lines(5, 7), lines(3, 4), lines(1, 2)}},
		{"in several, one torn", []string{lines(4, 4), lines(1, 2) + torn(3)}, 2, 4, 9, []string{lines(4, 4) + lines(3, 4), lines(1, 2) + torn(3)}},
		{"a crash in mid-rotation", []string{lines(4, 4), "-", lines(1, 3)}, 2, 5, 9, []string{lines(4, 5), "-", lines(1, 3)}},
		{"two are missing", []string{lines(4, 4), "-", "-", lines(1, 3)}, 3, 4, 9, []string{lines(4, 4) + lines(3, 4), "-", "-", lines(1, 3)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := logPath(t)
			name := func(n int) string {
				if n == 0 {
					return path
				}
				return numbered(path, n)
			}
			for n, content := range tt.before {
				if content != "-" {
					writeFile(t, name(n), content)
				}
			}
			s := mustOpen(t, path, Options{})
			for n := tt.from; n <= tt.to; n += tt.size {
				mustSend(t, s, bodies(n, min(n+tt.size-1, tt.to))...)
			}
			for n, content := range tt.want {
				if content != "-" {
					wantFile(t, name(n), content)
				}
			}
		})
	}
}

func TestWhatStandsThereIsSyncedNotWritten(t *testing.T) {
	path := logPath(t)
	writeFile(t, path, lines(1, 3))
	var x faults
	s := mustOpenOn(t, path, Options{}, x.disk())
	mustSend(t, s, bodies(2, 3)...)
	if x.writes != 0 || x.synced != 1 {
		t.Errorf("%d writes, %d syncs; want 0 and 1", x.writes, x.synced)
	}
	mustSend(t, s, bodies(4, 4)...)
	if s.past != nil {
		t.Error("the lines are still held after a new record")
	}
}

func TestSyncOfWhatStandsThereFails(t *testing.T) {
	path := logPath(t)
	writeFile(t, path, lines(1, 2)+"record")
	x := faults{sync: once(syscall.EIO)}
	s := mustOpenOn(t, path, Options{}, x.disk())
	if n, err := s.Send(t.Context(), records(bodies(1, 3)...)); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Send = %d, %v; want 0, %v", n, err, syscall.EIO)
	}
	mustSend(t, s, bodies(1, 3)...)
	wantFile(t, path, lines(1, 2)+"record\n"+lines(1, 3)) // what the kernel shows is not believed
}

func TestSyncFailsAfterWhatStandsThere(t *testing.T) {
	path := logPath(t)
	writeFile(t, path, lines(1, 3))
	var x faults
	s := mustOpenOn(t, path, Options{}, x.disk())
	mustSend(t, s, bodies(1, 1)...)
	x.sync = once(syscall.EIO)
	if n, err := s.Send(t.Context(), records(bodies(2, 5)...)); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Send = %d, %v; want 2, %v", n, err, syscall.EIO)
	}
	mustSend(t, s, bodies(4, 5)...)
	wantFile(t, path, lines(1, 5)+lines(4, 5))
}

func TestLooksBackOnce(t *testing.T) {
	path := logPath(t)
	writeFile(t, path, lines(1, 2))
	s := mustOpen(t, path, Options{})
	mustSend(t, s, body(3))
	mustSend(t, s, bodies(1, 3)...) // whoever sends it again now wants it again
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, body(3))
	wantFile(t, path, lines(1, 3)+lines(1, 3)+lines(3, 3))
}

func TestEqualLinesAreNotTheSameRecord(t *testing.T) {
	for _, tt := range []struct{ name, id, body string }{
		{"other ID", "019aa0e2-0000-7000-8000-000000000001", "13:39:50 success mcp_tool_call"},
		{"no ID", "", "13:39:50 success mcp_tool_call"},
		{"short ID, there by chance", "50", "13:39:50 success mcp_tool_call"},
	} {
		path := logPath(t)
		writeFile(t, path, strings.Repeat(tt.body+"\n", 2))
		batch := records(tt.body)
		batch[0].ID = tt.id
		if n, err := mustOpen(t, path, Options{}).Send(t.Context(), batch); n != 1 || err != nil {
			t.Fatalf("%s: Send = %d, %v", tt.name, n, err)
		}
		wantFile(t, path, strings.Repeat(tt.body+"\n", 3))
	}
}

func TestLookBackIsBounded(t *testing.T) {
	const size = 1 << 10
	long := func(n int) string { return body(n) + strings.Repeat("x", size-1-len(body(n))) }
	content := func(from, to int) string {
		var b strings.Builder
		for n := from; n < to; n++ {
			b.WriteString(long(n) + "\n")
		}
		return b.String()
	}
	const count = lookBack/size + 100
	path := logPath(t)
	writeFile(t, numbered(path, 2), content(0, 100)) // too far back
	writeFile(t, numbered(path, 1), content(100, 200))
	writeFile(t, path, content(200, count))

	s := mustOpen(t, path, Options{})
	for n := 100; n < count; n++ {
		mustSend(t, s, long(n))
	}
	wantFile(t, path, content(200, count))
	mustSend(t, mustOpen(t, path, Options{}), long(99))
	wantFile(t, path, content(200, count)+content(99, 100))
}

func TestLookBackBeginsWithWholeLine(t *testing.T) {
	path := logPath(t)
	last := strings.Repeat("x", lookBack-len(lines(1, 1))-1) + "\n"
	writeFile(t, path, "other"+lines(1, 1)+last)
	mustSend(t, mustOpen(t, path, Options{}), body(1))
	wantFile(t, path, "other"+lines(1, 1)+last+lines(1, 1))
}

func TestTornLineIsTooLong(t *testing.T) {
	path := logPath(t)
	torn := strings.Repeat("x", lookBack+1)
	writeFile(t, path, torn)
	mustSend(t, mustOpen(t, path, Options{}), torn+"x")
	wantFile(t, path, torn+"\n"+torn+"x\n")
}

func TestTornLineIsFinishedInItsFile(t *testing.T) {
	for _, missing := range []int{1, 10, len(body(2))} {
		path := logPath(t)
		all := lines(1, 2)
		writeFile(t, path, all[:len(all)-missing])
		s := mustOpen(t, path, Options{MaxSize: int64(len(all))})
		mustSend(t, s, bodies(1, 3)...)
		wantFiles(t, path, lines(3, 3), all)
	}
}

func TestFinishingFails(t *testing.T) {
	cut := func(int64) error { return errors.New("truncate: input/output error") }
	for _, tt := range []struct {
		name     string
		truncate func(int64) error
		right    string
	}{
		{"cut back", nil, body(1)[:9]},
		{"left", cut, body(1)[:14]},
	} {
		path := logPath(t)
		writeFile(t, path, body(1)[:9])
		x := faults{write: cutAfter(5, syscall.ENOSPC), truncate: tt.truncate}
		s := mustOpenOn(t, path, Options{}, x.disk())
		if n, err := s.Send(t.Context(), records(bodies(1, 2)...)); n != 0 || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: Send = %d, %v; want 0, %v", tt.name, n, err, syscall.ENOSPC)
		}
		wantFile(t, path, tt.right)
		mustSend(t, s, bodies(1, 2)...)
		wantFile(t, path, lines(1, 2))
	}
}

// A torn line that is still there after an error is finished, unless it was part
// of what could not be synced.
func TestTornLineAfterError(t *testing.T) {
	for _, tt := range []struct {
		name string
		sync func() error
		want string
	}{
		{"synced", nil, "one\ntwo\n"},
		{"not synced", once(syscall.EIO), "one\ntw\none\ntwo\n"},
	} {
		path := logPath(t)
		x := faults{
			write:    cutAfter(6, syscall.EIO),
			truncate: func(int64) error { return syscall.EIO },
			sync:     tt.sync,
		}
		s := mustOpenOn(t, path, Options{}, x.disk())
		n, err := s.Send(t.Context(), records("one", "two"))
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: Send = %d, %v; want %v", tt.name, n, err, syscall.EIO)
		}
		mustSend(t, s, []string{"one", "two"}[n:]...)
		wantFile(t, path, tt.want)
		appendFile(t, path, "thr")
		mustSend(t, s, "three")
		wantFile(t, path, tt.want+"three\n")
	}
}

func TestAnotherProcessAppendsToTheTornLine(t *testing.T) {
	path := logPath(t)
	writeFile(t, path, body(1)[:9])
	var x faults
	x.write = func(p []byte) (int, error) {
		if x.writes == 1 {
			appendFile(t, path, "other\n")
		}
		return len(p), nil
	}
	s := mustOpenOn(t, path, Options{}, x.disk())
	if n, err := s.Send(t.Context(), records(bodies(1, 2)...)); n != 0 || !errors.Is(err, errBetween) {
		t.Fatalf("Send = %d, %v; want 0, %v", n, err, errBetween)
	}
	mustSend(t, s, bodies(1, 2)...)
	wantFile(t, path, body(1)[:9]+"other\n"+body(1)[9:]+"\n"+lines(2, 2)+lines(1, 2))
}

func TestLooksBackThroughLink(t *testing.T) {
	folder := t.TempDir()
	target, path := filepath.Join(folder, "target"), filepath.Join(folder, "link")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	writeFile(t, numbered(target, 1), lines(1, 2))
	writeFile(t, target, lines(3, 3))
	mustSend(t, mustOpen(t, path, Options{}), bodies(2, 4)...)
	wantFile(t, target, lines(3, 4))
}

func TestNumberedFileCannotBeSynced(t *testing.T) {
	path := logPath(t)
	writeFile(t, numbered(path, 1), lines(1, 2))
	writeFile(t, path, lines(3, 3))
	d := systemDisk()
	d.syncFile = func(*os.File) error { return syscall.EIO }
	mustSend(t, mustOpenOn(t, path, Options{}, d), bodies(1, 3)...)
	wantFile(t, path, lines(3, 3)+lines(1, 3))
}

func TestNumberedFileIsNoFile(t *testing.T) {
	path := logPath(t)
	writeFile(t, path, lines(2, 2))
	if err := os.Mkdir(numbered(path, 1), 0o700); err != nil {
		t.Fatal(err)
	}
	mustSend(t, mustOpen(t, path, Options{}), bodies(2, 3)...)
	wantFile(t, path, lines(2, 3))
}

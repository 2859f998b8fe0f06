package integration

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// What takes the power from an ext4 (linux/fs.h, fs/ext4/ext4.h): nothing more
// is written to the device, not even the journal that is in memory.
const (
	fsIocShutdown  = 0x8004587d // _IOR('X', 125, __u32)
	goingNoLogSync = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// loopDisk is an ext4 in a file.
type loopDisk struct {
	image string
	dir   string // where it is mounted
}

// newLoopDisk makes a disk that can lose its power. That needs root and loop
// devices: elsewhere the test is skipped, except in CI, where it must not be.
func newLoopDisk(t *testing.T) *loopDisk {
	t.Helper()
	root := t.TempDir()
	d := &loopDisk{image: filepath.Join(root, "image"), dir: filepath.Join(root, "disk")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(256 << 20); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"mkfs.ext4 -q -F " + d.image, "mount -o loop " + d.image + " " + d.dir} {
		args := strings.Fields(command)
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		t.Skipf("%s: %v\n%s", command, err, out)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) }) // it is not there if a mount failed
	return d
}

// loseWhile takes the power while the writer is at work, after it has stored n
// times, and gives it back. The writer is dead then. It returns what was
// acknowledged before: unlike a machine without power, this one lives on, and a
// sync that waits for the journal at that moment may be told that all is well.
func (d *loopDisk) loseWhile(t *testing.T, writer *process, s *said, n int) (acked map[uint64]string, when time.Time) {
	t.Helper()
	s.waitFor(t, writer, n)
	f, err := os.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	flags := uint32(goingNoLogSync)
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	acked = maps.Clone(s.acked)
	s.mu.Unlock()
	when = time.Now()
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) { errno = shutdown(fd, &flags) })
	if err != nil || errno != 0 {
		t.Fatalf("take the power: %v %v", err, errno)
	}
	f.Close()
	_ = writer.cmd.Process.Kill() // it may have ended by itself
	<-writer.ended
	until(t, "the disk is not in use", func() bool { // who looks through all folders of the machine is soon gone
		err := syscall.Unmount(d.dir, 0)
		if err != nil && !errors.Is(err, syscall.EBUSY) {
			t.Fatal(err)
		}
		return err == nil
	})
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	return acked, when
}

func shutdown(fd uintptr, flags *uint32) syscall.Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, fsIocShutdown, uintptr(unsafe.Pointer(flags)))
	return errno
}

// TestPowerLoss takes the power from the disk below a spool, again and again:
// what was acknowledged is there.
func TestPowerLoss(t *testing.T) {
	d := newLoopDisk(t)
	dir := filepath.Join(d.dir, "spool")
	acked := map[uint64]string{}
	var there map[uint64]string
	for range 8 {
		writer, s := startSpoolChild(t, nil, writeDurable, dir, 0)
		before, _ := d.loseWhile(t, writer, s, 1+rand.IntN(2000))
		for seq, name := range before {
			if was, ok := acked[seq]; ok {
				t.Errorf("seq %d was %s and is given to %s", seq, was, name)
			}
			acked[seq] = name
		}
		there = readSpool(t, dir)
		if lost := missing(acked, there); len(lost) > 0 {
			t.Fatalf("%d of %d acknowledged records are lost: %.10v", len(lost), len(acked), lost)
		}
	}
	t.Logf("%d records acknowledged, %d there", len(acked), len(there))
	goesOn(t, dir, there)
}

// TestPowerLossPlain is the proof that this disk loses what is not synced, unless
// the system happens to write it just then.
func TestPowerLossPlain(t *testing.T) {
	d := newLoopDisk(t)
	for i := range 5 {
		if d.loses(t, filepath.Join(d.dir, fmt.Sprint("lines-", i))) {
			return
		}
	}
	t.Error("nothing is lost without a sync: the tests of this file prove nothing")
}

// loses reports whether lines are lost that were written to file.
func (d *loopDisk) loses(t *testing.T, file string) bool {
	t.Helper()
	writer, s := startSpoolChild(t, nil, writePlain, file, 0)
	acked, _ := d.loseWhile(t, writer, s, 2000)
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	there := map[uint64]string{}
	for line := range strings.Lines(string(b)) {
		there[uint64(len(there)+1)] = line
	}
	lost := missing(acked, there)
	t.Logf("%d of %d lines are lost", len(lost), len(acked))
	return len(lost) > 0
}

// TestPowerLossAsync loses what Async may lose, and no more. A group that is
// being synced may be lost besides the one that gathers. After what time it is
// synced, a disk and a machine that are busy do not show: TestAsyncDelay of the
// spool does.
func TestPowerLossAsync(t *testing.T) {
	d := newLoopDisk(t)
	const record, most = 60, spool.AsyncBytes + 60 + maxFewPayload + 100
	for _, c := range []struct {
		what string
		n    int
	}{
		{what: writeAsync, n: 20_000},
		{what: writeSlowly, n: 1000},
	} {
		dir := filepath.Join(d.dir, c.what)
		writer, s := startSpoolChild(t, nil, c.what, dir, 0)
		acked, when := d.loseWhile(t, writer, s, c.n)
		there := readSpool(t, dir)
		lost := missing(acked, there)
		size, oldest := 0, time.Duration(0)
		for _, seq := range lost {
			made, n := parseName(t, acked[seq])
			size += record + n
			oldest = max(oldest, when.Sub(made))
		}
		t.Logf("%s: %d of %d records are lost, %d bytes, the oldest was made %s before", c.what, len(lost), len(acked), size, oldest)
		if size > 2*most {
			t.Errorf("%s: %d bytes are lost, at most %d may be", c.what, size, 2*most)
		}
		goesOn(t, dir, there)
	}
}

// parseName returns when the payload of that name was made, and its size.
func parseName(t *testing.T, name string) (made time.Time, size int) {
	t.Helper()
	var writer, i int
	var ns int64
	if _, err := fmt.Sscanf(name, "%d/%d/%d/%d", &writer, &i, &ns, &size); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	return time.Unix(0, ns), len(name) + 1 + size
}

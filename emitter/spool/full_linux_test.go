package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mount mounts something on a folder, for the time of the test. It needs root:
// elsewhere the test is skipped, except in CI, where it must not be.
func mount(t *testing.T, source, folder, kind string, flags uintptr, options string) (unmount func()) {
	t.Helper()
	if err := syscall.Mount(source, folder, kind, flags, options); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		mounted = false
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(unmount)
	return unmount
}

// smallDisk is a file system of 2 MiB with half of that taken by the file that
// free removes.
func smallDisk(t *testing.T) (dir string, free func()) {
	t.Helper()
	root := t.TempDir()
	mount(t, "tmpfs", root, "tmpfs", 0, "size=2m")
	ballast := filepath.Join(root, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "spool"), func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

// diskTest is a spool on a disk that fails, and what it has acknowledged.
type diskTest struct {
	*testing.T
	dir   string
	opt   Options
	s     *Spool
	acked []entry
	tries int
}

func newDiskTest(t *testing.T, dir string, opt Options) *diskTest {
	opt.segmentSize = 128 << 10
	return &diskTest{T: t, dir: dir, opt: opt, s: mustOpen(t, dir, opt)}
}

// try appends one payload of about 5,000 bytes.
func (d *diskTest) try(p Priority) error {
	d.tries++
	payload := fmt.Sprint(d.tries, strings.Repeat(" x", 2500))
	seq, err := d.s.Append(d.Context(), p, []byte(payload))
	if err == nil {
		d.acked = append(d.acked, entry{seq, payload})
	}
	return err
}

// fill appends until that fails.
func (d *diskTest) fill() error {
	d.Helper()
	for range 10_000 {
		if err := d.try(Ordinary); err != nil {
			return err
		}
	}
	d.Fatal("it is never full")
	return nil
}

// refused fails unless err is like want and Ready says so too.
func (d *diskTest) refused(p Priority, err error, want ...error) {
	d.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			d.Fatalf("Append = %v; want %v", err, w)
		}
	}
	if ready := d.s.Ready(p); !errors.Is(ready, want[0]) {
		d.Errorf("Ready = %v; want %v", ready, want[0])
	}
}

// close closes the spool and compares what is there with what it acknowledged; n
// payloads are lost, for that cause, and told. It opens the spool once more.
func (d *diskTest) close(n uint64, c Cause) {
	d.Helper()
	dropped := d.s.Stats().Dropped
	if err := d.s.Close(); err != nil {
		d.Error(err)
	}
	st := readStory(d.T, d.dir)
	if diff := cmp.Diff(d.acked, st.Events); diff != "" {
		d.Errorf("what is there is not what was acknowledged (-want +got):\n%.2000s", diff)
	}
	if got := st.lost(c); got != st.Missing || got < n || dropped != n {
		d.Errorf("%d lost by the gap records, %d seqs are missing, %d lost by the stats, want %d: %+v", got, st.Missing, dropped, n, st.Gaps)
	}
	d.s = mustOpen(d.T, d.dir, d.opt)
	if err := d.try(Ordinary); err != nil {
		d.Error(err)
	}
	if stats := d.s.Stats(); stats.Damaged+stats.TornTails+stats.Dropped > 0 {
		d.Errorf("after opening it again: %+v", stats)
	}
	if diff := cmp.Diff(d.acked, readStory(d.T, d.dir).Events); diff != "" {
		d.Errorf("opened again (-want +got):\n%.2000s", diff)
	}
}

func TestFullDisk(t *testing.T) {
	for name, heal := range map[string]func(*diskTest) error{
		"append": func(d *diskTest) error { return d.try(Ordinary) },
		"ready":  func(d *diskTest) error { return d.s.Ready(Ordinary) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, free := smallDisk(t)
			synctest.Test(t, func(t *testing.T) {
				d := newDiskTest(t, dir, Options{MaxSize: 64 << 20})
				d.refused(Ordinary, d.fill(), ErrFull, syscall.ENOSPC)
				d.refused(Preferred, d.try(Preferred), ErrFull)
				if st := d.s.Stats(); !errors.Is(st.Fault, ErrFull) || len(d.acked) < 100 {
					t.Errorf("fault %v after %d records", st.Fault, len(d.acked))
				}
				time.Sleep(retryAfter)
				d.refused(Ordinary, d.try(Ordinary), ErrFull, syscall.ENOSPC) // tried, and still full
				free()
				d.refused(Ordinary, d.try(Ordinary), ErrFull) // not tried yet
				time.Sleep(retryAfter)
				if err := heal(d); err != nil {
					t.Fatalf("with room again: %v", err)
				}
				if err := errors.Join(d.s.Ready(Ordinary), d.s.Stats().Fault, d.try(Ordinary)); err != nil {
					t.Error(err)
				}
				d.close(4, CauseFull)
			})
		})
	}
}

// TestReadyOnFullDisk has room for a gap record, and for no event.
func TestReadyOnFullDisk(t *testing.T) {
	dir, _ := smallDisk(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDiskTest(t, dir, Options{MaxSize: 64 << 20})
		d.refused(Ordinary, d.fill(), ErrFull, syscall.ENOSPC)
		for range 5 {
			time.Sleep(retryAfter)
			if err := d.s.Ready(Ordinary); !errors.Is(err, ErrFull) {
				t.Errorf("Ready = %v; want %v", err, ErrFull)
			}
			d.refused(Ordinary, d.try(Ordinary), ErrFull)
		}
	})
}

// TestFullDiskConfirm has a disk that others fill: what is confirmed goes all the
// same, and makes room.
func TestFullDiskConfirm(t *testing.T) {
	dir, _ := smallDisk(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDiskTest(t, dir, Options{MaxSize: 64 << 20})
		c := mustCursor(t, d.s, "late")
		d.refused(Ordinary, d.fill(), ErrFull, syscall.ENOSPC)
		fillUp(t, filepath.Join(filepath.Dir(dir), "others"))
		read := drain(t, c, 1000)
		c.Confirm(read[len(read)-1].Seq)
		if st := d.s.Stats(); st.Segments > 1 || st.MarkErrors > 0 {
			t.Errorf("all is confirmed, and %d segments are kept; %d marks cannot be saved", st.Segments, st.MarkErrors)
		}
		time.Sleep(retryAfter)
		if err := d.try(Ordinary); err != nil {
			t.Error(err)
		}
	})
}

// fillUp writes a file until the disk has no byte left.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 512)); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMinFree(t *testing.T) {
	dir, free := smallDisk(t)
	const floor = 300 << 10
	synctest.Test(t, func(t *testing.T) {
		d := newDiskTest(t, dir, Options{MaxSize: 64 << 20, MinFree: floor})
		err := d.fill()
		d.refused(Ordinary, err, ErrFull)
		if left, _ := freeSpace(dir); errors.Is(err, syscall.ENOSPC) || left < floor || left > floor+8<<10 {
			t.Errorf("with %d bytes free: %v", left, err)
		}
		free()
		time.Sleep(retryAfter)
		if err := d.s.Ready(Ordinary); err != nil {
			t.Fatal(err)
		}
		err = d.fill()
		d.refused(Preferred, err, ErrFull)
		if left, _ := freeSpace(dir); left < floor || left > floor+8<<10 {
			t.Errorf("with %d bytes free: %v", left, err)
		}
	})
}

func TestMinFreeDropOldest(t *testing.T) {
	dir, _ := smallDisk(t)
	const floor = 300 << 10
	d := newDiskTest(t, dir, Options{MaxSize: 64 << 20, MinFree: floor, Full: DropOldest})
	for range 500 {
		if err := d.try(Preferred); err != nil {
			t.Fatal(err)
		}
		if left, _ := freeSpace(dir); left < floor {
			t.Fatalf("%d bytes free", left)
		}
	}
	if err := d.s.Close(); err != nil {
		t.Error(err)
	}
	st := d.s.Stats()
	d.acked = slices.DeleteFunc(d.acked, func(e entry) bool { return e.Seq < st.First })
	log := readStory(t, dir)
	if diff := cmp.Diff(d.acked, log.Events); diff != "" {
		t.Errorf("from %d on (-want +got):\n%.2000s", st.First, diff)
	}
	if got := log.lost(CauseDropOldest); st.DroppedOldest < 100 || got > st.DroppedOldest {
		t.Errorf("%d dropped, %d of that told in what is left", st.DroppedOldest, got)
	}
}

// TestReadOnly covers the folder with itself, mounted for reading only: what is
// open stays writable, and nothing else.
func TestReadOnly(t *testing.T) {
	dir, free := smallDisk(t)
	free()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDiskTest(t, dir, Options{MaxSize: 64 << 20})
		if err := d.try(Ordinary); err != nil {
			t.Fatal(err)
		}
		writable := mount(t, dir, dir, "", syscall.MS_BIND, "")
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		d.refused(Ordinary, d.fill(), ErrBroken, syscall.EROFS)
		d.refused(Preferred, d.try(Preferred), ErrBroken)
		if _, err := Open(dir, Options{}); !errors.Is(err, syscall.EROFS) {
			t.Errorf("Open = %v; want %v", err, syscall.EROFS)
		}
		writable()
		time.Sleep(retryAfter)
		if err := errors.Join(d.s.Ready(Ordinary), d.try(Ordinary)); err != nil {
			t.Error(err)
		}
		d.close(2, CauseWrite)
	})
}

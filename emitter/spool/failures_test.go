package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// gapsIn returns the gap records behind c.
func gapsIn(t *testing.T, c *Cursor) (gaps []Gap) {
	t.Helper()
	for _, e := range drain(t, c, 100) {
		var g Gap
		if json.Unmarshal([]byte(e.Payload), &g) == nil && g.Cause != "" {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

func wantLog(t *testing.T, log *bytes.Buffer, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines in the log, want %d:\n%s", len(lines), len(want), log)
	}
	for i, w := range want {
		if !strings.Contains(lines[i], `msg="`+w) {
			t.Errorf("line %d of the log is %s, want %q", i, lines[i], w)
		}
	}
}

// TestOneFaultOfTheDisk has one write or sync fail: a fresh segment takes what
// it was about, and nothing is lost.
func TestOneFaultOfTheDisk(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		t.Run(op, func(t *testing.T) {
			var log bytes.Buffer
			d := newMemDisk(1)
			s := mustOpen(t, "/spool", Options{disk: d, Log: slog.New(slog.NewTextHandler(&log, nil))})
			c := mustCursor(t, s, "a")
			mustAppend(t, s, "before")
			failed := false
			d.failWith(func(o string, _ int) error {
				if o != op || failed {
					return nil
				}
				failed = true
				return syscall.EIO
			})
			mustAppend(t, s, "meanwhile")
			mustAppend(t, s, "after")
			st := s.Stats()
			if n := st.WriteErrors + st.SyncErrors; n != 1 || st.Dropped != 0 || st.Fault != nil || st.Segments != 2 {
				t.Errorf("stats %+v", st)
			}
			wantLog(t, &log, "a write to the spool failed; a fresh segment is tried")
			if got := drain(t, c, 10); len(got) != 3 || got[1].Payload != "meanwhile" {
				t.Errorf("read %v", got)
			}
		})
	}
}

func writesFail(err error) func(op string, n int) error {
	return func(op string, _ int) error {
		if op == "write" || op == "create" {
			return err
		}
		return nil
	}
}

// TestDiskIsOut has every write fail for a while: Append and Ready say so at
// once, and the loss is told as soon as something can be stored.
func TestDiskIsOut(t *testing.T) {
	for name, tt := range map[string]struct {
		fault error
		want  error
		cause Cause
	}{
		"broken": {syscall.EIO, ErrBroken, CauseWrite},
		"full":   {syscall.ENOSPC, ErrFull, CauseFull},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				d := newMemDisk(1)
				s := mustOpen(t, "/spool", Options{disk: d, Log: slog.New(slog.NewTextHandler(&log, nil))})
				c := mustCursor(t, s, "a")
				mustAppend(t, s, "before")
				d.failWith(writesFail(tt.fault))
				for range 3 {
					if _, err := s.Append(t.Context(), Preferred, []byte("lost")); !errors.Is(err, tt.want) {
						t.Errorf("append: %v, want %v", err, tt.want)
					}
				}
				if err := s.Ready(Preferred); !errors.Is(err, tt.want) || !errors.Is(s.Stats().Fault, tt.want) {
					t.Errorf("ready: %v, want %v", err, tt.want)
				}
				d.failWith(nil)
				time.Sleep(2 * retryAfter)
				if err := s.Ready(Preferred); err != nil {
					t.Errorf("ready once it is mended: %v", err)
				}
				mustAppend(t, s, "after")
				if st := s.Stats(); st.Dropped != 3 || st.Gaps != 1 || st.WriteErrors == 0 || st.Fault != nil {
					t.Errorf("stats %+v", st)
				}
				if gaps := gapsIn(t, c); len(gaps) != 1 || gaps[0].Count != 3 || gaps[0].Cause != tt.cause {
					t.Errorf("gaps %+v", gaps)
				}
				wantLog(t, &log, "a write to the spool failed", "the spool cannot store", "the spool stores again")
			})
		})
	}
}

// TestFreeSpace stops before the file system is full.
func TestFreeSpace(t *testing.T) {
	d := newMemDisk(1)
	s := mustOpen(t, "/spool", Options{disk: d, MinFree: 64 << 20, segmentSize: 16 << 10})
	mustAppend(t, s, "before")
	d.mu.Lock()
	d.free = 32 << 20
	d.mu.Unlock()
	var err error
	for range 100 {
		if _, err = s.Append(t.Context(), Preferred, make([]byte, 4000)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || s.Stats().Dropped != 1 {
		t.Errorf("append: %v, stats %+v", err, s.Stats())
	}
}

// TestMarkCannotBeSaved loses nothing, and says so.
func TestMarkCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk(1)
		s := mustOpen(t, "/spool", Options{disk: d})
		c := mustCursor(t, s, "a")
		mustAppend(t, s, "one")
		drain(t, c, 1)
		d.failWith(func(string, int) error { return syscall.EIO })
		c.Confirm(1)
		time.Sleep(2 * markDelay)
		d.failWith(nil)
		if st := s.Stats(); st.MarkErrors == 0 || st.Dropped != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	mustAppend(t, s, "goes on")
	if _, err := OpenLog(dir); err != nil {
		t.Errorf("reading beside it: %v", err)
	}
}

// TestDiskHangs lets those who wait for the disk leave; what they wanted to
// store may be stored, and here it is.
func TestDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &hookDisk{disk: newMemDisk(1)}
		s := mustOpen(t, "/spool", Options{disk: d})
		c := mustCursor(t, s, "a")
		mustAppend(t, s, "before")
		hung, release := make(chan struct{}), make(chan struct{})
		hang := func() {
			d.sync.Store(nil)
			close(hung)
			<-release
		}
		d.sync.Store(&hang)
		held := make(chan error, 1)
		go func() {
			_, err := s.Append(context.Background(), Ordinary, []byte("one"))
			held <- err
		}()
		<-hung
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := s.Append(ctx, Ordinary, []byte("two")); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("append beside it: %v", err)
		}
		close(release)
		if err := <-held; err != nil {
			t.Error(err)
		}
		mustAppend(t, s, "three")
		if got := drain(t, c, 10); len(got) != 4 || got[2].Payload != "two" {
			t.Errorf("read %v", got)
		}
	})
}

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// needStrace skips the test if strace cannot make system calls fail here; in CI
// that is a failure.
func needStrace(t *testing.T) {
	t.Helper()
	out, err := exec.Command("strace", "-o", os.DevNull, "-e", "trace=none", "true").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("strace: %v\n%s", err, out)
	default:
		t.Skipf("strace: %v\n%s", err, out)
	}
}

// sysCall is a system call of a spoolChild.
type sysCall struct {
	name string
	path string // of its file
	err  string // ENOSPC, say; empty: it went well
}

var (
	callLine = regexp.MustCompile(`^(\w+)\((.*)\) += (?:(\d+)|-1 (E\w+))`)
	callFD   = regexp.MustCompile(`^\d+<([^>]*)>`)
	callPath = regexp.MustCompile(`^AT_FDCWD(?:<[^>]*>)?, "([^"]*)"`)
)

// straced runs a spoolChild to its end, with faults as strace takes them.
func straced(t *testing.T, what, dir string, n int, inject ...string) (*said, []sysCall) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	before := []string{"strace", "-ff", "-y", "-o", trace, "-e", "trace=openat,pwrite64,write,fsync,fdatasync,fallocate,ftruncate"}
	for _, fault := range inject {
		before = append(before, "-e", "inject="+fault)
	}
	p, s := startSpoolChild(t, before, what, dir, n)
	p.wait(t)
	if len(s.lines) == 0 || s.lines[len(s.lines)-1] != "end" {
		t.Fatalf("the child has not come to its end:\n%s", p.output())
	}
	files, err := filepath.Glob(trace + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // one for each thread; the runtime may write from any, to wake another one
		if calls := readTrace(t, file); slices.ContainsFunc(calls, func(c sysCall) bool { return c.name == "end" }) {
			return s, calls
		}
	}
	t.Fatal("no thread has said anything")
	return nil, nil
}

func readTrace(t *testing.T, file string) (calls []sysCall) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue // a signal, the end
		}
		args := m[2]
		c := sysCall{name: m[1], err: m[4]}
		if m := callFD.FindStringSubmatch(args); m != nil {
			c.path = m[1]
		} else if m := callPath.FindStringSubmatch(args); m != nil {
			c.path = m[1]
		}
		switch {
		case c.name == "write" && strings.Contains(args, `"ok `):
			c.name = "acknowledge"
		case c.name == "write" && strings.Contains(args, `"end\n"`):
			c.name = "end"
		}
		calls = append(calls, c)
	}
	return calls
}

// checkCalls fails unless every record was written and synced, in this order and
// without an error, before it was acknowledged, and no segment was synced again
// after a sync of it had failed.
func checkCalls(t *testing.T, calls []sysCall) {
	t.Helper()
	dirty, failed := map[string]bool{}, map[string]bool{}
	synced := false
	for _, c := range calls {
		segment := strings.HasSuffix(c.path, ".seg")
		switch {
		case c.name == "acknowledge":
			if len(dirty) > 0 || !synced {
				t.Errorf("acknowledged before it was synced: %v", dirty)
			}
			synced = false
		case !segment:
		case c.name == "pwrite64" && c.err == "":
			dirty[c.path] = true
		case c.name == "fdatasync" && failed[c.path]:
			t.Errorf("%s is synced again after that has failed", c.path)
		case c.name == "fdatasync" && c.err == "":
			delete(dirty, c.path)
			synced = true
		case c.name == "fdatasync":
			failed[c.path] = true
			delete(dirty, c.path) // what it holds has to be written elsewhere
			synced = false
		}
	}
}

// fault is what happens to the system calls of a spoolChild that stores one
// record after the other.
type fault struct {
	name     string
	call     string // that fails
	file     string // on the file whose name begins so
	nth      int    // from this time on
	when     string // which of those that follow, as strace takes it
	errno    string
	what     string   // runGivenUp: it does not end
	failures []string // of Append, in their order
	writes   uint64   // Stats.WriteErrors
	syncs    uint64   // Stats.SyncErrors
}

const (
	firstSegment  = "0000000001-"
	secondSegment = "0000000002-"
)

// The first sync and the first write of a segment are its header's.
var faults = []fault{
	{name: "a sync", call: "fdatasync", file: firstSegment, nth: 4, errno: "EIO", syncs: 1},
	{
		name: "a sync and the next one", call: "fdatasync", file: firstSegment, nth: 4, when: "..+1", errno: "EIO",
		failures: []string{"broken"}, syncs: 1, writes: 1,
	},
	{
		name: "a sync and the one of the fresh segment", call: "fdatasync", file: firstSegment, nth: 4, when: "..+2+2", errno: "EIO",
		failures: []string{"broken"}, syncs: 2,
	},
	{
		name: "syncs from then on", call: "fdatasync", file: firstSegment, nth: 4, when: "+", errno: "EIO",
		what: runGivenUp, failures: []string{"broken", "broken"},
	},
	{
		name: "every sync", call: "fdatasync", nth: 1, when: "+", errno: "EIO",
		what: runGivenUp, failures: []string{"broken", "broken"},
	},
	{name: "a write", call: "pwrite64", file: firstSegment, nth: 4, errno: "EIO", writes: 1},
	{name: "a write without room", call: "pwrite64", file: firstSegment, nth: 4, errno: "ENOSPC", writes: 1},
	{
		name: "writes from then on", call: "pwrite64", file: firstSegment, nth: 4, when: "+", errno: "EIO",
		what: runGivenUp, failures: []string{"broken", "broken"},
	},
	{
		name: "no room for a segment", call: "fallocate", file: secondSegment, nth: 1, errno: "ENOSPC",
		failures: []string{"full"}, writes: 1,
	},
	{
		name: "no room for its name", call: "openat", file: secondSegment, nth: 1, errno: "ENOSPC",
		failures: []string{"full"}, writes: 1,
	},
	{
		name: "never room for a segment", call: "fallocate", file: secondSegment, nth: 1, when: "+", errno: "ENOSPC",
		what: runGivenUp, failures: []string{"full", "full"},
	},
	{
		name: "the folder's sync", call: "fsync", file: "spool", nth: 4, errno: "EIO",
		failures: []string{"broken"}, writes: 1,
	},
	{name: "the folder's sync behind the file that names the stream", call: "fsync", file: "spool", nth: 3, errno: "EIO"},
	{name: "the cut of a sealed segment", call: "ftruncate", file: firstSegment, nth: 1, errno: "EIO"},
}

// inject returns the fault as strace takes it: the calls of a run without faults
// say how often the call was made before.
func (f *fault) inject(t *testing.T, clean []sysCall) string {
	t.Helper()
	n, found := 0, 0
	for _, c := range clean {
		if c.name != f.call {
			continue
		}
		n++
		if strings.HasPrefix(filepath.Base(c.path), f.file) {
			found++
		}
		if found == f.nth {
			break
		}
	}
	if found < f.nth {
		t.Fatalf("there are %d %s of %s, want %d", found, f.call, f.file, f.nth)
	}
	when := strconv.Itoa(n) + f.when
	if last, ok := strings.CutPrefix(f.when, "..+"); ok { // so many more
		more, step, _ := strings.Cut(last, "+")
		add, _ := strconv.Atoi(more)
		when = fmt.Sprintf("%d..%d", n, n+add)
		if step != "" {
			when += "+" + step
		}
	}
	return fmt.Sprintf("%s:error=%s:when=%s", f.call, f.errno, when)
}

// scriptLength is how many records a script stores: they fill more than one
// segment.
const scriptLength = 20

// TestFaults makes system calls of the spool fail.
func TestFaults(t *testing.T) {
	needStrace(t)
	dir := filepath.Join(t.TempDir(), "spool")
	s, clean := straced(t, runScript, dir, scriptLength)
	checkCalls(t, clean)
	if len(s.acked) != scriptLength || len(s.failures) > 0 || s.stats.Segments < 2 {
		t.Fatalf("without faults: %d of %d stored, %+v\n%s", len(s.acked), scriptLength, s.stats, strings.Join(s.lines, "\n"))
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t, f.inject(t, clean))
		})
	}
}

func (f *fault) run(t *testing.T, inject string) {
	dir := filepath.Join(t.TempDir(), "spool")
	what := runScript
	if f.what != "" {
		what = f.what
	}
	s, calls := straced(t, what, dir, scriptLength, inject)
	t.Logf("%s: %d stored\n%s", inject, len(s.acked), strings.Join(s.lines, "\n"))
	checkCalls(t, calls)
	if !slices.ContainsFunc(calls, func(c sysCall) bool { return c.name == f.call && c.err == f.errno }) {
		t.Error("nothing has failed")
	}
	if f.what == runGivenUp {
		if slices.Contains(s.lines, "ready") {
			t.Error("Ready finds nothing wrong, and the next Append fails")
		}
		s.failures = s.failures[:min(2, len(s.failures))] // Close may fail too
	}
	if !slices.Equal(s.failures, f.failures) {
		t.Errorf("Appends fail with %v, want %v", s.failures, f.failures)
	}
	st := s.stats
	if st.Dropped != uint64(len(f.failures)) ||
		f.what != runGivenUp && (len(s.acked) != scriptLength || st.WriteErrors != f.writes || st.SyncErrors != f.syncs) {
		t.Errorf("%d stored of %d, %d failed; %+v", len(s.acked), scriptLength, len(f.failures), st)
	}
	there := map[uint64]string{}
	if len(s.acked) > 0 {
		there = readSpool(t, dir)
	}
	if lost := missing(s.acked, there); len(lost) > 0 {
		t.Errorf("acknowledged and not there: %v", lost)
	}
	goesOn(t, dir, there)
}

// TestSlowSync has a disk that takes its time: who waits for somebody else's
// commit can leave.
func TestSlowSync(t *testing.T) {
	needStrace(t)
	dir := filepath.Join(t.TempDir(), "spool")
	const writers = 8
	s, _ := straced(t, runWaiting, dir, writers, "fdatasync:delay_enter=200000")
	unconfirmed := 0
	for _, kind := range s.failures {
		if kind == "unconfirmed" {
			unconfirmed++
		}
	}
	if unconfirmed != len(s.failures) || unconfirmed == 0 || len(s.acked)+unconfirmed != writers+2 {
		t.Errorf("%d stored, %d unconfirmed:\n%s", len(s.acked), unconfirmed, strings.Join(s.lines, "\n"))
	}
	there := readSpool(t, dir)
	if lost := missing(s.acked, there); len(lost) > 0 {
		t.Errorf("acknowledged and not there: %v", lost)
	}
	goesOn(t, dir, there)
}

package file

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzCrashes writes records, cuts the end of the file off at any byte, as a
// process does that is killed in mid-write, or leaves a rotation half done, and
// sends again from any record at which the caller can have stood. In the end
// each record stands in the files once, in order.
func FuzzCrashes(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := crashes{t: t, rng: rand.New(rand.NewPCG(seed, 4484)), path: logPath(t)}
		if c.rng.IntN(2) == 0 {
			c.opt.MaxSize = c.rng.Int64N(600) + 1
		}
		for i := range 80 {
			c.records = append(c.records, body(i)+strings.Repeat("x", c.rng.IntN(40)))
		}
		for c.next < len(c.records) {
			c.write()
			c.check()
			c.crash()
		}
	})
}

const foreign = "another process's line"

type crashes struct {
	t       *testing.T
	rng     *rand.Rand
	opt     Options
	path    string
	records []string
	next    int // the record to be sent next
	apart   int // torn lines that nobody finishes
}

// write sends some batches to a sink of its own.
func (c *crashes) write() {
	d := systemDisk()
	d.maxWrite = 1 + c.rng.IntN(200)
	d.syncFile = func(*os.File) error { return nil }
	d.syncFolder = func(string) error { return nil }
	d.open = func(path string) (handle, error) {
		f, err := openFile(path)
		return unsynced{f}, err
	}
	s, err := open(c.path, c.opt, d)
	if err != nil {
		c.t.Fatal(err)
	}
	defer s.Close()
	for range c.rng.IntN(6) {
		left := c.records[c.next:]
		batch := left[:min(1+c.rng.IntN(20), len(left))]
		mustSend(c.t, s, batch...)
		c.next += len(batch)
	}
}

// unsynced is a file for which a sync costs nothing.
type unsynced struct{ handle }

func (unsynced) Sync() error { return nil }

// crash leaves the files as a crash can, and steps back.
func (c *crashes) crash() {
	if c.next == len(c.records) {
		return
	}
	c.next -= c.rng.IntN(min(c.next, 100) + 1)
	content, err := os.ReadFile(c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	floor := 0 // what is confirmed stays
	if c.next > 0 {
		last := c.records[c.next-1] + "\n"
		if i := strings.Index(string(content), last); i >= 0 {
			floor = i + len(last)
		}
	}
	content = content[:floor+c.rng.IntN(len(content)-floor+1)]
	torn := unfinished(content)
	if torn != nil && strings.HasPrefix(foreign, string(torn)) {
		c.apart++
	}
	if c.rng.IntN(4) == 0 {
		if torn != nil {
			content = append(content, '\n')
			c.apart++
		}
		content = append(content, foreign+"\n"...)
	}
	writeFile(c.t, c.path, string(content))
	if n := len(content); c.opt.MaxSize > 0 && n > 0 && content[n-1] == '\n' && c.rng.IntN(3) == 0 {
		c.rotateHalf()
	}
}

// rotateHalf renames as a rotation does, and stops in between.
func (c *crashes) rotateHalf() {
	s := Sink{path: c.path, opt: c.opt}
	last, err := s.lastNumber(c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	stop := c.rng.IntN(last + 1)
	for n := last; n > max(stop, 1); n-- {
		rename(c.t, numbered(c.path, n-1), numbered(c.path, n))
	}
	if stop == 0 {
		rename(c.t, c.path, numbered(c.path, 1))
	}
}

// check wants all records in their place, once. While nothing was sent after a
// crash, the files may hold more of them, and end in a torn line.
func (c *crashes) check() {
	next, odd := 0, 0
	for line := range strings.Lines(allFiles(c.t, c.path)) {
		line, whole := strings.CutSuffix(line, "\n")
		switch i := slices.Index(c.records, line); {
		case i >= 0 && whole && i != next:
			c.t.Fatalf("record %d stands where %d should:\n%s", i, next, allFiles(c.t, c.path))
		case i >= 0 && whole:
			next++
		case line != foreign:
			odd++
		}
	}
	if next < c.next {
		c.t.Fatalf("%d records were confirmed, the files hold %d", c.next, next)
	}
	if odd > c.apart+1 {
		c.t.Fatalf("%d lines that are no record, %d can be explained", odd, c.apart+1)
	}
}

// allFiles returns what path's numbered files and path hold, the oldest first,
// each beginning with a new line.
func allFiles(t *testing.T, path string) string {
	t.Helper()
	names, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string) int {
		n, err := strconv.Atoi(strings.TrimPrefix(name, path+"."))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slices.SortFunc(names, func(a, b string) int { return number(b) - number(a) })
	var all strings.Builder
	for _, name := range append(names, path) {
		content, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		all.Write(content)
		if name != path && unfinished(content) != nil {
			all.WriteByte('\n')
		}
	}
	return all.String()
}

// A process that writes is killed, again and again. It notes its position only
// now and then, so that each one sends again what the one before has written.
func TestKilled(t *testing.T) {
	const variable = "VMCP_AUDIT_TEST_KILLED"
	if path := os.Getenv(variable); path != "" {
		writeUntilKilled(t, path)
	}
	path := logPath(t)
	for range 20 {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), variable+"="+path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		calls := bufio.NewScanner(out)
		for range rand.IntN(60) {
			calls.Scan()
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed
	}
	written := strings.Count(allFiles(t, path), "\n")
	if written < 100 {
		t.Fatalf("only %d records were written", written)
	}
	mustSend(t, mustOpen(t, path, killedOptions), bodies(noted(t, path)+1, written+5)...)
	if got, want := allFiles(t, path), lines(1, written+5); got != want {
		t.Errorf("files hold %d lines, want %d; %s", strings.Count(got, "\n"), written+5, firstDifference(got, want))
	}
}

var killedOptions = Options{MaxSize: 2000}

// writeUntilKilled is the child. It says when a call of Send has returned.
func writeUntilKilled(t *testing.T, path string) {
	t.Helper()
	s := mustOpen(t, path, killedOptions)
	confirmed := noted(t, path)
	for calls := 1; ; calls++ {
		size := 1 + rand.IntN(20)
		mustSend(t, s, bodies(confirmed+1, confirmed+size)...)
		confirmed += size
		fmt.Println(confirmed)
		if calls%10 == 0 {
			position := filepath.Join(filepath.Dir(path), "position")
			writeFile(t, position+".new", strconv.Itoa(confirmed))
			rename(t, position+".new", position)
		}
	}
}

// noted returns the record up to which all are known to be confirmed.
func noted(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "position"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is %q, want %q", i+1, g[i], w[i])
		}
	}
	return "one ends early"
}

package spool

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Variables that "make soak" sets.
const (
	crashRoundsEnv = "SPOOL_CRASH_ROUNDS"
	crashSeedEnv   = "SPOOL_CRASH_SEED"
)

const (
	crashPatience = 5 * time.Minute // the longest that a round may take
	crashBudget   = 3 * time.Second // for all of them, but for the first eight, and until something is acknowledged
)

// TestKill kills a process that writes to a spool, with SIGKILL and at any
// moment, starts the next one in the same folder, and so on.
func TestKill(t *testing.T) {
	const few = 8
	rounds, least, seed := 25, few, rand.Uint64()
	if testing.Short() {
		rounds = few
	}
	if n, err := strconv.Atoi(os.Getenv(crashRoundsEnv)); err == nil {
		rounds, least = n, n
	}
	if n, err := strconv.ParseUint(os.Getenv(crashSeedEnv), 10, 64); err == nil {
		seed = n
	}
	t.Logf("%s=%d", crashSeedEnv, seed)
	start := time.Now()
	l := newCrashLog(t, t.TempDir())
	round := 0
	for ; round < least || round < rounds && (time.Since(start) < crashBudget || l.records == 0); round++ {
		l.startRound(round)
		c := &killer{crashLog: l, rng: rand.New(rand.NewPCG(seed, uint64(round)))}
		c.run(round)
		l.check()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	if l.records == 0 {
		t.Error("nothing was acknowledged")
	}
	took := time.Since(start)
	t.Logf("%d rounds, %d records acknowledged, %d torn ends, %s, %s a round",
		round, l.records, l.torn, took.Round(time.Millisecond), (took / time.Duration(round)).Round(time.Millisecond))
}

// killer is the life of one process.
type killer struct {
	*crashLog
	rng    *rand.Rand
	cmd    *exec.Cmd
	end    func() // ends the process, well or not; called
	word   string // when a line has begun so
	after  int    // so often; less than 0: a timer calls it
	stderr bytes.Buffer
}

func (k *killer) run(round int) {
	self, err := os.Executable()
	if err != nil {
		k.t.Fatal(err)
	}
	k.cmd = exec.Command(self)
	k.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", crashDirEnv+"="+k.dir, crashRoundEnv+"="+strconv.Itoa(round))
	k.cmd.Stderr = &k.stderr
	stdin, err := k.cmd.StdinPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	stdout, err := k.cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	kill := func() { _ = k.cmd.Process.Kill() }
	k.end, k.word, k.after = kill, "ack ", k.rng.IntN(800)
	if largeRound(round) {
		k.word, k.after = "write", k.rng.IntN(8)
	}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	late := time.AfterFunc(crashPatience, kill)
	switch k.rng.IntN(8) {
	case 0:
		k.end = func() { stdin.Close() }
	case 1, 2: // while it starts, perhaps
		k.after = -1
		timer := time.AfterFunc(time.Duration(k.rng.IntN(40_000))*time.Microsecond, kill)
		defer timer.Stop()
	case 3: // when it has started, and has stored little or nothing
		k.word, k.after = "open ", 1
	}
	k.listen(bufio.NewReader(stdout))
	err = k.cmd.Wait()
	if !late.Stop() {
		k.t.Fatalf("nothing was heard of it for %s", crashPatience)
	}
	if k.cmd.ProcessState.Exited() && !k.closed {
		k.t.Fatalf("it ended by itself: %v\n%s", err, k.stderr.String())
	}
}

// listen hears the process until it has ended. A line that is cut short was said
// to nobody.
func (k *killer) listen(out *bufio.Reader) {
	for n := 0; ; {
		line, err := out.ReadString('\n')
		if err != nil {
			return
		}
		k.hear(strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, k.word) {
			n++
		}
		if n == k.after {
			k.end()
			k.after = -1
		}
	}
}

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// spoolChildEnv makes the test binary a program that writes to a spool. Its
// arguments are what it does, the folder and a number; what it says goes to
// standard output, line by line:
//
//	ok SEQ PAYLOAD     Append has returned; the payload is named by its beginning
//	fail KIND MESSAGE
//	ready              Ready has no objection, after a failure
//	stats JSON
//	end
const spoolChildEnv = "SPOOL_CHILD"

// What a spoolChild does.
const (
	writeDurable = "durable" // writers at once, until it is killed
	writeAsync   = "async"   // the same, in Async mode
	writeSlowly  = "slowly"  // one small record each millisecond, in Async mode
	writePlain   = "plain"   // lines to a file, never synced
	runScript    = "script"  // so many Appends, one after the other and in one thread
	runGivenUp   = "givenup" // as script, but after two failures it is at its end
	runWaiting   = "waiting" // as many Appends at once, each with a deadline
)

func init() {
	if os.Getenv(spoolChildEnv) != "" {
		runtime.LockOSThread() // so that strace can count the calls of one thread
	}
}

type spoolChild struct {
	dir string
	n   int
	s   *spool.Spool

	mu sync.Mutex // held while a line is written
}

func runSpoolChild(args []string) int {
	n, _ := strconv.Atoi(args[2])
	c := &spoolChild{dir: args[1], n: n}
	if err := c.run(args[0]); err != nil {
		c.fail(err)
	}
	if c.s != nil {
		if err := c.s.Close(); err != nil {
			c.fail(err)
		}
		stats, _ := json.Marshal(c.s.Stats())
		c.say("stats %s", stats)
	}
	c.say("end")
	return 0
}

func (c *spoolChild) run(what string) (err error) {
	opt := spool.Options{MaxSize: 4 << 20, MinFree: -1} // so that its segments have 256 KiB
	switch what {
	case writePlain:
		return c.plain()
	case writeDurable, writeAsync, writeSlowly:
		opt.MaxSize = 200 << 20
	}
	if what == writeAsync || what == writeSlowly {
		opt.Durability = spool.Async
	}
	if c.s, err = spool.Open(c.dir, opt); err != nil {
		return err
	}
	switch what {
	case runScript:
		return c.script(0)
	case runGivenUp:
		return c.script(2)
	case runWaiting:
		return c.waiting()
	case writeSlowly:
		return c.write(1, time.Millisecond)
	default:
		return c.write(16, 0)
	}
}

func (c *spoolChild) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = os.Stdout.Write(fmt.Appendf(nil, format+"\n", args...))
}

// fail says what an error is.
func (c *spoolChild) fail(err error) {
	kind := "other"
	for name, target := range map[string]error{"full": spool.ErrFull, "broken": spool.ErrBroken, "unconfirmed": spool.ErrUnconfirmed} {
		if errors.Is(err, target) {
			kind = name
		}
	}
	c.say("fail %s %s", kind, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// childPayload begins with its name, which says who made it, when, and how long
// the rest is.
func childPayload(writer, i, size int) (name string, payload []byte) {
	name = fmt.Sprintf("%d/%d/%d/%d", writer, i, time.Now().UnixNano(), size)
	return name, append([]byte(name+" "), strings.Repeat("x", size)...)
}

// Bytes of a payload behind its name.
const (
	smallPayload  = 100
	maxFewPayload = 1600
	scriptPayload = 20_000 // a dozen in a segment
)

func (c *spoolChild) append(ctx context.Context, writer, i, size int) error {
	name, payload := childPayload(writer, i, size)
	seq, err := c.s.Append(ctx, spool.Ordinary, payload)
	if err == nil {
		c.say("ok %d %s", seq, name)
	}
	return err
}

// write appends until that fails.
func (c *spoolChild) write(writers int, pace time.Duration) error {
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := 0; ; i++ {
				if err := c.append(context.Background(), w, i, smallPayload+(w+i)*37%(maxFewPayload-smallPayload)); err != nil {
					errs <- err
					return
				}
				time.Sleep(pace)
			}
		}()
	}
	var err error
	for range writers {
		err = <-errs
	}
	return err
}

// plain is what a program does that takes no care: it writes lines.
func (c *spoolChild) plain() error {
	f, err := os.OpenFile(c.dir, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		name, payload := childPayload(0, i, smallPayload)
		if _, err := f.Write(append(payload, '\n')); err != nil {
			return err
		}
		c.say("ok %d %s", i+1, name)
	}
}

// script appends one after the other until n are stored. After a failure it
// asks Ready until that has no objection; with a limit, for as long as the spool
// takes to try again, and it gives up at so many failures.
func (c *spoolChild) script(limit int) error {
	for stored, failures := 0, 0; stored < c.n; {
		err := c.append(context.Background(), 0, stored, scriptPayload)
		if err == nil {
			stored++
			continue
		}
		c.fail(err)
		failures++
		if failures == limit {
			return nil
		}
		wait := patience
		if limit > 0 {
			wait = 1200 * time.Millisecond
		}
		for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if c.s.Ready(spool.Ordinary) == nil {
				c.say("ready")
				break
			}
		}
	}
	return nil
}

// waiting appends from n goroutines at once that do not wait for long, and then
// once more.
func (c *spoolChild) waiting() error {
	if err := c.append(context.Background(), 0, 0, smallPayload); err != nil {
		return err
	}
	var all sync.WaitGroup
	for w := range c.n {
		all.Go(func() {
			err := context.DeadlineExceeded
			for errors.Is(err, context.DeadlineExceeded) { // it was over before Append began
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				err = c.append(ctx, w+1, 0, smallPayload)
				cancel()
			}
			if err != nil {
				c.fail(err)
			}
		})
	}
	all.Wait()
	return c.append(context.Background(), 0, 1, smallPayload)
}

package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// Times for a command to end: first its input ends, then it is told, then it is
// killed.
const (
	endTimeout  = 2 * time.Second
	termTimeout = 2 * time.Second
)

// MaxCommands is how many processes one back end may have: each session that uses
// it has one, until it ends.
const MaxCommands = 100

// command is a server in a process of its own, spoken to by its input and
// output, a message a line.
type command struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	queue chan []byte
	wg    sync.WaitGroup
	once  sync.Once
}

// startCommand starts a process for one session.
func (b *Backend) startCommand(base Events) (_ *pipe, err error) {
	select {
	case b.commands <- struct{}{}:
	default:
		return nil, &NotRun{ErrFull}
	}
	defer func() {
		if err != nil {
			<-b.commands
		}
	}()
	cmd := exec.CommandContext(context.Background(), b.Command[0], b.Command[1:]...) // stop ends it
	cmd.Dir = b.Dir
	cmd.Env = append([]string{}, b.Env...) // nil would be all of ours, which may be secrets
	cmd.Stderr = &complaints{b: b}
	ownGroup(cmd)
	cmd.WaitDelay = endTimeout // for its standard error, if a child of its own holds it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, &NotRun{fmt.Errorf("start the command: %w", err)}
	}
	c := &command{cmd: cmd, in: in, queue: make(chan []byte)}
	p := newPipe(b, base)
	p.send = func(ctx context.Context, m []byte) error { return c.send(ctx, p, m) }
	p.stop = func() { c.stop(p) }
	c.wg.Go(func() { c.write(p) })
	c.wg.Go(func() {
		defer p.asks.tasks.Go(func() { c.stop(p) }) // at once, not only when somebody closes the session
		defer p.end()
		lines := wire.NewLineReader(out)
		for {
			line, err := lines.Next()
			if err != nil {
				return
			}
			if len(bytes.TrimSpace(line)) > 0 {
				p.deliver(bytes.Clone(line))
			}
		}
	})
	return p, nil
}

// send hands a message to the writer: a process that does not read must not
// hold up what has a deadline.
func (c *command) send(ctx context.Context, p *pipe, message []byte) error {
	select {
	case c.queue <- append(bytes.Clone(wire.OneLine(message)), '\n'):
		return nil
	case <-p.ctx.Done():
		return &NotRun{ErrBroken}
	case <-ctx.Done():
		return &NotRun{context.Cause(ctx)}
	}
}

func (c *command) write(p *pipe) {
	defer p.end()
	for {
		select {
		case m := <-c.queue:
			if _, err := c.in.Write(m); err != nil {
				return
			}
		case <-p.ctx.Done():
			return
		}
	}
}

// stop ends the process and waits until it has.
func (c *command) stop(p *pipe) {
	c.once.Do(func() {
		p.end()
		_ = c.in.Close()
		term := time.AfterFunc(endTimeout, func() { terminate(c.cmd) })
		kill := time.AfterFunc(endTimeout+termTimeout, func() { killGroup(c.cmd) })
		_ = c.cmd.Wait()
		term.Stop()
		kill.Stop()
		killGroup(c.cmd) // what it may have left behind
		c.wg.Wait()
		<-p.b.commands
	})
}

// complaints passes a command's standard error to the log, as detail.
type complaints struct {
	b    *Backend
	line []byte
}

const maxComplaint = 1 << 10 // bytes of a line

func (w *complaints) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '\n':
			w.b.Log.Debug("a back end says", "backend", w.b.Name, "text", string(w.line))
			w.line = w.line[:0]
		case len(w.line) < maxComplaint:
			w.line = append(w.line, c)
		}
	}
	return len(p), nil
}

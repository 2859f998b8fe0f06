package upstream

import (
	"context"
	"errors"
	"sync"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// asks are the questions of a back end that await their answer.
type asks struct {
	ctx context.Context // of the session

	mu      sync.Mutex // guards what follows
	open    map[string]context.CancelCauseFunc
	busy    int // questions that are open, or whose answer is being sent
	replies int // under way, to what nobody has to think about

	tasks tasks
}

var (
	errWithdrawn = errors.New("withdrawn by the back end")
	errTooMany   = wire.NewError(wire.CodeInternal, "too many requests are under way", nil)
)

// take has ev answer a question in a goroutine of its own, and sends the answer.
func (a *asks) take(m wire.Message, ev Events, send func([]byte)) {
	if m.Method == "ping" {
		a.reply(send, wire.AppendResult(nil, m.ID, wire.Raw("{}")))
		return
	}
	key := wire.IDKey(m.ID)
	ctx, cancel := context.WithTimeout(a.ctx, AskTimeout)
	ctx, withdraw := context.WithCancelCause(ctx)
	if !a.begin(key, withdraw) {
		withdraw(nil)
		cancel()
		a.reply(send, wire.AppendError(nil, m.ID, errTooMany))
		return
	}
	a.tasks.Go(func() {
		defer cancel()
		defer withdraw(nil)
		defer a.end()
		result, rpcErr := ev.Ask(ctx, m)
		a.answered(key)
		switch {
		case errors.Is(context.Cause(ctx), errWithdrawn):
		case rpcErr != nil:
			send(wire.AppendError(nil, m.ID, rpcErr))
		default:
			send(wire.AppendResult(nil, m.ID, result))
		}
	})
}

// begin notes a question, if there is room for it.
func (a *asks) begin(key string, withdraw context.CancelCauseFunc) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[key] != nil || a.busy >= maxAsks {
		return false
	}
	a.busy++
	if a.open == nil {
		a.open = make(map[string]context.CancelCauseFunc)
	}
	a.open[key] = withdraw
	return true
}

func (a *asks) answered(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, key)
}

func (a *asks) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy--
}

// reply sends an answer that is known. A back end that asks faster than it takes
// the answers gets no more of them.
func (a *asks) reply(send func([]byte), answer []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.replies >= maxAsks || !a.tasks.Go(func() {
		send(answer)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.replies--
	}) {
		return
	}
	a.replies++
}

// withdrawn ends the question that a notifications/cancelled names, and reports
// whether m is one: it is for us, since the client knows another id.
func (a *asks) withdrawn(m wire.Message) bool {
	if m.Method != "notifications/cancelled" {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if withdraw := a.open[wire.IDKey(wire.Get(m.Params, "requestId"))]; withdraw != nil {
		withdraw(errWithdrawn)
	}
	return true
}

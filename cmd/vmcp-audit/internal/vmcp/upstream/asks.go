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

	mu   sync.Mutex // guards open
	open map[string]context.CancelCauseFunc

	tasks tasks
}

var (
	errWithdrawn = errors.New("withdrawn by the back end")
	errTooMany   = wire.NewError(wire.CodeInternal, "too many requests are under way", nil)
)

// take has ev answer a question in a goroutine of its own, and sends the answer.
func (a *asks) take(m wire.Message, ev Events, send func([]byte)) {
	if m.Method == "ping" {
		a.tasks.Go(func() { send(wire.AppendResult(nil, m.ID, wire.Raw("{}"))) })
		return
	}
	key := wire.IDKey(m.ID)
	ctx, cancel := context.WithTimeout(a.ctx, AskTimeout)
	ctx, withdraw := context.WithCancelCause(ctx)
	a.mu.Lock()
	_, twice := a.open[key]
	full := twice || len(a.open) >= maxAsks
	if !full {
		if a.open == nil {
			a.open = make(map[string]context.CancelCauseFunc)
		}
		a.open[key] = withdraw
	}
	a.mu.Unlock()
	a.tasks.Go(func() {
		defer cancel()
		defer withdraw(nil)
		if full {
			send(wire.AppendError(nil, m.ID, errTooMany))
			return
		}
		result, rpcErr := ev.Ask(ctx, m)
		a.mu.Lock()
		delete(a.open, key)
		a.mu.Unlock()
		switch {
		case errors.Is(context.Cause(ctx), errWithdrawn):
		case rpcErr != nil:
			send(wire.AppendError(nil, m.ID, rpcErr))
		default:
			send(wire.AppendResult(nil, m.ID, result))
		}
	})
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

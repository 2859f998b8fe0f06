package inspect

import (
	"context"
	"errors"
	"io/fs"

	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Walk calls record for each record of the spool in dir behind p, which it moves
// along, and odd for what does not verify or was removed before it could be read:
// a [*spool.DamageError] or [*spool.RemovedError]. An error of record ends it and is
// returned; others are ctx's and those of reading. The payload of a record is
// valid until record returns.
func Walk(ctx context.Context, dir string, p *spool.Position, record func(*spool.Log, spool.Record) error, odd func(error)) error {
	for {
		l, err := spool.OpenLog(dir)
		if err != nil {
			return err
		}
		again, err := walk(ctx, l, p, record, odd)
		if !again {
			return err
		}
	}
}

// walk goes through what the log has now. again says that a segment was removed
// before it could be read, which is not in the next list any more.
func walk(ctx context.Context, l *spool.Log, p *spool.Position, record func(*spool.Log, spool.Record) error, odd func(error)) (again bool, err error) {
	for rec, err := range l.After(p) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		_, damaged := errors.AsType[*spool.DamageError](err)
		_, removed := errors.AsType[*spool.RemovedError](err)
		switch {
		case damaged || removed:
			odd(err)
		case err != nil:
			return errors.Is(err, fs.ErrNotExist), err
		default:
			if err := record(l, rec); err != nil {
				return false, err
			}
		}
	}
	return false, ctx.Err()
}

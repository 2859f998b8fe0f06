package ship

import (
	"context"
)

// runStdin reads standard input to its end. It stores what there is before it
// waits for more. When ctx ends a read may go on behind its back until the
// process ends.
func (s *Shipper) runStdin(ctx context.Context) error {
	var split splitter
	reads := make(chan error, 1)
	for {
		go func() { _, err := split.fill(s.opt.Stdin); reads <- err }()
		var end error
		select {
		case end = <-reads:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.takeStdin(ctx, &split, isEnd(end)); err != nil {
			return err
		}
		if isEnd(end) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

func (s *Shipper) takeStdin(ctx context.Context, split *splitter, last bool) error {
	for {
		before := split.off
		b := s.newBatch(Stdin)
		for !b.full() {
			p, ok := split.next()
			if !ok {
				break
			}
			b.add(p)
		}
		if last && split.off == before {
			if p, ok := split.rest(); ok {
				b.addLast(p)
			}
		}
		if split.off == before {
			return nil
		}
		s.bytes.Add(uint64(split.off - before))
		if err := s.store(ctx, b, nil); err != nil {
			return err
		}
	}
}

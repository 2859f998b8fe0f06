package sinktest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// harness is one check's delivery loop: the records that it has, and what is
// known of them.
type harness struct {
	t testing.TB
	f Fixture

	bodies    [][]byte // of all records, in order
	confirmed int      // records, from the first on
}

func (h *harness) body(text string) []byte {
	if h.f.Body == nil {
		return []byte(text)
	}
	return h.f.Body(text)
}

// add makes n more records and returns where they begin and end.
func (h *harness) add(n int) (from, to int) {
	from = len(h.bodies)
	for range n {
		h.addBody(h.body(fmt.Sprint("record ", len(h.bodies))))
	}
	return from, from + n
}

// addBody makes one more record and returns how many there are.
func (h *harness) addBody(body []byte) int {
	h.bodies = append(h.bodies, body)
	return len(h.bodies)
}

// batch makes the records from up to to, with bodies of their own.
func (h *harness) batch(from, to int) []emitter.Record {
	var batch []emitter.Record
	for i := from; i < to; i++ {
		batch = append(batch, emitter.Record{
			Seq:  uint64(i + 1),
			ID:   fmt.Sprintf("019aa0e2-0000-7000-8000-%012d", i+1),
			Time: time.Date(2026, 11, 22, 13, 39, 50, i*1000, time.UTC),
			Body: bytes.Clone(h.bodies[i]),
		})
	}
	return batch
}

// call is Send, but gives up when it does not return, checks what must hold of
// every call, and spoils the batch, which a sink must not keep.
func (h *harness) call(ctx context.Context, batch []emitter.Record) (int, error) {
	h.t.Helper()
	before := slices.Clone(batch)
	for i, r := range batch {
		before[i].Body = bytes.Clone(r.Body)
	}
	var n int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err = emitter.Confirming(h.f.Sink).Send(ctx, batch)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		h.t.Fatalf("Send of %d records does not return", len(batch))
	}
	if n < 0 || n > len(batch) || len(batch) > 0 && (err == nil) != (n == len(batch)) {
		h.t.Fatalf("Send of %d records = %d, %v", len(batch), n, err)
	}
	if !reflect.DeepEqual(batch, before) {
		h.t.Errorf("Send has changed its batch")
	}
	for i := range batch {
		copy(batch[i].Body, bytes.Repeat([]byte("?"), len(batch[i].Body)))
		batch[i] = emitter.Record{}
	}
	return n, err
}

// send sends the records from up to to, which are all good, and checks that the
// far end has got those that it counts.
func (h *harness) send(ctx context.Context, from, to int) (int, error) {
	h.t.Helper()
	n, err := h.call(ctx, h.batch(from, to))
	if emitter.IsPermanent(err) {
		h.t.Errorf("a record was refused for good that is to be sent again: %v", err)
	}
	h.confirmed = max(h.confirmed, from+n)
	h.wantInOrder()
	return n, err
}

// mustDeliver sends the records from up to to and wants all confirmed at once.
func (h *harness) mustDeliver(from, to int) {
	h.t.Helper()
	if n, err := h.send(context.Background(), from, to); err != nil {
		h.t.Fatalf("Send of %d records = %d, %v", to-from, n, err)
	}
}

// recover sends the records from up to to, to a far end that works again, until
// all are confirmed.
func (h *harness) recover(from, to int) {
	h.t.Helper()
	for end := time.Now().Add(patience); from < to; {
		n, err := h.send(context.Background(), from, to)
		from += n
		if err == nil {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("Send to a far end that works again: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// deliver sends the records from up to to and returns how many of them were
// refused for good. A refused batch is sent one by one, to find the record.
func (h *harness) deliver(from, to int) (refused int) {
	h.t.Helper()
	for size := to - from; from < to; {
		n, err := h.call(context.Background(), h.batch(from, min(from+size, to)))
		from += n
		switch {
		case err == nil:
		case !emitter.IsPermanent(err):
			h.t.Fatalf("Send = %d, %v", n, err)
		case size == 1:
			refused++
			from++
		default:
			size = 1
		}
	}
	return refused
}

// wantExactly wants the far end to have each record once.
func (h *harness) wantExactly() {
	h.t.Helper()
	h.wantInOrder()
	if got, want := len(h.f.Received(len(h.bodies))), len(h.bodies); got != want {
		h.t.Fatalf("the far end got %d records, want %d", got, want)
	}
}

// wantInOrder wants the far end to have all confirmed records and no others
// than were sent. Some may have come again, with those after them, but none
// before its predecessor.
func (h *harness) wantInOrder() {
	h.t.Helper()
	known := make(map[string]int, len(h.bodies))
	for i, body := range h.bodies {
		known[string(body)] = i
	}
	next := 0
	for _, body := range h.f.Received(h.confirmed) {
		i, ok := known[body]
		switch {
		case !ok:
			h.t.Fatalf("the far end got %.200q, which was not sent", body)
		case i > next:
			h.t.Fatalf("the far end got record %d where record %d was due", i+1, next+1)
		case i == next:
			next++
		}
	}
	if next < h.confirmed {
		h.t.Fatalf("%d records were confirmed, the far end got %d", h.confirmed, next)
	}
}

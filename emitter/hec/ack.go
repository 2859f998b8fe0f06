package hec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vmcp-audit/vmcp-audit/emitter"
)

const (
	firstPoll   = 250 * time.Millisecond // wait before the first poll; each one doubles it
	slowestPoll = 10 * time.Second       // longest wait between two polls
	maxPolled   = 1000                   // ids in one poll, so that its answer stays below maxAnswer
	maxFailures = 2                      // failed waits in a row that mean that acknowledgements do not work
	ackPause    = 24 * time.Hour         // how long AckAuto then goes without; each new try costs maxFailures timeouts and duplicates
)

// acks is what the sink knows about acknowledgements.
//
// The collector numbers requests from 0 in each channel, says true once for
// each, and false for whatever it does not know: another indexer's ids, and all
// ids from before its restart. So a channel lasts for one epoch: it is not used
// again after ids in it were given up, for these may come to mean other requests.
type acks struct {
	channel  string    // GUID
	last     int64     // highest id of the channel, -1: none
	tickets  []ticket  // requests of this Send, in order
	failures int       // waits in a row in which no id came true
	resume   time.Time // when acknowledgements are tried again; zero: they are in use
	verified bool      // AckOn: the token has them
}

// ticket stands for a request that the collector took.
type ticket struct {
	end  int // how many records of the batch are taken with this request
	id   int64
	done bool // acknowledged, or none is awaited
}

// confirmed returns how many tickets, from the first on, are done, and how many
// records of the batch they cover.
func (a *acks) confirmed() (tickets, records int) {
	for _, t := range a.tickets {
		if !t.done {
			break
		}
		tickets, records = tickets+1, t.end
	}
	return tickets, records
}

// open returns the ids that are awaited.
func (a *acks) open() []int64 {
	var ids []int64
	for _, t := range a.tickets {
		if !t.done {
			ids = append(ids, t.id)
		}
	}
	return ids
}

// newEpoch begins a new channel, with new cookies. What was awaited in the old
// one is lost: the records behind the confirmed ones will be sent again.
func (s *Sink) newEpoch() {
	n, _ := s.acks.confirmed()
	s.acks.tickets = s.acks.tickets[:n]
	s.acks.channel, s.acks.last = uuid.NewString(), -1
	s.web.HTTPClient.Jar, _ = cookiejar.New(nil) // for balancers that stick by cookies; fails never
}

// beginAcks prepares for a batch. For AckOn it finds out, before anything is
// sent, whether the token has acknowledgements.
func (s *Sink) beginAcks(ctx context.Context) error {
	if len(s.acks.open()) > 0 {
		s.newEpoch()
	}
	s.acks.tickets = s.acks.tickets[:0]
	if !s.acks.resume.IsZero() && !time.Now().Before(s.acks.resume) {
		s.acks.resume = time.Time{}
		s.count.withoutAcks.Store(false)
		s.opt.Log.Info("acknowledgements are tried again", "destination", s.where)
	}
	if s.opt.Ack != AckOn || s.acks.verified {
		return nil
	}
	a, err := s.askAcks(ctx, []int64{0})
	if err != nil {
		return err
	}
	if a.acks == nil {
		return s.fail(a)
	}
	s.acks.verified = true
	return nil
}

// take notes that the records before end are taken by the request that a
// answers.
func (s *Sink) take(end int, a answer) error {
	t := ticket{end: end, id: a.ackID.value}
	switch {
	case s.opt.Ack == AckOff || !s.acks.resume.IsZero():
		t.done = true
	case a.ackID.set:
		if len(s.acks.open()) > 0 && t.id <= s.acks.last {
			return s.ackFailed(errors.New("ids of acknowledgements began anew: the collector was restarted, or the balancer in front of it is not sticky"))
		}
		s.acks.last = t.id
	case s.opt.Ack == AckOn:
		return emitter.Blocked(fmt.Errorf("hec %s: no acknowledgement was promised: enable indexer acknowledgement for the token", s.where))
	default:
		t.done = true
	}
	s.acks.tickets = append(s.acks.tickets, t)
	return nil
}

// await polls until all tickets are done or the timeout is over.
func (s *Sink) await(ctx context.Context) error {
	deadline := time.Now().Add(s.opt.AckTimeout)
	for wait := firstPoll; ; wait = min(2*wait, slowestPoll) {
		open := s.acks.open()
		s.count.pending.Store(int64(len(open)))
		if len(open) == 0 {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return s.ackFailed(fmt.Errorf("not acknowledged within %v", s.opt.AckTimeout))
		}
		if err := sleep(ctx, min(wait, left)); err != nil {
			return err
		}
		if err := s.poll(ctx, open[:min(len(open), maxPolled)]); err != nil {
			return err
		}
	}
}

// poll asks once for ids and remembers what is true, for it will not be said
// again. An answer that may pass is no error; no answer is one: the collector
// may have been restarted, or a true is lost with it.
func (s *Sink) poll(ctx context.Context, ids []int64) error {
	a, err := s.askAcks(ctx, ids)
	if err != nil {
		return err
	}
	if a.acks == nil {
		return s.ackRefused(a)
	}
	for i, t := range s.acks.tickets {
		if !t.done && a.acks[strconv.FormatInt(t.id, 10)] {
			s.acks.tickets[i].done = true
			s.acks.failures = 0
		}
	}
	return nil
}

// askAcks asks the collector for ids. The answer's acks are nil unless it gave
// some.
func (s *Sink) askAcks(ctx context.Context, ids []int64) (answer, error) {
	body, _ := json.Marshal(map[string][]int64{"acks": ids}) // numbers always can
	a, err := s.call(ctx, http.MethodPost, ackEndpoint, body, "")
	if a.status != http.StatusOK {
		a.acks = nil
	}
	return a, err
}

// ackRefused says what an answer means that tells nothing about ids.
func (s *Sink) ackRefused(a answer) error {
	switch a.verdict().do {
	case noAcks:
		if s.opt.Ack == AckAuto {
			return s.goWithoutAcks(s.refusal(a))
		}
		return s.fail(a)
	case blocked, refused:
		return s.fail(a)
	default:
		return nil // the next poll may tell more
	}
}

// ackFailed ends an epoch in which ids did not come true. Twice in a row means
// that acknowledgements do not work with this collector.
func (s *Sink) ackFailed(reason error) error {
	err := fmt.Errorf("hec %s: %w", s.where, reason)
	s.newEpoch()
	s.count.ackFailures.Add(1)
	s.acks.failures++
	switch {
	case s.acks.failures < maxFailures:
		return err
	case s.opt.Ack == AckOn:
		return emitter.Blocked(err)
	}
	return s.goWithoutAcks(err)
}

// goWithoutAcks takes answers for confirmations from now on, for ackPause.
func (s *Sink) goWithoutAcks(err error) error {
	s.acks.failures = 0
	s.acks.resume = time.Now().Add(ackPause)
	s.count.withoutAcks.Store(true)
	s.opt.Log.Error("going on without acknowledgements: events that the collector has taken and not yet indexed can be lost with it",
		"destination", s.where, "for", ackPause, "error", err)
	return err
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

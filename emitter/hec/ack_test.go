package hec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

// bubble runs a test in fake time, with a collector that acknowledges.
func bubble(t *testing.T, opt Options, acks hectest.Options, test func(t *testing.T, c *hectest.Collector, s *Sink)) {
	t.Helper()
	acks.Acks = true
	synctest.Test(t, func(t *testing.T) {
		c := hectest.New(acks)
		test(t, c, direct(t, c, opt))
	})
}

// ackFault misbehaves at the next poll.
func ackFault(f hectest.Fault) hectest.Fault {
	f.Path = "/ack"
	return f
}

func TestAcksAreAwaited(t *testing.T) {
	for _, mode := range []AckMode{AckAuto, AckOn} {
		bubble(t, Options{Ack: mode, MaxEvents: 2}, hectest.Options{AckDelay: 5 * time.Second}, func(t *testing.T, c *hectest.Collector, s *Sink) {
			if mode == AckOn {
				s.acks.verified = true // see TestAckOnAsksFirst
			}
			start := time.Now()
			mustSend(t, s, numbered(6))
			// Polled after .25, .75, 1.75, 3.75 and 7.75 s.
			if took := time.Since(start); took != 7750*time.Millisecond {
				t.Errorf("took %v", took)
			}
			polls := c.Requests("/ack")
			diff(t, "ids", polls[0].Polled, []int64{0, 1, 2})
			if len(polls) != 5 || polls[0].Channel != c.Events()[0].Channel {
				t.Errorf("%d polls, channels %s and %s", len(polls), polls[0].Channel, c.Events()[0].Channel)
			}
			mustSend(t, s, numbered(2))
			diff(t, "ids of the next batch", c.Requests("/ack")[5].Polled, []int64{3})
			if stats := s.Stats(); stats.Confirmed != 8 || stats.AckPending != 0 || stats.WithoutAcks {
				t.Errorf("%+v", stats)
			}
		})
	}
}

func TestAckOffDoesNotPoll(t *testing.T) {
	bubble(t, Options{Ack: AckOff}, hectest.Options{AckDelay: time.Hour}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		mustSend(t, s, numbered(6))
		if got := len(c.Requests("/ack")); got != 0 {
			t.Errorf("%d polls", got)
		}
	})
}

func TestAckOnAsksFirst(t *testing.T) {
	bubble(t, Options{Ack: AckOn}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		c.SetAcks(false)
		wantSend(t, s, numbered(1), 0, "blocked", "enable indexer acknowledgement")
		c.SetAcks(true)
		c.Fail(ackFault(hectest.Busy()))
		wantSend(t, s, numbered(1), 0, "plain", "code 9")
		if c.Count() != 0 {
			t.Errorf("%d events were sent", c.Count())
		}
		mustSend(t, s, numbered(1))
		c.Fail(ackFault(hectest.Code(400, 14, "ACK is disabled")))
		wantSend(t, s, numbered(1), 0, "blocked", "code 14")
		c.SetAcks(false) // while we run
		wantSend(t, s, numbered(1), 0, "blocked", "no acknowledgement was promised")
	})
}

// Splunk says true once. What was heard is kept, also while others are open.
func TestTrueIsSaidOnce(t *testing.T) {
	bubble(t, Options{MaxEvents: 1}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		late := ackFault(hectest.Fault{Status: 200, Body: `{"acks":{"0":false,"1":true,"2":false}}`})
		c.Fail(late)
		mustSend(t, s, numbered(3))
		var polled [][]int64
		for _, r := range c.Requests("/ack") {
			polled = append(polled, r.Polled)
		}
		diff(t, "polled", polled, [][]int64{{0, 1, 2}, {0, 2}})
	})
}

func TestOnlyThePrefixCounts(t *testing.T) {
	bubble(t, Options{MaxEvents: 2, AckTimeout: 10 * time.Second}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		c.NeverAck(true)
		c.Fail(ackFault(hectest.Fault{Status: 200, Body: `{"acks":{"0":true,"2":true}}`}))
		wantSend(t, s, numbered(6), 2, "plain", "not acknowledged within 10s")
		stats := s.Stats()
		if stats.Confirmed != 2 || stats.Unconfirmed != 4 || stats.AckFailures != 1 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestAckTimeout(t *testing.T) {
	bubble(t, Options{}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		old := s.acks.channel
		c.Fail(hectest.Fault{Index: -1, Status: 200, Body: `{"text":"Success","code":0,"ackId":0}`, Do: func() { go c.ForgetAcks() }})
		start := time.Now()
		wantSend(t, s, numbered(3), 0, "plain", "not acknowledged within 5m0s")
		if took := time.Since(start); took != DefaultAckTimeout {
			t.Errorf("took %v", took)
		}
		if s.acks.channel == old {
			t.Error("the channel is the same")
		}
		polls := len(c.Requests("/ack"))
		if polls < 30 || polls > 40 {
			t.Errorf("%d polls", polls)
		}
		mustSend(t, s, numbered(3))
		if s.acks.failures != 0 || c.Count() != 6 {
			t.Errorf("%d failures, %d events", s.acks.failures, c.Count())
		}
	})
}

func TestNeverTrueAcksAreGivenUp(t *testing.T) {
	log, logged := logTo(t)
	bubble(t, Options{AckTimeout: time.Minute, Log: log}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		c.NeverAck(true)
		wantSend(t, s, numbered(2), 0, "plain", "not acknowledged")
		wantLogged(t, logged(), 0, "ERROR", "")
		wantSend(t, s, numbered(2), 0, "plain", "not acknowledged")
		wantLogged(t, logged(), 1, "ERROR", "going on without acknowledgements")
		if !s.Stats().WithoutAcks {
			t.Error("Stats do not tell")
		}
		start, polls := time.Now(), len(c.Requests("/ack"))
		mustSend(t, s, numbered(2))
		mustSend(t, s, numbered(2))
		if time.Since(start) != 0 || len(c.Requests("/ack")) != polls {
			t.Errorf("polled on, for %v", time.Since(start))
		}

		c.NeverAck(false)
		time.Sleep(ackPause)
		mustSend(t, s, numbered(2))
		if s.Stats().WithoutAcks || len(c.Requests("/ack")) != polls+1 {
			t.Errorf("not tried again: %+v", s.Stats())
		}
		wantLogged(t, logged(), 1, "ERROR", "")
	})
}

func TestAckOnIsNeverGivenUp(t *testing.T) {
	bubble(t, Options{Ack: AckOn, AckTimeout: time.Minute}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		c.NeverAck(true)
		wantSend(t, s, numbered(2), 0, "plain", "not acknowledged")
		wantSend(t, s, numbered(2), 0, "blocked", "not acknowledged")
		wantSend(t, s, numbered(2), 0, "blocked", "not acknowledged")
		c.NeverAck(false)
		mustSend(t, s, numbered(2))
	})
}

func TestAcksAreDisabledMeanwhile(t *testing.T) {
	log, logged := logTo(t)
	bubble(t, Options{Log: log}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		c.Fail(ackFault(hectest.Code(400, 14, "ACK is disabled")))
		wantSend(t, s, numbered(2), 0, "plain", "code 14")
		wantLogged(t, logged(), 1, "ERROR", "going on without acknowledgements")
		mustSend(t, s, numbered(2))
		if got := len(c.Requests("/ack")); got != 1 {
			t.Errorf("%d polls", got)
		}
	})
}

func TestPollsThatFail(t *testing.T) {
	cut := ackFault(hectest.CutBefore())
	tests := []struct {
		name   string
		faults []hectest.Fault
		class  string // none: polled on
		text   string
		fresh  bool // new channel
	}{
		{"busy", []hectest.Fault{ackFault(hectest.Busy())}, "none", "", false},
		{"too many", []hectest.Fault{ackFault(hectest.RetryAfter("100"))}, "none", "", false},
		{"a page", []hectest.Fault{ackFault(hectest.HTML(200))}, "none", "", false},
		{"bad gateway", []hectest.Fault{ackFault(hectest.HTML(502)), ackFault(hectest.HTML(502))}, "none", "", false},
		{"cut once", []hectest.Fault{cut}, "none", "", false},
		{"cut twice", []hectest.Fault{cut, cut}, "plain", "EOF", true},
		{"timeout", []hectest.Fault{ackFault(hectest.Hang())}, "plain", "deadline exceeded", true},
		{"token", []hectest.Fault{ackFault(hectest.Code(403, 4, "Invalid token"))}, "blocked", "code 4", true},
		{"path", []hectest.Fault{ackFault(hectest.HTML(404))}, "blocked", "404", true},
		{"channel", []hectest.Fault{ackFault(hectest.Code(400, 28, "sticky"))}, "blocked", "code 28", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Options{}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
				old := s.acks.channel
				c.Fail(tt.faults...)
				if tt.class == "none" {
					mustSend(t, s, numbered(2))
				} else {
					wantSend(t, s, numbered(2), 0, tt.class, tt.text)
					mustSend(t, s, numbered(2))
				}
				if fresh := s.acks.channel != old; fresh != tt.fresh || c.FaultsLeft() != 0 {
					t.Errorf("new channel: %v, faults left: %d", fresh, c.FaultsLeft())
				}
			})
		})
	}
}

// A collector that was restarted forgets what it has not told.
func TestRestart(t *testing.T) {
	t.Run("between batches", func(t *testing.T) {
		bubble(t, Options{MaxEvents: 1}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
			mustSend(t, s, numbered(3))
			c.Restart()
			mustSend(t, s, numbered(3)) // nothing was open, so nothing is lost
			if c.Count() != 6 || s.Stats().AckFailures != 0 {
				t.Errorf("%d events, %+v", c.Count(), s.Stats())
			}
		})
	})
	t.Run("within a batch", func(t *testing.T) {
		bubble(t, Options{MaxEvents: 1}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
			old := s.acks.channel
			fault := hectest.Fault{Index: 1, Status: 200, Body: `{"text":"Success","code":0,"ackId":2}`}
			c.Fail(hectest.Fault{Index: 1, Status: 200, Body: `{"text":"Success","code":0,"ackId":1}`}, fault)
			wantSend(t, s, numbered(3), 0, "plain", "began anew") // the third is 2 again
			if s.acks.channel == old || len(c.Requests("/ack")) != 0 {
				t.Errorf("same channel: %v, %d polls", s.acks.channel == old, len(c.Requests("/ack")))
			}
			mustSend(t, s, numbered(3))
		})
	})
	t.Run("while it is polled", func(t *testing.T) {
		bubble(t, Options{}, hectest.Options{AckDelay: time.Second}, func(t *testing.T, c *hectest.Collector, s *Sink) {
			down := ackFault(hectest.Fault{Do: c.Restart})
			c.Fail(down, down)
			start := time.Now()
			wantSend(t, s, numbered(3), 0, "plain", "EOF")
			if took := time.Since(start); took > time.Second {
				t.Errorf("waited %v", took)
			}
			mustSend(t, s, numbered(3))
		})
	})
}

// What is true for an id that was given up must not confirm another request.
func TestChannelOfGivenUpIDsIsNotUsedAgain(t *testing.T) {
	bubble(t, Options{}, hectest.Options{AckDelay: time.Hour}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := s.Send(ctx, numbered(1)); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(n, err)
		}
		wantSend(t, s, numbered(1), 0, "plain", "not acknowledged")
		if r := c.Requests("/event"); r[0].Channel == r[1].Channel {
			t.Error("same channel")
		}
	})
}

// A balancer that is not sticky gives ids of several indexers.
func TestNotSticky(t *testing.T) {
	log, logged := logTo(t)
	bubble(t, Options{MaxEvents: 1, Log: log}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		for range 4 {
			c.Fail(hectest.Fault{Index: 1, Status: 200, Body: `{"text":"Success","code":0,"ackId":0}`})
		}
		wantSend(t, s, numbered(2), 0, "plain", "not sticky")
		wantSend(t, s, numbered(2), 0, "plain", "not sticky")
		wantLogged(t, logged(), 1, "ERROR", "going on without")
		mustSend(t, s, numbered(2))
	})
}

// What was taken before a failure is still waited for.
func TestAcksBeforeAFailure(t *testing.T) {
	tests := []struct {
		name  string
		bad   string // third of four
		text  string
		class string
	}{
		{"bad event", "null", "code 12", "permanent"},
		{"not JSON", "{", "not valid JSON", "permanent"},
	}
	for _, tt := range tests {
		for size := 1; size <= 4; size++ {
			t.Run(fmt.Sprintf("%s, %d in a request", tt.name, size), func(t *testing.T) {
				bubble(t, Options{MaxEvents: size}, hectest.Options{AckDelay: time.Second}, func(t *testing.T, c *hectest.Collector, s *Sink) {
					b := records("1", "2", tt.bad, "4")
					wantSend(t, s, b, 2, tt.class, tt.text)
					if s.Stats().AckFailures != 0 || len(c.Requests("/ack")) == 0 {
						t.Errorf("%+v, %d polls", s.Stats(), len(c.Requests("/ack")))
					}
					mustSend(t, s, b[3:])
					diff(t, "bodies", c.Bodies(), []string{"1", "2", "4"})
				})
			})
		}
	}
	bubble(t, Options{MaxEvents: 1}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		c.Fail(hectest.Fault{Status: 200, Body: `{"text":"Success","code":24,"ackId":0}`, Index: 1}, hectest.Busy())
		wantSend(t, s, numbered(3), 1, "plain", "code 9")
		c.NeverAck(true)
		c.Fail(hectest.Fault{Status: 200, Body: `{"text":"Success","code":0,"ackId":1}`, Index: 1}, hectest.Busy())
		wantSend(t, s, numbered(3), 0, "plain", "not acknowledged") // the reason for record 0, not for 1
	})
}

// Ids in the thousands are asked for in parts.
func TestManyIDs(t *testing.T) {
	t.Parallel()
	const n = maxPolled + 200
	bubble(t, Options{MaxEvents: 1}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		mustSend(t, s, numbered(n))
		var sizes []int
		for _, r := range c.Requests("/ack") {
			sizes = append(sizes, len(r.Polled))
		}
		if !slices.Equal(sizes, []int{maxPolled, 200}) {
			t.Errorf("polled %v", sizes)
		}
	})
}

// Cloud and others may promise acknowledgements for some requests only.
func TestMixedPromises(t *testing.T) {
	bubble(t, Options{MaxEvents: 1}, hectest.Options{}, func(t *testing.T, c *hectest.Collector, s *Sink) {
		c.Fail(hectest.Fault{Index: 1, Status: 200, Body: `{"text":"Success","code":0,"ackID":""}`})
		mustSend(t, s, numbered(2))
		if polls := c.Requests("/ack"); len(polls) != 1 || len(polls[0].Polled) != 1 {
			t.Errorf("%+v", polls)
		}
	})
}

//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/RackSec/srslog"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
	"github.com/vmcp-audit/vmcp-audit/emitter/syslog"
	"github.com/vmcp-audit/vmcp-audit/formats"
)

// meter measures this process.
type meter struct {
	begin time.Time
	cpu   float64
}

func startMeter() meter { return meter{time.Now(), processor()} }

func (m meter) report(events int) error {
	return json.NewEncoder(os.Stdout).Encode(result{Events: events, Seconds: time.Since(m.begin).Seconds(), CPU: processor() - m.cpu})
}

func processor() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // has no error for oneself
	return seconds(u.Utime) + seconds(u.Stime)
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// message is the format of all runs.
func message() (emitter.Format, error) {
	return formats.New(formats.Options{Format: formats.NameJSON, Header: formats.HeaderRFC5424})
}

func openSpool(dir string) (*spool.Spool, error) {
	return spool.Open(dir, spool.Options{MaxSize: 4 << 30, MinFree: -1})
}

// fill stores events in a spool, and their messages, as lines, in a file.
func fill(args []string) error {
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	sp, err := openSpool(args[0])
	if err != nil {
		return err
	}
	em, err := emitter.New(sp, emitter.Options{})
	if err != nil {
		return err
	}
	format, err := message()
	if err != nil {
		return err
	}
	f, err := os.Create(args[1])
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	m := startMeter()
	for i := 0; i < count; {
		var events []*emitter.Event
		for ; i < count && len(events) < 500; i++ {
			events = append(events, event(i))
		}
		if err := em.EmitAll(context.Background(), events...); err != nil {
			return err
		}
		for _, e := range events {
			_, _ = w.Write(append(format(nil, e), '\n')) // Flush tells
		}
	}
	if err := errors.Join(w.Flush(), f.Close(), sp.Close()); err != nil {
		return err
	}
	return m.report(count)
}

// event returns an event as a tool call makes it.
func event(i int) *emitter.Event {
	e := emitter.NewEvent(emitter.TypeToolCall)
	e.Conclude(emitter.OutcomeSuccess, "")
	e.Source = emitter.Source{Type: "network", Value: "192.0.2.7", Peer: "192.0.2.7", Port: 40000 + i%20000}
	e.Source.Extra.UserAgent = "example-client/1.2.3"
	e.Source.Extra.RequestID = fmt.Sprint("request-", i)
	e.Target.Type, e.Target.Name, e.Target.Method = "tool", "search", "tools/call"
	e.Client.NameClaimed, e.Client.VersionClaimed = "example-client", "1.2.3"
	e.Metadata.Extra.DurationMS = emitter.Of(int64(i % 300))
	return e
}

// deliver empties a spool, and ends when all has settled.
func deliver(args []string) error {
	sp, err := openSpool(args[0])
	if err != nil {
		return err
	}
	sink, err := syslog.New(syslog.Address{Network: "tcp", Host: args[1]}, syslog.Options{})
	if err != nil {
		return err
	}
	format, err := message()
	if err != nil {
		return err
	}
	em, err := emitter.New(sp, emitter.Options{FlushTimeout: patience}, emitter.Route{Name: "syslog", Format: format, Sink: sink})
	if err != nil {
		return err
	}
	m := startMeter()
	ended, end := context.WithCancel(context.Background())
	end() // it delivers what is there, and settles
	if err := em.Run(ended); err != nil {
		return err
	}
	if r := em.Stats().Routes[0]; r.Pending > 0 {
		return fmt.Errorf("not delivered: %+v", r)
	}
	return cmp.Or(m.report(int(em.Stats().Routes[0].Sent)), sink.Close(), sp.Close())
}

// sinkAlone sends the lines of a file through the sink, until all has settled.
func sinkAlone(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	sink, err := syslog.New(syslog.Address{Network: "tcp", Host: args[1]}, syslog.Options{})
	if err != nil {
		return err
	}
	m := startMeter()
	var batch []emitter.Record
	var bodies []byte
	send := func() error {
		if _, err := sink.Send(context.Background(), batch); err != nil {
			return err
		}
		batch, bodies = batch[:0], bodies[:0]
		_, err := sink.Settled()
		return err
	}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 2<<20)
	count := 0
	for ; in.Scan(); count++ {
		from := len(bodies)
		bodies = append(bodies, in.Bytes()...)
		batch = append(batch, emitter.Record{Seq: uint64(count + 1), Body: bodies[from:]})
		if len(batch) == emitter.DefaultBatchRecords {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if err := cmp.Or(in.Err(), send()); err != nil {
		return err
	}
	if _, err := sink.Settle(context.Background()); err != nil {
		return err
	}
	return m.report(count)
}

// oneByOne sends the lines of a file as a program does that uses srslog by itself.
func oneByOne(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := srslog.Dial("tcp", args[1], srslog.LOG_INFO|srslog.LOG_LOCAL0, "vmcp-audit")
	if err != nil {
		return err
	}
	w.SetFormatter(func(_ srslog.Priority, _, _, content string) string { return content })
	m := startMeter()
	count := 0
	in := bufio.NewScanner(f)
	in.Buffer(nil, 2<<20)
	for ; in.Scan(); count++ {
		if _, err := w.Write(in.Bytes()); err != nil {
			return err
		}
	}
	if err := cmp.Or(in.Err(), w.Close()); err != nil {
		return err
	}
	return m.report(count)
}

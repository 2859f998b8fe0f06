package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// fixtureEvents are what the spool of a strict process holds that was killed: of
// three calls one has not ended. The hostile name would clear a terminal.
func fixtureEvents(stream string) []*emitter.Event {
	at := time.Date(2026, 11, 22, 13, 39, 50, 0, time.UTC)
	var events []*emitter.Event
	add := func(typ emitter.Type, o emitter.Outcome, reason emitter.Reason) *emitter.Event {
		e := emitter.NewEvent(typ)
		e.Conclude(o, reason)
		e.LoggedAt = at.Add(time.Duration(len(events)) * time.Second)
		events = append(events, e)
		return e
	}
	routes := []emitter.RouteStatus{{Name: "file", State: "up"}, {Name: "hec", State: "up"}}
	add(emitter.TypeAuditStart, emitter.OutcomeSuccess, "").Status = emitter.Status{Stream: stream, Routes: routes}
	for i, name := range []string{"read", "a\x1b[2Jb", "wipe"} {
		begin := add(emitter.TypeToolCall, emitter.OutcomePending, "")
		id := fmt.Sprintf("01a203e9-0000-7000-8000-00000000000%d", i)
		begin.Stage, begin.Trace.ParentAuditID = emitter.StageReceived, id
		begin.Target.Type, begin.Target.Name, begin.Subjects.User = "tool", name, "alice"
		if i == 1 {
			continue
		}
		end := add(emitter.TypeToolCall, emitter.OutcomeSuccess, "")
		end.AuditID, end.Target, end.Subjects.User = id, begin.Target, "alice"
		end.Target.Server.Name, end.Target.Tool = "notes", "notes_"+name
		if i == 2 {
			end.Conclude(emitter.OutcomeDenied, emitter.ReasonPolicy)
		}
	}
	fault := add(emitter.TypeAuditSink, emitter.OutcomeError, emitter.ReasonBlocked)
	fault.Target.Type, fault.Target.Name = "destination", "hec"
	fault.Metadata.Extra.ErrorMessage = "hec http://127.0.0.1:1: status 403"
	fault.Metadata.Extra.DurationMS = emitter.Of(5000)
	fault.Status = emitter.Status{Stream: stream, Routes: []emitter.RouteStatus{{Name: "hec", State: "blocked"}}}
	return events
}

// writeSpool makes a spool in dir with the events of the fixture. The route file
// has confirmed all but the last two, hec none and has a dead letter.
func writeSpool(dir string) (err error) {
	s, err := spool.Open(dir, spool.Options{MinFree: -1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	hec, err := s.Cursor("hec")
	if err != nil {
		return err
	}
	for _, e := range fixtureEvents(s.Stream().String()) {
		if _, err := s.Append(context.Background(), spool.Preferred, emitter.AppendEvent(nil, e)); err != nil {
			return err
		}
	}
	file, err := s.Cursor("file")
	if err != nil {
		return err
	}
	batch, err := file.Next(context.Background(), spool.Limits{Records: 5, Bytes: 1 << 20})
	if err != nil {
		return err
	}
	file.Confirm(batch[4].Seq)
	integrity := emitter.IntegrityOf(s.Stream(), &batch[2])
	letter, err := json.Marshal(emitter.DeadLetter{
		Route: "hec", Seq: 3, Time: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC), Error: "status 400",
		Event: emitter.AppendIntegrity(nil, batch[2].Payload, &integrity),
	})
	if err != nil {
		return err
	}
	if err := s.SetAside("dead/hec", "00000000000000000003.json", letter); err != nil {
		return err
	}
	if err := s.SetAside("quarantine", "0000000001-0000004096.bin", []byte("??")); err != nil {
		return err
	}
	if err := s.SetAside(emitter.AsideLines, "stdin-1.jsonl", []byte("{}\n")); err != nil {
		return err
	}
	return errors.Join(hec.Close(), file.Close())
}

// makeSpool is the script command makespool DIR.
func makeSpool(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writeSpool(ts.MkAbs(args[0])))
}

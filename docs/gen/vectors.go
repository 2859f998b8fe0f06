package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// vectors are records to hold another implementation of the chain against.
type vectors struct {
	About string   `json:"about"`
	Links []link   `json:"links"`
	Trail []string `json:"trail"`
}

// link is one hash. The seq is text, since not every reader of JSON has 64 bits.
type link struct {
	Stream  string `json:"stream"`
	Prev    string `json:"prev"`
	Seq     string `json:"seq"`
	Payload string `json:"payload"`
	Hash    string `json:"hash"`
}

var vectorStream = spool.Stream{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x41, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// vectorsPage returns docs/chain-vectors.json.
func vectorsPage() ([]byte, error) {
	v := vectors{
		About: "Test vectors of the hash chain, see chain.md. Links are single hashes; the trail is the lines of a file, with seqs 3 to 5 lost and named, and a second stream.",
		Trail: vectorTrail(),
	}
	high := spool.Hash(bytes.Repeat([]byte{0xfe}, len(spool.Hash{})))
	for _, r := range []spool.Record{
		{Seq: 1, Payload: []byte("{}")},
		{Seq: 2, Prev: high},
		{Seq: 1 << 40, Prev: high, Payload: []byte(`{"name":"größe 名前 😀"}`)},
		{Seq: math.MaxUint64, Prev: high, Payload: []byte(`{"escaped":"\u2028\n"}`)},
	} {
		v.Links = append(v.Links, link{
			Stream: vectorStream.String(), Prev: r.Prev.String(), Seq: strconv.FormatUint(r.Seq, 10),
			Payload: string(r.Payload), Hash: r.Link(vectorStream).String(),
		})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

// vectorTrail returns the lines of a trail.
func vectorTrail() (lines []string) {
	stream, head := vectorStream, spool.Hash{}
	add := func(seq uint64, e *emitter.Event) {
		n := len(lines)
		e.AuditID = "019c0a3e-7a00-7000-8000-00000000000" + strconv.Itoa(n)
		e.LoggedAt = time.Date(2026, 1, 31, 12, 0, n, 0, time.UTC)
		e.Severity, e.Controls, e.Component = emitter.SeverityOf(e), emitter.ControlsOf(e), emitter.DefaultComponent
		r := spool.Record{Seq: seq, Prev: head, Payload: emitter.AppendEvent(nil, e)}
		in := emitter.IntegrityOf(stream, &r)
		lines, head = append(lines, string(emitter.AppendIntegrity(nil, r.Payload, &in))), r.Link(stream)
	}
	plain := func(t emitter.Type) *emitter.Event {
		e := emitter.NewEvent(t)
		e.Conclude(emitter.OutcomeSuccess, "")
		return e
	}
	call := plain(emitter.TypeToolCall)
	call.Target.Name, call.Subjects.User = "wörter_zählen", "名前\n"
	add(1, plain(emitter.TypeAuditStart))
	add(2, call)
	add(6, emitter.NewLoss(emitter.Loss{FirstSeq: 3, LastSeq: 5, Count: 3, Cause: string(spool.CauseFull)}))
	add(7, plain(emitter.TypeAuditStop))
	stream[15], head = stream[15]+1, spool.Hash{}
	add(1, plain(emitter.TypeAuditStart))
	add(2, plain(emitter.TypePing))
	return lines
}

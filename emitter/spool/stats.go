package spool

import "time"

// Stats are the state of a spool, and what became of records since it was
// opened.
type Stats struct {
	Appended       uint64 // events stored
	Commits        uint64 // writes and syncs that stored them
	Dropped        uint64 // events lost: no room, or the disk took them nowhere; told by gap records
	DroppedOldest  uint64 // events removed before every cursor had confirmed them
	Refused        uint64 // events that the policy Refuse left to the caller, also when the disk failed
	DamagedRecords uint64 // seqs whose records do not verify, at most so many are lost
	Damaged        uint64 // places where records do not verify
	TornTails      uint64 // ends of the log that did not verify at the start
	Gaps           uint64 // gap records written

	WriteErrors      uint64 // failed creations and writes of segments
	SyncErrors       uint64 // failed syncs of segments
	MarkErrors       uint64 // failed saves of cursors' marks
	UnlinkErrors     uint64 // failed removals of segments
	QuarantinedBytes uint64 // damaged bytes kept aside

	Segments     int
	SegmentBytes int64  // in segments
	Used         int64  // bytes that count against MaxSize
	MaxSize      int64  // the quota
	First        uint64 // seq from which records are held
	Last         uint64 // seq of the last record on disk

	FullSince time.Time // events are turned away since then; zero: they are not
	Fault     error     // why nothing can be stored; wraps ErrFull or ErrBroken; nil: all is well
	Cursors   []CursorStats
}

// CursorStats are the state of one cursor.
type CursorStats struct {
	Name      string
	Confirmed uint64 // seq up to which everything is done with
	Pending   uint64 // seqs after it
	Open      bool   // somebody reads with it
}

// Stats returns the state as it is.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Segments, st.Used, st.MaxSize = len(s.segments), s.used(), s.opt.MaxSize
	st.Fault, st.Last, st.First = s.fault.err, s.durable.seq, s.durable.seq+1
	if len(s.segments) > 0 {
		st.First = s.segments[0].first
	}
	for _, m := range s.sortedMarks() {
		st.Cursors = append(st.Cursors, CursorStats{
			Name: m.name, Confirmed: m.confirmed, Pending: s.durable.seq - min(m.confirmed, s.durable.seq), Open: m.open,
		})
	}
	return st
}

package spool

import (
	"log/slog"
	"time"
)

// Durability says when [Spool.Append] returns.
type Durability uint8

// The durabilities.
const (
	Durable Durability = iota // when the records are on disk
	Async                     // when they are in memory: a crash loses at most AsyncDelay or AsyncBytes of them
)

// What a crash can lose in [Async] mode, whichever is reached first, besides
// what a sync takes.
const (
	AsyncDelay = 200 * time.Millisecond
	AsyncBytes = 1 << 20
)

// Policy says what happens when there is no room.
type Policy uint8

// The policies.
const (
	DropNewest Policy = iota // Append fails; what was not stored takes its seqs and is told by a gap record
	DropOldest               // the oldest segment goes, confirmed or not, and is told by a gap record
	Refuse                   // Append fails and nothing is lost: the caller keeps what it has, also when the disk fails
)

// Defaults and bounds of [Options].
const (
	DefaultMaxSize = 1 << 30  // about 700,000 full audit events
	MinMaxSize     = 1 << 20  // less holds nothing useful
	DefaultMinFree = 64 << 20 // enough for others on the disk to say that it is full
	MaxSegment     = 64 << 20 // bytes of a segment where the quota is large; else a sixteenth of it
	minSegment     = 128 << 10
	minRoom        = 64 << 10 // a segment is made for no less: where there is none, nothing can be stored
	reservedShare  = 8        // one part in so many is the default of Options.Reserved
)

// Options of a [Spool]. The zero value works.
type Options struct {
	// Durability is Durable or Async.
	Durability Durability
	// Full says what happens at MaxSize or MinFree.
	Full Policy
	// MaxSize is the quota in bytes for everything in the folder: segments, what
	// was set aside, dead letters. 0 means DefaultMaxSize, less than MinMaxSize
	// means that. It may be passed by gap records and the last segment's header.
	MaxSize int64
	// Reserved is the part of MaxSize, in bytes, that only an Append with
	// Preferred may use. 0 means an eighth, less than 0 none.
	Reserved int64
	// MinFree is the space in bytes that is left free on the file system. 0 means
	// DefaultMinFree, less than 0 none. Only Linux tells what is free.
	MinFree int64
	// Gap makes the payload of a gap record; nil means the JSON of the Gap. It is
	// called with the spool locked and must not call it.
	Gap func(Gap) []byte
	// Log hears of faults when they begin and when they end, of damage, and of a
	// folder on a network. Nil discards.
	Log *slog.Logger

	segmentSize int64 // tests make it small
	disk        disk  // tests make it fail
}

func (o Options) withDefaults() Options {
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	o.MaxSize = max(o.MaxSize, MinMaxSize)
	switch {
	case o.Reserved == 0:
		o.Reserved = o.MaxSize / reservedShare
	case o.Reserved < 0:
		o.Reserved = 0
	}
	o.Reserved = min(o.Reserved, o.MaxSize/2)
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.Gap == nil {
		o.Gap = gapJSON
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.segmentSize == 0 {
		o.segmentSize = min(MaxSegment, max(minSegment, o.MaxSize/16))
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	return o
}

// Priority says which part of the quota an Append may use.
type Priority uint8

// The priorities.
const (
	Ordinary  Priority = iota // all but Options.Reserved
	Preferred                 // all of it
)

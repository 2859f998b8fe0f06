// Package spool is an append-only log on disk: what [Spool.Append] has returned
// without an error survives a crash and a loss of power, and is read, in order
// and at least once, by every named [Cursor] until that cursor has confirmed
// it. The package knows bytes, not what they mean.
//
// Guaranteed in [Durable] mode: a record is on disk before Append returns. Seqs
// grow, are never used twice with different payloads, and every hole in them is
// told by a gap record. Each record carries the hash of the one before it (see
// [Link]). A sync that failed is never tried again on the same pages; nothing is
// ever written behind a hole. Open always starts, whatever the last process or
// the disk did: what verifies is read, what does not is set aside and told. It
// does refuse a folder that another process writes to, one that it may not
// write to, and a newer format.
//
// Not guaranteed: that a disk which says "synced" tells the truth; that the last
// records are missed if they were wiped to zeros after a crash, without a trace
// (after a clean Close they are missed). A loss is told when it is found: for
// sealed segments that is when a cursor reads them.
//
// One process writes to a folder, any number may read it ([OpenLog]). The log
// starts no goroutine of its own: commits happen in the goroutines that append.
package spool

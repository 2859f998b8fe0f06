package spool

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"time"
)

// MaxPayload bounds one payload, in bytes.
const MaxPayload = 1 << 20

// A record, all numbers little-endian:
//
//	 0  crc      u32   CRC-32C of everything after it, seeded for the segment
//	 4  length   u32   of the payload, at most MaxPayload
//	 8  seq      u64   from 1, growing, never used twice
//	16  time     i64   when it was appended, ns since 1970
//	24  class    u8    1 event, 2 gap, 3 end, 4 note
//	25  flags    u8    1: the next record belongs to the same Append
//	26  zero     u16
//	28  prev     32 B  hash of the record before this one, zeros before the first
//	60  payload
const recordSize = 60 // bytes before the payload

type class uint8

const (
	classEvent class = 1
	classGap   class = 2
	classEnd   class = 3 // the segment was closed on purpose; repeats seq and hash of the record before it, has no payload
	classNote  class = 4 // notes; repeats seq and hash of the record before it
)

const flagMore = 1

// Stream identifies a spool, and the chain in it.
type Stream [16]byte

// String returns the stream as a UUID is written.
func (s Stream) String() string {
	var b [36]byte
	hex.Encode(b[:8], s[:4])
	hex.Encode(b[9:13], s[4:6])
	hex.Encode(b[14:18], s[6:8])
	hex.Encode(b[19:23], s[8:10])
	hex.Encode(b[24:], s[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// Hash is a link of the chain.
type Hash [sha256.Size]byte

// String returns the hash in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

const chainLabel = "vmcp-audit/1"

// Link returns the hash of the record that holds payload at seq and comes after
// the record with the hash prev:
//
//	SHA-256("vmcp-audit/1" || stream || prev || seq as 8 bytes big-endian || payload)
func Link(stream Stream, prev Hash, seq uint64, payload []byte) Hash {
	return newLinker().link(stream, prev, seq, payload)
}

// linker is Link without its allocations. It is for one goroutine at a time.
type linker struct {
	sha  hash.Hash
	head []byte
	sum  []byte
}

func newLinker() *linker { return &linker{sha: sha256.New()} }

func (l *linker) link(stream Stream, prev Hash, seq uint64, payload []byte) Hash {
	l.head = append(l.head[:0], chainLabel...)
	l.head = append(l.head, stream[:]...)
	l.head = append(l.head, prev[:]...)
	l.head = binary.BigEndian.AppendUint64(l.head, seq)
	l.sha.Reset()
	l.sha.Write(l.head)
	l.sha.Write(payload)
	l.sum = l.sha.Sum(l.sum[:0])
	return Hash(l.sum)
}

// Record is one record of the log.
type Record struct {
	Seq     uint64
	Time    time.Time // when it was appended
	Gap     bool      // the payload tells of records that are missing
	More    bool      // the next record came with the same Append
	Prev    Hash      // of the record before this one, zeros before the first
	Payload []byte
}

// Link returns the record's own hash.
func (r *Record) Link(stream Stream) Hash { return Link(stream, r.Prev, r.Seq, r.Payload) }

// repeats reports whether the record has no seq of its own.
func (h *header) repeats() bool { return h.class == classEnd || h.class == classNote }

// header is the part of a record before its payload.
type header struct {
	crc    uint32
	length int
	seq    uint64
	time   int64
	class  class
	flags  uint8
	prev   Hash
}

func recordOf(h *header, payload []byte) Record {
	return Record{
		Seq: h.seq, Time: time.Unix(0, h.time), Gap: h.class == classGap, More: h.flags&flagMore != 0,
		Prev: h.prev, Payload: payload,
	}
}

// appendRecord appends a record without its CRC, which depends on the segment
// that it will be written to.
func appendRecord(dst []byte, h *header, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint64(dst, h.seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.time))
	dst = append(dst, byte(h.class), h.flags, 0, 0)
	dst = append(dst, h.prev[:]...)
	return append(dst, payload...)
}

// sign fills in the CRC of each record in data.
func sign(data []byte, seed uint32) {
	for len(data) > 0 {
		n := recordSize + int(binary.LittleEndian.Uint32(data[4:]))
		binary.LittleEndian.PutUint32(data, crc32.Update(seed, castagnoli, data[4:n]))
		data = data[n:]
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seedOf returns the seed of a segment's checksums: a block that belonged to
// another segment or another spool never verifies.
func seedOf(stream Stream, number uint64) uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(stream[:len(stream):len(stream)], number), castagnoli)
}

// parseHeader reads the header in the first recordSize bytes of b. It is false
// if no record can begin so; only the CRC tells that one does.
func parseHeader(b []byte) (h header, ok bool) {
	h.crc = binary.LittleEndian.Uint32(b)
	h.length = int(binary.LittleEndian.Uint32(b[4:]))
	h.seq = binary.LittleEndian.Uint64(b[8:])
	h.time = int64(binary.LittleEndian.Uint64(b[16:]))
	h.class, h.flags = class(b[24]), b[25]
	copy(h.prev[:], b[28:])
	ok = h.length <= MaxPayload && h.class >= classEvent && h.class <= classNote &&
		h.flags <= flagMore && b[26] == 0 && b[27] == 0
	return h, ok
}

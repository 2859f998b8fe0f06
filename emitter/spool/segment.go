package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"time"
)

// Version is the format of the segments that this package writes. It reads no
// newer one.
const Version = 1

// A segment is a file NUMBER-FIRST.seg: its number, and the first seq that may
// stand in it. Its first block is a header, all numbers little-endian; records
// follow at 4096, one after the other, then zeros:
//
//	 0  magic    8 B   "vmcpspol"
//	 8  version  u16
//	10  zero     u16
//	12  crc      u32   CRC-32C of the other bytes of these 128
//	16  number   u64   as in the name
//	24  first    u64   as in the name
//	32  created  i64   ns since 1970
//	40  size     u64   bytes that the file was made with
//	48  stream   16 B
//	64  prev     32 B  hash of the record before first
//	96  zero     32 B
//
// A later format keeps the layout of these 128 bytes.
const (
	magic         = "vmcpspol"
	headerSize    = 128
	segmentSuffix = ".seg"
	recordsFrom   = 4096 // a block of its own, so that no write of a record touches the header
)

// segment is one file of the log. Its name, number, first and created are immutable.
type segment struct {
	name   string
	number uint64
	first  uint64 // records before this one stand in earlier segments
	seed   uint32
	room   int64 // records are written up to here
	from   int64 // and from here on: what stands before are notes; of a segment that this process made

	created time.Time // by the header; zero where it was not read

	size int64 // bytes that count against the quota; guarded by Spool.mu, as is end
	end  int64 // records are read up to here
}

func segmentName(number, first uint64) string { return fmt.Sprintf("%010d-%020d.seg", number, first) }

// parseSegmentName is the other way round of segmentName.
func parseSegmentName(name string) (number, first uint64, ok bool) {
	if _, err := fmt.Sscanf(name, "%d-%d.seg", &number, &first); err != nil || segmentName(number, first) != name {
		return 0, 0, false
	}
	return number, first, true
}

// segmentHeader is what the first block of a segment says.
type segmentHeader struct {
	number, first uint64
	created       time.Time
	size          int64
	stream        Stream
	prev          Hash
}

func (h *segmentHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint16(b[8:], Version)
	binary.LittleEndian.PutUint64(b[16:], h.number)
	binary.LittleEndian.PutUint64(b[24:], h.first)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.created.UnixNano()))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.size))
	copy(b[48:], h.stream[:])
	copy(b[64:], h.prev[:])
	binary.LittleEndian.PutUint32(b[12:], headerCRC(b))
	return b
}

func headerCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerSize])
}

// errHeader means that the first block of a segment is no header.
var errHeader = errors.New("damaged header")

// ErrVersion is wrapped by the error of [Open] and [Log.Records] when a segment was
// written by a newer version.
var ErrVersion = errors.New("the spool has a newer format")

// readSegmentHeader reads the header of f. The error is errHeader, wraps
// ErrVersion, or is one of reading.
func readSegmentHeader(f file) (*segmentHeader, error) {
	b := make([]byte, headerSize)
	if n, err := f.ReadAt(b, 0); n < headerSize {
		if err != nil && !isEnd(err) {
			return nil, err
		}
		return nil, errHeader
	}
	if string(b[:8]) != magic || binary.LittleEndian.Uint32(b[12:]) != headerCRC(b) {
		return nil, errHeader
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v > Version {
		return nil, fmt.Errorf("%w: %d, and this program reads up to %d", ErrVersion, v, Version)
	}
	h := &segmentHeader{
		number:  binary.LittleEndian.Uint64(b[16:]),
		first:   binary.LittleEndian.Uint64(b[24:]),
		created: time.Unix(0, int64(binary.LittleEndian.Uint64(b[32:]))),
		size:    int64(binary.LittleEndian.Uint64(b[40:])),
	}
	copy(h.stream[:], b[48:])
	copy(h.prev[:], b[64:])
	return h, nil
}

// createSegment makes a segment, with what its records begin with, that is on disk
// with its name when it returns.
// Where the file system can, its blocks are its own from then on; sparse says
// that it cannot. On an error nothing is left behind, as far as that is possible.
func createSegment(d disk, dir string, h *segmentHeader, begin []byte) (f file, sparse bool, err error) {
	path := filepath.Join(dir, segmentName(h.number, h.first))
	f, err = d.Create(path)
	if err != nil {
		return nil, false, err
	}
	sparse, err = prepareSegment(f, h, begin)
	if err == nil {
		err = d.SyncDir(dir)
	}
	if err != nil {
		f.Close()
		_ = d.Remove(path) // an empty segment left behind says nothing
		return nil, false, err
	}
	return f, sparse, nil
}

func prepareSegment(f file, h *segmentHeader, begin []byte) (sparse bool, err error) {
	if sparse, err = f.Allocate(h.size); err != nil {
		return false, err
	}
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		return false, err
	}
	if len(begin) > 0 {
		if _, err := f.WriteAt(begin, recordsFrom); err != nil {
			return false, err
		}
	}
	return sparse, f.Sync()
}

package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// MaxMessage bounds one message from a back end, in bytes.
const MaxMessage = 64 << 20

// ErrTooLarge says that a message is larger than [MaxMessage].
var ErrTooLarge = errors.New("a message is larger than 64 MiB")

// Event is one server-sent event.
type Event struct {
	Name string // "" for message
	Data []byte
}

// EventReader reads a stream of server-sent events as the WHATWG HTML
// standard defines it (section 9.2.6). It is not safe for concurrent use.
type EventReader struct {
	LastID string        // of the last event that was dispatched, with or without data
	Retry  time.Duration // as the server asked for; 0: it did not

	lines *LineReader
	id    string
}

// NewEventReader returns a reader of r.
func NewEventReader(r io.Reader) *EventReader { return &EventReader{lines: NewLineReader(r)} }

// Reset goes on with another stream after one that was cut: what was read of an
// event is dropped; LastID and Retry stay.
func (e *EventReader) Reset(r io.Reader) { e.lines, e.id = NewLineReader(r), e.LastID }

// Next returns the next event that has data. It owns its data.
func (e *EventReader) Next() (Event, error) {
	var ev Event
	data := false
	for {
		line, err := e.lines.Next()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			e.LastID = e.id
			if data {
				return ev, nil
			}
			ev = Event{}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			ev.Name = string(value)
		case "data":
			if len(ev.Data)+len(value) > MaxMessage {
				return Event{}, ErrTooLarge
			}
			if data {
				ev.Data = append(ev.Data, '\n')
			}
			ev.Data, data = append(ev.Data, value...), true
		case "id":
			if len(value) <= maxID && bytes.IndexByte(value, 0) < 0 {
				e.id = string(value)
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				e.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

// LineReader reads lines of at most [MaxMessage] bytes that end with LF or
// CRLF. It is not safe for concurrent use.
type LineReader struct {
	r   *bufio.Reader
	buf []byte
}

// NewLineReader returns a reader of r.
func NewLineReader(r io.Reader) *LineReader { return &LineReader{r: bufio.NewReaderSize(r, 4<<10)} }

// Next returns a line without its end, valid until the next call. A line that
// does not end is none.
func (l *LineReader) Next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && len(l.buf) == 0 {
			return trimEnd(part), nil
		}
		if len(l.buf)+len(part) > MaxMessage {
			return nil, ErrTooLarge
		}
		l.buf = append(l.buf, part...)
		if err == nil {
			line := trimEnd(l.buf)
			if cap(l.buf) > 1<<20 {
				l.buf = nil // a large one is rare; line keeps it
			}
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

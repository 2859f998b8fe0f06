package syslog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// appendFrame appends one message as it goes on a stream.
func appendFrame(dst []byte, f Framing, body []byte) []byte {
	if f == FramingOctet {
		dst = strconv.AppendInt(dst, int64(len(body)), 10)
		dst = append(dst, ' ')
		return append(dst, body...)
	}
	dst = append(dst, body...)
	return append(dst, '\n')
}

// checkBody says why a body cannot be sent as one message, which all others
// would survive.
func checkBody(body []byte, o *Options, datagram bool) error {
	switch {
	case len(body) == 0:
		return errors.New("the message is empty, which no receiver takes")
	case len(body) > o.MaxSize:
		return fmt.Errorf("the message has %d bytes, more than %d", len(body), o.MaxSize)
	case datagram || o.Framing == FramingOctet:
		return nil
	case bytes.IndexByte(body, '\n') >= 0:
		return errors.New("the message holds a line end, which would end it")
	case '0' <= body[0] && body[0] <= '9':
		return errors.New("the message begins with a digit, which receivers take for a length")
	}
	return nil
}

package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, never negative.
type Size int64

// sizeUnits are what a size may end in. Of two texts of one length String
// takes the unit that stands first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"", 1},
}

var errNotSize = errors.New("is not a size")

// UnmarshalText reads a whole number of bytes, kB, MB, GB (powers of 1000),
// KiB, MiB or GiB (powers of 1024), without a space before the unit.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/uint64(u.bytes) {
			return errors.New("is more than any file can have")
		}
		if err != nil {
			return errNotSize
		}
		*s = Size(int64(n) * u.bytes)
		return nil
	}
	return errNotSize
}

// String returns the shortest exact text that UnmarshalText reads: 1KiB, 1kB,
// 1500.
func (s Size) String() string {
	best := strconv.FormatInt(int64(s), 10)
	if s == 0 {
		return best
	}
	found := false
	for _, u := range sizeUnits {
		if int64(s)%u.bytes != 0 {
			continue
		}
		text := strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		if len(text) < len(best) || !found && len(text) == len(best) {
			best, found = text, true
		}
	}
	return best
}

package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Facility is a facility of syslog, 1 to 23: that of the kernel is not ours.
type Facility int

// facilities are the names by number, as syslog.conf(5) has them and, for 12 to
// 15, as rsyslog does.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// UnmarshalText reads a name or a number.
func (f *Facility) UnmarshalText(text []byte) error {
	n := slices.Index(facilities, strings.ToLower(string(text)))
	if n < 0 {
		number, err := strconv.ParseUint(string(text), 10, 8)
		if err != nil || number >= uint64(len(facilities)) {
			return errors.New("is not a facility")
		}
		n = int(number)
	}
	if n == 0 {
		return errors.New("is the kernel's facility")
	}
	*f = Facility(n)
	return nil
}

// String returns the name, empty for none.
func (f Facility) String() string {
	if f <= 0 || int(f) >= len(facilities) {
		return ""
	}
	return facilities[f]
}

// Package receivers starts the syslog receivers that other people run, rsyslogd
// and syslog-ng, as child processes of a test, and says what they understood.
//
// A receiver listens on loopback, keeps its own defaults for everything that
// [Options] do not ask for, and writes each message as it was parsed to a file
// in the test's folder. Two settings are not the default, so that what arrived
// is what is seen: syslog-ng keeps the host name of the message
// (keep-hostname), and its log path is under flow control, since it would
// otherwise drop what it cannot write fast enough.
//
// The programs are Debian's, unpacked beside each other in integration/.peers by
// fetch.sh (make peers), for their packages exclude each other. Where that is
// not to be had those on the PATH are taken; where there are none either, the
// test is skipped, or fails if CI=true. Linux only: a receiver is ready when
// /proc says that this very process listens on the port.
//
// The package also runs lognormalizer, the command of liblognorm, by whose rules
// rsyslog takes messages apart, and makes the certificates that tests of TLS need.
package receivers

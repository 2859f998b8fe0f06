// Package formats tests what the formats render by the parsers of other people,
// as it stands and after it has gone through a syslog receiver. It has tests only.
package formats

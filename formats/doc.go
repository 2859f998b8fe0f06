// Package formats renders events for those who read them. Every format is a
// pure function that appends to a slice, as [emitter.Format] asks.
package formats

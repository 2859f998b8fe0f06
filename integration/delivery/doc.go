// Package delivery tests what the spool and its routes promise, with real
// processes that are killed and real connections that break. It has tests only,
// and needs no program but the test binary itself, which it runs again as the
// process to be killed.
package delivery

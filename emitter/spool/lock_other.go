//go:build !unix && !windows

package spool

// lockDir keeps nobody out: there is no lock on this system.
func lockDir(string) (release func(), err error) { return func() {}, nil }

// lockHolder knows of nobody.
func lockHolder(string) (pid int, held bool) { return 0, false }

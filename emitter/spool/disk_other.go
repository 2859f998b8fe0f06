//go:build !linux

package spool

import (
	"errors"
	"os"
)

func syncData(f *os.File) error { return f.Sync() }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

// freeSpace cannot be asked for here; the quota alone bounds the spool.
func freeSpace(string) (int64, error) { return noFree, nil }

func networkFS(string) (string, bool) { return "", false }

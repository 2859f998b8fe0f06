//go:build !linux

package file

import "os"

// syncData syncs all of f; elsewhere than on Linux the standard library has no
// call for the data alone.
func syncData(f *os.File) error { return f.Sync() }

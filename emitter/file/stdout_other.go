//go:build !unix

package file

import (
	"io"
	"os"
)

// standardOutput returns standard output, wrapped so that it cannot be closed.
func standardOutput() (io.Writer, error) { return struct{ io.Writer }{os.Stdout}, nil }

package reread

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReadIsBounded reads no more than there may be of what tells no size.
func TestReadIsBounded(t *testing.T) {
	for _, size := range []int{100, maxFile, maxFile + 1} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = w.WriteString(strings.Repeat("x", size)) // a part, where it is too much
			w.Close()
		}()
		content, err := (&File{Path: fmt.Sprintf("/dev/fd/%d", r.Fd())}).Read()
		if (err == nil) != (size <= maxFile) || err == nil && len(content) != size {
			t.Errorf("%d of %d bytes, %v", len(content), size, err)
		}
		r.Close()
		<-written
	}
}

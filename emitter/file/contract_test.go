package file

import (
	"bytes"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter/sinktest"
)

func TestContract(t *testing.T) {
	halfWrite := func(x *faults, broken *atomic.Bool) {
		x.write = func(p []byte) (int, error) {
			if broken.Load() {
				return len(p) / 2, syscall.ENOSPC
			}
			return len(p), nil
		}
	}
	for _, tt := range []struct {
		name  string
		opt   Options
		fault func(x *faults, broken *atomic.Bool)
	}{
		{"full disk", Options{}, halfWrite},
		{"full disk, small files", Options{MaxSize: 500}, halfWrite},
		{"full disk, nothing can be cut off", Options{}, func(x *faults, broken *atomic.Bool) {
			halfWrite(x, broken)
			x.truncate = func(int64) error { return syscall.EIO }
		}},
		{"failing sync", Options{}, func(x *faults, broken *atomic.Bool) {
			x.sync = func() error {
				if broken.Load() {
					return syscall.EIO
				}
				return nil
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				var x faults
				var broken atomic.Bool
				tt.fault(&x, &broken)
				path := logPath(t)
				return sinktest.Fixture{
					Sink:     mustOpenOn(t, path, tt.opt, x.disk()),
					Received: func(int) []string { return wholeLinesOf(allFiles(t, path)) },
					Break: func() func() {
						broken.Store(true)
						return func() { broken.Store(false) }
					},
				}
			})
		})
	}
}

func TestContractOnStdout(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		var out bytes.Buffer
		return sinktest.Fixture{
			Sink:     mustOpen(t, Stdout, Options{Stdout: &out}),
			Received: func(int) []string { return wholeLinesOf(out.String()) },
		}
	})
}

func wholeLinesOf(text string) []string {
	all := strings.Split(text, "\n")
	return all[:len(all)-1]
}

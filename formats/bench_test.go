package formats

import (
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/formats/formatstest"
)

// BenchmarkFormats renders a filled event, as it comes from the spool, into a
// buffer that is used again.
func BenchmarkFormats(b *testing.B) {
	e := formatstest.Full()
	e.Data, e.Observer.Labels, e.Redactions = emitter.Data{}, nil, nil
	stored, err := emitter.Decode(emitter.AppendEvent(nil, e))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range Names() {
		for _, opt := range []Options{{Format: name}, {Format: name, Header: HeaderRFC5424}, {Format: name, MaxSize: MinSize}} {
			format, err := New(opt)
			if err != nil {
				continue // compact is not cut
			}
			label := string(name)
			switch {
			case opt.MaxSize > 0:
				label += "/cut"
			case opt.Header != "":
				label += "/syslog"
			default:
				label += "/whole"
			}
			b.Run(label, func(b *testing.B) {
				buf := format(nil, stored)
				b.SetBytes(int64(len(buf)))
				b.ReportAllocs()
				for b.Loop() {
					buf = format(buf[:0], stored)
				}
			})
		}
	}
}

package hec

import (
	"testing"

	"github.com/vmcp-audit/vmcp-audit/emitter/hec/hectest"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	health := func(f hectest.Fault) hectest.Fault {
		f.Path = "/health"
		return f
	}
	tests := []struct {
		name  string
		opt   Options
		acks  bool
		fault []hectest.Fault
		class string
		text  string
	}{
		{"well", Options{}, false, nil, "none", ""},
		{"acknowledges", Options{Ack: AckOn}, true, nil, "none", ""},
		{"does not acknowledge", Options{Ack: AckOn}, false, nil, "blocked", "code 14"},
		{"has no health endpoint", Options{}, false, []hectest.Fault{health(hectest.HTML(404))}, "none", ""},
		{"takes nothing for success", Options{}, false, []hectest.Fault{hectest.Code(200, 0, "Success")}, "none", ""},
		{"unwell", Options{}, false, []hectest.Fault{health(hectest.Code(503, 18, "HEC is unhealthy, queues are full"))}, "plain", "queues are full"},
		{"a page", Options{}, false, []hectest.Fault{health(hectest.HTML(200))}, "plain", "text/html"},
		{"a redirect", Options{}, false, []hectest.Fault{health(hectest.Redirect(302, "https://login.example"))}, "blocked", "login.example"},
		{"wrong token", Options{Token: ask("wrong")}, false, nil, "blocked", "code 4"},
		{"breaks off", Options{}, false, []hectest.Fault{hectest.CutBefore(), hectest.CutBefore()}, "plain", "EOF"},
		{"busy", Options{}, false, []hectest.Fault{hectest.Busy()}, "plain", "code 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := hectest.New(hectest.Options{Acks: tt.acks})
			c.Fail(tt.fault...)
			s := serve(t, c, tt.opt)
			err := s.Probe(t.Context())
			if tt.class != "none" {
				wantError(t, err, tt.class, tt.text)
			} else if err != nil {
				t.Error(err)
			}
			if c.Count() != 0 {
				t.Errorf("%d events", c.Count())
			}
		})
	}
	s := newSink(t, "http://127.0.0.1:1", Options{})
	wantError(t, s.Probe(t.Context()), "plain", "connect")
}

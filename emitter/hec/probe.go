package hec

import (
	"context"
	"net/http"
)

// Probe asks the collector whether it is well and whether it takes our token,
// without sending an event. It cannot tell whether the index is allowed. Its
// errors are of the classes of Send, and it must not run beside it.
func (s *Sink) Probe(ctx context.Context) error {
	s.refreshTLS()
	a, err := s.call(ctx, http.MethodGet, healthEndpoint, nil, "")
	if err != nil {
		return err
	}
	healthy := a.status == http.StatusOK && a.code.set
	missing := a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed // not every collector has it
	if !healthy && !missing {
		return s.fail(a)
	}
	a, err = s.call(ctx, http.MethodPost, eventEndpoint, nil, "")
	if err != nil {
		return err
	}
	if !a.code.is(codeNoData) && a.verdict().do != taken {
		return s.fail(a)
	}
	return s.beginAcks(ctx)
}

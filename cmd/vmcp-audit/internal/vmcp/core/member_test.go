package core

import (
	"errors"
	"strings"
	"testing"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// TestFetchBounds has lists without an end, in one page and in many.
func TestFetchBounds(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for name, page := range map[string]string{
		"one page":    `{"tools":[1` + strings.Repeat(",1", maxEntries) + `]}`,
		"one cursor":  `{"tools":[],"nextCursor":"a"}`,
		"large pages": `{"tools":[],"nextCursor":"a","x":"` + large + `"}`,
	} {
		calls := 0
		_, _, err := fetch(tools, nil, func(wire.Raw) (wire.Raw, error) { calls++; return wire.Raw(page), nil })
		if !errors.Is(err, errEndless) || calls > maxPages || calls*len(page) > wire.MaxMessage+len(page) {
			t.Errorf("%s: %v after %d calls", name, err, calls)
		}
	}
	if entries, _, err := fetch(tools, nil, func(wire.Raw) (wire.Raw, error) {
		return wire.Raw(`{"tools":[1` + strings.Repeat(",1", maxEntries-1) + `]}`), nil
	}); err != nil || len(entries) != maxEntries {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

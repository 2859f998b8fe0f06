package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/ship"
	"github.com/vmcp-audit/vmcp-audit/emitter"
)

// progress is one line at the bottom of a terminal. What else is written there
// by it stands above the line. A nil progress shows nothing.
type progress struct {
	mu    sync.Mutex // guards all below
	to    io.Writer
	shown string
	at    time.Time
}

// progressGap is how often the line changes at most.
const progressGap = 500 * time.Millisecond

const clearLine = "\r\x1b[K"

// newProgress returns nil if w is no terminal.
func newProgress(w io.Writer) *progress {
	if !isTerminal(w) {
		return nil
	}
	return &progress{to: w}
}

// Write writes whole lines above the progress.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown == "" {
		return p.to.Write(b)
	}
	_, _ = io.WriteString(p.to, clearLine)
	n, err := p.to.Write(b)
	_, _ = io.WriteString(p.to, p.shown)
	return n, err
}

func (p *progress) show(st ship.Stats, routes []emitter.RouteStats) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if line := progressLine(st, routes); line != p.shown && time.Since(p.at) >= progressGap {
		p.shown, p.at = line, time.Now()
		_, _ = io.WriteString(p.to, clearLine+line)
	}
}

// end takes the line away.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown != "" {
		_, _ = io.WriteString(p.to, clearLine)
		p.shown = ""
	}
}

// progressLine tells the state in one line.
func progressLine(st ship.Stats, routes []emitter.RouteStats) string {
	parts := []string{fmt.Sprintf("%d events stored", st.Events)}
	if st.Aside > 0 {
		parts = append(parts, fmt.Sprintf("%d lines kept aside", st.Aside))
	}
	if st.Waits {
		parts = append(parts, "the spool is full")
	}
	for _, r := range routes {
		switch {
		case r.State != emitter.RouteUp:
			parts = append(parts, fmt.Sprintf("%s %s, %d wait", r.Name, r.State, r.Pending))
		case r.Pending > 0:
			parts = append(parts, fmt.Sprintf("%d wait for %s", r.Pending, r.Name))
		}
	}
	return strings.Join(parts, " · ")
}

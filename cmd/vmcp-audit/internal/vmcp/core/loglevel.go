package core

import (
	"context"
	"slices"

	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/upstream"
	"github.com/vmcp-audit/vmcp-audit/cmd/vmcp-audit/internal/vmcp/wire"
)

// level is how severe a log message is, from debug up. A modern client says with
// each call from which level on it wants to hear, and hears nothing otherwise
// (revision 2026-07-28, "Per-request log level"); a legacy back end is told once
// for a whole session, which several calls share. So it is told the lowest level
// that a call wants, and each call is given what it wants.
type level int

// levels are those of RFC 5424, by rising severity.
var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

const (
	everything level = 0 // as for legacy clients, who have said so to the back end themselves
	nothing    level = 9
)

// levelOf returns the level of a name, other for one that is none.
func levelOf(name wire.Raw, other level) level {
	if i := slices.Index(levels, wire.Text(name)); i >= 0 {
		return level(i + 1)
	}
	return other
}

// wanted returns the level that a modern client's call asks for.
func wanted(params wire.Raw) level { return levelOf(wire.Get(params, "_meta", metaLogLevel), nothing) }

// wants reports whether a call is to hear of a message. One of an unknown level
// is taken to be severe.
func (l level) wants(message wire.Raw) bool {
	return levelOf(wire.Get(message, "level"), nothing-1) >= l
}

// tellWanted tells a back end that logs the level which a modern client's call
// asks for, unless it was told that one or a lower one before.
func (s *Session) tellWanted(ctx context.Context, m *member, conn upstream.Conn, want level) {
	st := m.state()
	if want == everything || want == nothing || !st.can("logging") {
		return
	}
	l, err := s.link(m)
	if err != nil || !l.lower(conn, want) {
		return
	}
	params := wire.Set(nil, "level", wire.Quote(levels[want-1]))
	if _, err := conn.Call(ctx, upstream.Request{Method: "logging/setLevel", Params: params}, upstream.Nobody); err != nil {
		s.g.log.Debug("a back end did not take a log level", "backend", m.Name, "error", errorText(err))
	}
}

// lower notes that a connection is told a level, and reports whether that is
// lower than what it was told before.
func (l *link) lower(conn upstream.Conn, want level) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != conn || l.level != everything && l.level <= want {
		return false
	}
	l.level = want
	return true
}

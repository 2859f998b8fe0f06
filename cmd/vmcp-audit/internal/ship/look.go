package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// look looks through the folders, and brings the sources in line with them if
// anything has changed.
func (s *Shipper) look(ctx context.Context) error {
	now := time.Now()
	paths, err := expand(s.opt.Inputs)
	if err != nil {
		return err
	}
	found := candidates(paths)
	if !s.opt.Follow && s.looked.IsZero() {
		if err := allThere(paths, found); err != nil {
			return err
		}
	}
	due := !s.again.IsZero() && !now.Before(s.again)
	if !s.looked.IsZero() && !due && sameFiles(s.found, found) && s.allIntact() {
		s.looked = now
		return nil
	}
	since := s.positions.looked()
	if s.looked.After(since) {
		since = s.looked
	}
	s.again, s.found = time.Time{}, found
	m := &matching{Shipper: s, found: found}
	m.keepIntact()
	m.matchIDs()
	m.matchHeads()
	if m.findGone(now) {
		if err := m.takeNew(now, since); err != nil {
			return err
		}
		s.looked = now // else what is new is still to be found
	}
	if err := m.open(); err != nil {
		return err
	}
	return s.settle(ctx, m.gone, paths, m.losses)
}

// allThere names the first file that is not: without Follow nobody waits for it.
func allThere(paths []string, found []*candidate) error {
	if len(paths) == 0 {
		return fmt.Errorf("no file matches: %w", os.ErrNotExist)
	}
	for _, path := range paths {
		if slices.ContainsFunc(found, func(c *candidate) bool { return c.path == path || c.family == path }) {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() && !info.IsDir() {
			return fmt.Errorf("%s is no regular file; what comes from a pipe is shipped with the input -", path)
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a folder; name the files, as %s", path, strings.TrimSuffix(path, "/")+"/*.log")
		}
	}
	return nil
}

func (s *Shipper) allIntact() bool {
	return !slices.ContainsFunc(s.sources, func(src *source) bool { return src.broken || src.intact() != nil })
}

// matching finds for each position the file that it is of.
type matching struct {
	*Shipper
	found  []*candidate
	placed map[*position]*candidate
	gone   []*position // whose files are not there any more
	losses []*emitter.Event
}

// keepIntact goes on with the files that are open and what they were, wherever
// their names have gone.
func (m *matching) keepIntact() {
	m.placed = map[*position]*candidate{}
	var kept []*source
	for _, src := range m.sources {
		if src.broken || src.intact() != nil {
			src.close()
			continue
		}
		kept = append(kept, src)
		src.know()
		if c := byID(m.found, src.pos); c != nil {
			m.place(src.pos, c)
			src.c = c
		} else {
			m.placed[src.pos] = src.c
		}
	}
	m.sources = kept
}

func (m *matching) place(p *position, c *candidate) {
	c.claimed, p.gone = true, time.Time{}
	m.placed[p] = c
	if p.Path != c.path || p.File != c.id {
		p.Path, p.File, p.dirty = c.path, c.id, true
	}
}

func (m *matching) matchIDs() {
	for _, p := range m.positions.all {
		if m.placed[p] != nil {
			continue
		}
		if c := byID(m.found, p); c != nil && c.holds(p) {
			m.place(p, c)
		}
	}
}

// matchHeads finds the copies of files that are gone or were cut.
func (m *matching) matchHeads() {
	for _, p := range m.positions.all {
		if m.placed[p] != nil {
			continue
		}
		if c := byHead(m.found, p); c != nil {
			m.opt.Log.Info("an input was rotated and is found again", "was", p.Path, "now", c.path, "offset", p.Offset)
			m.place(p, c)
		}
	}
}

// findGone notes the positions whose files are not there any more. It is false
// as long as that may be since names are just being changed: then nothing is new
// for now.
func (m *matching) findGone(now time.Time) bool {
	sure := !slices.ContainsFunc(m.found, func(c *candidate) bool { return c.moved })
	for _, p := range m.positions.all {
		if m.placed[p] != nil || !m.asked(p.Family) {
			continue
		}
		if p.gone.IsZero() {
			p.gone = now
		}
		unread := p.Offset == 0 && p.Size == 0
		if p.Done || unread || now.Sub(p.gone) >= m.opt.patience {
			m.gone = append(m.gone, p)
		} else {
			sure = false
		}
	}
	if !sure {
		m.gone = nil
		m.again = now
	}
	return sure
}

// asked reports whether the user's names and patterns mean path, be it there or not.
func (m *matching) asked(path string) bool {
	return slices.ContainsFunc(m.opt.Inputs, func(in string) bool {
		ok, err := filepath.Match(in, path)
		return err == nil && ok || filepath.Clean(in) == path
	})
}

// takeNew begins with the files that are named, and with generations of them that
// were changed since the folders were looked through and that nobody knew. A copy
// of what is being read is not read.
func (m *matching) takeNew(now, since time.Time) error {
	waiting := m.waiting
	m.waiting = nil
	for _, c := range m.found {
		generation := c.path != c.family
		if c.claimed || generation && m.isCopy(c, now) {
			continue
		}
		missed := !since.IsZero() && !c.changed.Before(since.Add(-clockGap)) || slices.Contains(waiting, c.id)
		if !c.named && !missed {
			continue
		}
		if generation && len(c.head()) < sureSize {
			ready, err := m.ready(c, now)
			if err != nil {
				return err
			}
			if !ready {
				continue
			}
		}
		if !c.named {
			m.opt.Log.Info("an input was rotated while nobody looked", "file", c.path)
		}
		m.place(m.positions.add(c), c)
	}
	return nil
}

// ready reports whether a generation that begins with less than tells it from
// others is read as it is: not while it may still be written, and not if it holds
// nothing. One that cannot be read is an error, with Follow in the log, once.
func (m *matching) ready(c *candidate, now time.Time) (bool, error) {
	fresh := m.opt.Follow && now.Sub(c.changed) < m.opt.patience
	if fresh || m.opt.Follow && c.fault != nil {
		m.wait(c, now)
	}
	switch {
	case fresh || c.fault == nil && len(c.head()) == 0:
		return false, nil
	case c.fault == nil:
		return true, nil
	case !m.opt.Follow:
		return false, fmt.Errorf("%s: %w", c.path, c.fault)
	case !slices.Contains(m.unreadable, c.id):
		m.unreadable = append(m.unreadable, c.id)
		m.lost.Add(1)
		m.opt.Log.Error("a rotated input cannot be read; what it holds is lost unless it is written anew", "file", c.path, "error", c.fault)
		m.losses = append(m.losses, lossOf(c.path, "cannot be read: "+c.fault.Error()))
	}
	return false, nil
}

// wait has c looked at again soon, as one that is new.
func (m *matching) wait(c *candidate, now time.Time) {
	m.again = now.Add(clockGap)
	m.waiting = append(m.waiting, c.id)
}

// isCopy reports whether the file begins as one that is known does. That one may
// be cut before it is read: then the copy is what there is.
func (m *matching) isCopy(c *candidate, now time.Time) bool {
	for _, p := range m.positions.all {
		d, head := m.placed[p], []byte(nil)
		i := slices.IndexFunc(m.sources, func(src *source) bool { return src.pos == p })
		switch {
		case d == c:
			continue
		case i >= 0:
			head = m.sources[i].begin()
		case d != nil:
			head = d.head()
		}
		n := min(len(head), len(c.head()))
		if n >= sureSize && bytes.Equal(head[:n], c.head()[:n]) || p.sure() && p.begins(c.head()) {
			if !p.sure() {
				m.wait(c, now)
			}
			return true
		}
	}
	return false
}

// open opens the files that may have more, and puts the sources in order.
func (m *matching) open() error {
	for _, p := range m.positions.all {
		c := m.placed[p]
		opened := slices.ContainsFunc(m.sources, func(src *source) bool { return src.pos == p })
		if c == nil || opened || p.Done && (c.compressed() || c.size <= p.Offset) {
			continue
		}
		src, err := openSource(p, c)
		switch {
		case err == nil:
			m.sources = append(m.sources, src)
		case errors.Is(err, errMoved), errors.Is(err, errCut):
			m.again = time.Now()
		case m.opt.Follow:
			m.opt.Log.Warn("an input cannot be read; it is tried again", "file", c.path, "error", err)
			m.again = time.Now().Add(clockGap)
		default:
			return fmt.Errorf("%s: %w", c.path, err)
		}
	}
	slices.SortStableFunc(m.sources, func(a, b *source) int {
		return compareSources(a, b, m.found)
	})
	return nil
}

// compareSources puts those first that have no name any more.
func compareSources(a, b *source, found []*candidate) int {
	if c := strings.Compare(a.pos.Family, b.pos.Family); c != 0 {
		return c
	}
	return slices.Index(found, a.c) - slices.Index(found, b.c)
}

// settle stores the positions as they are now with losses, and tells of files that
// are gone before they were read to their end. Of families that only a pattern named, and
// that are no more, nobody expects that.
func (s *Shipper) settle(ctx context.Context, gone []*position, families []string, losses []*emitter.Event) error {
	var notes []spool.Note
	for _, p := range gone {
		notes = append(notes, spool.Note{Key: p.key})
		s.positions.all = slices.DeleteFunc(s.positions.all, func(q *position) bool { return p == q })
		if p.Done || p.Offset == 0 && p.Size == 0 {
			continue
		}
		if !slices.Contains(families, p.Family) {
			s.opt.Log.Warn("a file that a pattern named is gone; how far it was read is forgotten", "file", p.Path, "offset", p.Offset, "line", p.Line)
			continue
		}
		s.lost.Add(1)
		s.opt.Log.Error("an input was cut or is gone; what stood there behind the offset is lost", "file", p.Path, "offset", p.Offset, "line", p.Line)
		losses = append(losses, lossOf(p.Path, fmt.Sprintf("cut or gone behind offset %d, line %d", p.Offset, p.Line)))
	}
	for _, p := range s.positions.all {
		if p.dirty {
			notes = append(notes, s.noteOf(p))
			p.dirty = false
		}
	}
	if len(notes)+len(losses) == 0 {
		return nil
	}
	return s.insist(ctx, func() error { return s.em.EmitNoted(ctx, notes, losses...) })
}

// lossOf returns the event that tells of a file that was not read to its end.
func lossOf(path, why string) *emitter.Event {
	e := emitter.NewLoss(emitter.Loss{Cause: emitter.LossInput})
	e.Target.Type, e.Target.Name = "file", path
	e.Metadata.Extra.ErrorMessage = why
	return e
}

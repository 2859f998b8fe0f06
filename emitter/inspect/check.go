package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/chain"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// Checked is what Check has found.
type Checked struct {
	OK  bool   `json:"ok"`
	Dir string `json:"dir"`
	*chain.Report
	Findings []Finding `json:"findings,omitempty"` // the first of them
	Found    int       `json:"found"`              // all of them
}

// Finding is what is wrong besides the chain.
type Finding struct {
	Path string `json:"path,omitempty"` // below Dir
	Seq  uint64 `json:"seq,omitempty"`
	Text string `json:"text"`
}

// String returns the finding as one line for people.
func (f *Finding) String() string {
	switch {
	case f.Path != "":
		return f.Path + ": " + f.Text
	case f.Seq > 0:
		return fmt.Sprintf("seq %d: %s", f.Seq, f.Text)
	}
	return f.Text
}

// Check reads everything in the folder of the spool in dir: the checksums and the
// chain of all records, whether each is an event, the cursors and the dead
// letters. limit bounds what is listed of each kind; 0 means chain.DefaultLimit.
func Check(ctx context.Context, dir string, limit int) (*Checked, error) {
	for {
		c, err := check(ctx, dir, limit)
		if !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			return c, err
		}
		if _, err := spool.OpenLog(dir); err != nil {
			return nil, err
		}
		// The process that writes has removed what we were reading: again.
	}
}

func check(ctx context.Context, dir string, limit int) (*Checked, error) {
	if limit <= 0 {
		limit = chain.DefaultLimit
	}
	l, err := spool.OpenLog(dir)
	if err != nil {
		return nil, err
	}
	marks, err := l.Marks()
	if err != nil {
		return nil, err
	}
	if l, err = spool.OpenLog(dir); err != nil { // after the marks: what is confirmed stands there already
		return nil, err
	}
	c := &checker{limit: limit, checked: Checked{Dir: dir}}
	if s := l.Segments(); len(s) > 0 {
		c.last = s[len(s)-1].First - 1 // it may be empty, and those before it removed
	}
	v := &chain.Verifier{Limit: limit}
	if err := v.Records(ctx, dir, l.Stream(), c.watch(l.Records())); err != nil {
		return nil, err
	}
	c.marks(marks)
	c.letters(l)
	c.checked.Report = v.Report()
	c.checked.OK = c.checked.Report.OK() && c.checked.Found == 0
	return &c.checked, nil
}

// checker gathers findings.
type checker struct {
	checked Checked
	limit   int
	last    uint64 // seq
}

// watch passes records on and looks at them.
func (c *checker) watch(records iter.Seq2[spool.Record, error]) iter.Seq2[spool.Record, error] {
	return func(yield func(spool.Record, error) bool) {
		for rec, err := range records {
			if err == nil {
				c.last = rec.Seq
				if _, bad := emitter.Decode(rec.Payload); bad != nil && !rec.Gap {
					c.find(Finding{Seq: rec.Seq, Text: "no event: it cannot be delivered"})
				}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func (c *checker) find(f Finding) {
	if c.checked.Found++; c.checked.Found <= c.limit {
		c.checked.Findings = append(c.checked.Findings, f)
	}
}

func (c *checker) marks(marks []spool.MarkInfo) {
	for _, m := range marks {
		name := "cursor " + m.Name
		switch {
		case m.Damaged:
			c.find(Finding{Text: name + " is damaged, or of another spool: its route gets everything again"})
		case m.Confirmed > c.last:
			c.find(Finding{Text: fmt.Sprintf("%s has confirmed seq %d, and the last record is %d: the end is missing", name, m.Confirmed, c.last)})
		}
	}
}

func (c *checker) letters(l *spool.Log) {
	for _, f := range l.Files() {
		route, seq, ok := emitter.ParseLetterPath(f.Path)
		if !ok {
			continue
		}
		letter, err := emitter.ReadDeadLetter(filepath.Join(l.Dir(), f.Path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			c.find(Finding{Path: f.Path, Text: "no dead letter can be read from it"})
		case letter.Route != route || letter.Seq != seq:
			c.find(Finding{Path: f.Path, Text: "it holds another dead letter than its name says"})
		}
	}
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"

	"github.com/vmcp-audit/vmcp-audit/emitter"
	"github.com/vmcp-audit/vmcp-audit/emitter/spool"
)

// room is what an act may add to a spool, in bytes, whatever its quota: the events
// that tell of it. It is as much as the smallest segment needs.
const room = 1 << 20

// Spool is a spool that is held for an act. It is for one goroutine.
type Spool struct {
	log   *spool.Spool
	em    *emitter.Emitter
	actor emitter.Subject
}

// Open opens the spool in dir for acts; opt stamps the events that tell of them.
// The error wraps [fs.ErrNotExist] if there is no spool, [spool.ErrInUse] if a
// process has it, and [ErrOwner] if it belongs to another user.
func Open(dir string, opt emitter.Options) (*Spool, error) {
	l, err := spool.OpenLog(dir)
	if err != nil {
		return nil, err
	}
	if err := checkOwner(dir); err != nil {
		return nil, err
	}
	// Nothing may be dropped to make room, and a full spool can be relieved.
	s, err := spool.Open(dir, spool.Options{
		Full: spool.Refuse, MaxSize: l.Used() + room, Reserved: -1, MinFree: -1,
		Gap: emitter.GapPayload(opt), Log: opt.Log,
	})
	if err != nil {
		return nil, err
	}
	em, err := emitter.New(s, opt)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Spool{log: s, em: em, actor: actor()}, nil
}

// Close gives the spool back.
func (s *Spool) Close() error { return s.log.Close() }

// ErrOwner is wrapped by the error of [Open] for a folder of another user.
var ErrOwner = errors.New("belongs to another user")

// checkOwner keeps root from leaving files that the owner cannot open.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	uid, ok := ownerOf(info)
	if !ok || uid == os.Geteuid() {
		return nil
	}
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return fmt.Errorf("%s %w, %s", dir, ErrOwner, name)
}

// actor returns the user that runs this process.
func actor() emitter.Subject {
	s := emitter.Subject{Type: "user", UserID: strconv.Itoa(os.Geteuid())}
	if u, err := user.Current(); err == nil {
		s.User, s.UserID = u.Username, u.Uid
	}
	return s
}

// Forget does what PlanForget has planned.
func (s *Spool) Forget(ctx context.Context, p *Plan) error {
	return s.act(ctx, p, func() error {
		if p.Act == ActForgetFully {
			for _, seq := range p.letters {
				if err := emitter.RemoveDeadLetter(s.log, p.Route, seq); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
		if !p.cursor {
			return nil
		}
		return s.log.Forget(p.Route)
	})
}

// Replay does what PlanReplay has planned: the next process that delivers to the
// route begins there.
func (s *Spool) Replay(ctx context.Context, p *Plan) error {
	return s.act(ctx, p, func() error {
		_, err := s.log.Replay(p.Route, p.FirstSeq)
		return err
	})
}

// act does what is planned between the two events that tell of it.
func (s *Spool) act(ctx context.Context, p *Plan, do func() error) error {
	if p.empty() {
		return ErrNothing
	}
	begin := s.event(p, nil)
	begin.Conclude(emitter.OutcomePending, "")
	id := begin.AuditID
	if err := s.em.Emit(ctx, begin); err != nil {
		return fmt.Errorf("nothing was done, since it cannot be told in the trail: %w", err)
	}
	return s.told(ctx, p, id, do())
}

// told tells how an act has ended, and returns its error.
func (s *Spool) told(ctx context.Context, p *Plan, id string, err error) error {
	end := s.event(p, err)
	end.Trace.ParentAuditID = id
	if told := s.em.Emit(context.WithoutCancel(ctx), end); told != nil {
		return errors.Join(err, fmt.Errorf("the end of the act cannot be told in the trail: %w", told))
	}
	return err
}

// event returns an event that tells of the act, and of its error if it has ended.
func (s *Spool) event(p *Plan, err error) *emitter.Event {
	e := emitter.NewEvent(emitter.TypeAuditAdmin)
	e.Conclude(emitter.OutcomeSuccess, "")
	if err != nil {
		e.Conclude(emitter.OutcomeFailure, emitter.ReasonOther)
		e.Metadata.Extra.ErrorMessage = err.Error()
	}
	e.Source.Type = "local"
	e.Subjects = s.actor
	e.Target.Type, e.Target.Name = "destination", p.Route
	told := *p
	told.Dir = ""
	e.Data.Request, _ = json.Marshal(told) // words and numbers always can
	return e
}

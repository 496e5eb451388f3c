// Package migration moves a stream to another interface, or to another server there, because somebody asks for it: the old connection goes
// on delivering until the new one has been proved and stands where the program will be. stream.go is the seam to the stream; migrate.go the
// way of one migration; ahead.go asks a server ahead of the program (make before break), ask.go from where the program stands, single.go
// closes the old connection first (break before make); wait.go is what is waited for.
package migration

import (
	"context"
	"errors"
	"time"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/manager"
	"midstream/core/reason"
	"midstream/core/resume"
	"midstream/core/twin"
)

// Mover moves one stream. Safe for concurrent use.
type Mover struct {
	s      Stream
	config *config.Config

	// Of the migration under way, with the stream's turn.
	delay time.Duration // how long the new server took to answer, if it was too long
	late  int           // how often that was so
	vain  bool          // it has skipped, and nothing came of that
	held  func() int64  // up to which content offset all is here already; nil: no farther than the program has received

	parked bool // the program waits on a quiet pair: its connection brings no more
}

// New returns the mover of a stream.
func New(s Stream, c *config.Config) *Mover { return &Mover{s: s, config: c} }

// MaxAttempts bounds how often a migration starts anew because the exchange has moved on meanwhile.
const MaxAttempts = 4

// Migrate moves the stream to the interface. One migration of a stream at a time; a second one waits, and so does one of a
// request that has not been answered. A stream that is there already stays: there is no migration then, and no error.
func (m *Mover) Migrate(ctx context.Context, to, trigger string) (*control.Migration, error) {
	return m.migrate(ctx, to, trigger, nil)
}

// Gather is Migrate for a stream that several connections feed: one, over the interface, takes their place, wherever the stream is said to
// be.
func (m *Mover) Gather(ctx context.Context, to, trigger string, from *Gathering) (*control.Migration, error) {
	return m.migrate(ctx, to, trigger, from)
}

// Gathering is what several connections do.
type Gathering struct {
	// Still, asked once it is the migration's turn, reports whether they feed the stream.
	Still func() bool
	// Held is the content offset up to which they have brought all.
	Held func() int64
}

func (m *Mover) migrate(ctx context.Context, to, trigger string, from *Gathering) (*control.Migration, error) {
	for {
		done, err := m.migrateOnce(ctx, to, trigger, from)
		if err == errUnanswered && m.answerComes(ctx) {
			continue
		}
		if err != nil {
			m.s.Refused(to, err)
		}
		return done, err
	}
}

// migrateOnce is Migrate but for the wait for an answer, where it returns errUnanswered.
func (m *Mover) migrateOnce(ctx context.Context, to, trigger string, gathered *Gathering) (*control.Migration, error) {
	if m.s.Turn().Take(ctx) != nil {
		return nil, reason.Moving
	}
	defer m.s.Turn().Give()
	if gathered != nil && !gathered.Still() {
		return nil, nil
	}
	if gathered == nil && trigger != manager.TriggerServer && m.s.At(ctx, to) {
		m.s.Keep(to, trigger)
		return nil, nil
	}
	m.delay, m.late, m.vain, m.parked, m.held = 0, 0, false, false, nil
	if gathered != nil {
		m.held = gathered.Held
	}
	m.s.Migrating(true)
	defer m.s.Migrating(false)
	from := m.s.End()
	var err error
	for attempt := 0; attempt < MaxAttempts; attempt++ {
		var done *delivery.Outcome
		done, err = m.attempt(ctx, to)
		if err == nil {
			return m.s.Record(ctx, from, to, trigger, done), nil
		}
		if !errors.Is(err, resume.ErrAgain) && !errors.Is(err, resume.ErrLate) {
			break
		}
	}
	if ctx.Err() == context.DeadlineExceeded && errors.Is(err, context.DeadlineExceeded) {
		err = reason.TimedOut
	}
	return nil, err
}

// attempt moves the stream in the way its present state asks for.
func (m *Mover) attempt(ctx context.Context, to string) (*delivery.Outcome, error) {
	m.s.Refresh(ctx)
	now := m.s.State()
	from := now.Interface
	if !now.Why.None() {
		// The program may have come to the exchange's end, or begun another one, without its being known here yet.
		if m.s.Inquire(ctx) != nil {
			return nil, now.Why
		}
		now = m.s.State()
	}
	if !now.Why.None() {
		return nil, now.Why
	}
	e := now.Current
	if why := m.s.Barred(to); !why.None() {
		return nil, why
	}
	if err := m.s.Unshared(ctx); err != nil {
		return nil, err
	}
	if e == nil {
		return m.moveIdle(ctx, to, now.Last)
	}
	isLive := e.Live() != nil
	if !isLive && !elsewhere.Named(m.s.Elsewhere(e)) { // whose tail is kept all the time
		m.s.KeepTail(true)
		defer m.s.KeepTail(false)
	}
	_, trailing := e.InTrailer()
	switch {
	case m.config.Single(from, to):
		return m.breakBeforeMake(ctx, to, e)
	case isLive:
		return m.takeOver(ctx, to, e) // where the new connection begins cannot be asked for
	case trailing && m.Finishes(ctx, e, shortfall):
		return nil, resume.ErrAgain
	case trailing:
		return m.takeOver(ctx, to, e)
	}
	done, err := m.makeBeforeBreak(ctx, to, e)
	return m.orElsewhere(ctx, to, e, done, err)
}

// moveIdle replaces a kept-alive connection between two exchanges.
func (m *Mover) moveIdle(ctx context.Context, to string, last *exchange.Exchange) (*delivery.Outcome, error) {
	rt, err := m.s.Destination(to, last.Request)
	if err != nil {
		return nil, err
	}
	conn, err := m.s.Open(ctx, rt)
	if err != nil {
		return nil, err
	}
	return delivery.Idle(ctx, m.s, last, conn, rt)
}

// Renew gives a stream whose connection serves this exchange only another one for the next. It returns when that is done, or cannot be.
func (m *Mover) Renew(e *exchange.Exchange) {
	ctx := context.Background()
	if err := m.s.Await(ctx, func(s State) (bool, error) {
		if s.Closed || s.Left {
			return true, twin.ErrClosed
		}
		return e.Done(), nil
	}); err != nil || !e.Persistent() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.config.Migration.Timeout)
	defer cancel()
	select {
	case m.s.Turn().C <- struct{}{}:
		defer m.s.Turn().Give()
	case <-ctx.Done():
		return
	}
	now := m.s.State()
	if now.Current != nil || now.Last != e || !now.Why.None() {
		return
	}
	if _, err := m.moveIdle(ctx, now.Interface, e); err != nil && !errors.Is(err, resume.ErrAgain) {
		m.s.Log().Debug().Err(err).Msg("the idle connection was not replaced")
	}
}

// What a migration waits for before it asks a server.
package migration

import (
	"context"
	"time"

	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/reason"
	"midstream/core/resume"
	"midstream/core/silence"
	"midstream/core/twin"
)

// answerComes waits until the request that the stream waits with has been answered, or may be repeated. It reports whether that
// is worth another look: not if ctx has ended.
func (m *Mover) answerComes(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := m.s.State().Current
	if e == nil {
		return true
	}
	guard.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(silence.Thinking * m.config.Failover.SuspectAfter):
			}
			if m.s.Probe(ctx, silence.ProbeThinking) == silence.Dead {
				e.LosePath()
				m.s.Wake()
				return
			}
		}
	})
	return m.s.Await(ctx, func(s State) (bool, error) { return s.stirs(e) || s.Closed || !s.Why.None(), nil }) == nil
}

// errUnanswered says that a request is not sent a second time while its connection is there.
var errUnanswered error = reason.Unanswered

// requestComplete waits until the program has written the whole head of the request.
func (m *Mover) requestComplete(ctx context.Context, e *exchange.Exchange) error {
	return m.s.Await(ctx, func(s State) (bool, error) {
		switch {
		case s.Closed:
			return true, twin.ErrClosed
		case !e.Why().None():
			return true, e.Why()
		}
		return e.Asked(), nil
	})
}

// headComes waits, limit at most, for the response's head.
func (m *Mover) headComes(ctx context.Context, e *exchange.Exchange, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return m.s.Await(ctx, func(s State) (bool, error) {
		return e.Answered() || e.Done() || s.Closed || !e.Why().None() || e.HeadLength() > 0 || s.Failed, nil
	}) == nil
}

// HeadComplete waits until the program has read the response's head, and says whether the exchange can be moved.
func (m *Mover) HeadComplete(ctx context.Context, e *exchange.Exchange) error {
	err := m.s.Await(ctx, func(s State) (bool, error) {
		switch {
		case s.Closed:
			return true, twin.ErrClosed
		case !e.Why().None():
			return true, e.Why()
		case e.Answered() || e.Done():
			return true, nil
		case s.Failed:
			return true, reason.Ended
		}
		return false, nil
	})
	if err == nil && e.Over() {
		return resume.ErrAgain
	}
	return err
}

// Finishes waits, limit at most, for the end of the exchange.
func (m *Mover) Finishes(ctx context.Context, e *exchange.Exchange, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return m.s.Await(ctx, func(s State) (bool, error) { return e.Over(), nil }) == nil
}

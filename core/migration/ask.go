// Asking for what the program has not received, without help of the old connection.
package migration

import (
	"context"
	"errors"
	"time"

	"midstream/core/channel"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resume"
)

// callableOff reports whether the refusal means no more than that the program did not reach the offset.
func callableOff(err error) bool {
	var u *delivery.Unmoved
	return errors.As(err, &u) && u.Retry() == reason.RetryHere
}

// takeOver continues from where the program stands, without help of the old connection: at the exchange's own servers or, if they do not,
// elsewhere.
func (m *Mover) takeOver(ctx context.Context, to string, e *exchange.Exchange) (*delivery.Outcome, error) {
	done, err := m.takeOverAt(ctx, to, elsewhere.Place{}, e)
	return m.orElsewhere(ctx, to, e, done, err)
}

// orElsewhere returns what the exchange's own servers have come to or, where that is nothing, tries others.
func (m *Mover) orElsewhere(ctx context.Context, to string, e *exchange.Exchange, done *delivery.Outcome, err error) (*delivery.Outcome, error) {
	if err == nil || err == errUnanswered || errors.Is(err, resume.ErrAgain) || errors.Is(err, resume.ErrLate) {
		return done, err
	}
	m.s.Describe(ctx, []string{to}, e)
	for _, place := range m.s.Elsewhere(e) {
		if ctx.Err() != nil {
			break
		}
		if done, failed := m.takeOverAt(ctx, to, place, e); failed == nil || errors.Is(failed, resume.ErrAgain) {
			return done, failed
		}
	}
	return nil, err
}

func (m *Mover) takeOverAt(ctx context.Context, to string, place elsewhere.Place, e *exchange.Exchange) (*delivery.Outcome, error) {
	r, done, err := m.Ask(ctx, to, place, nil, e, false)
	if err == nil && done == nil {
		done, err = delivery.Rest(ctx, m.s, e, r, channel.Now, 0)
	}
	return done, err
}

// Ask asks servers over the interface for what the program has not received yet, the one that ready leads to first, unless
// that is nil. Where the program has not read the response's head, the request is repeated, and handed over already. brings:
// an answer has to bring content as well. The connection is taken over. With a place, what is said to be there is asked for.
func (m *Mover) Ask(ctx context.Context, to string, place elsewhere.Place, ready *dial.Conn, e *exchange.Exchange, brings bool) (r *resume.Rest, done *delivery.Outcome, err error) {
	fail := func(err error) (*resume.Rest, *delivery.Outcome, error) {
		if ready != nil {
			ready.Reset()
		}
		return nil, nil, err
	}
	if err := m.requestComplete(ctx, e); err != nil {
		return fail(err)
	}
	request, foreign := e.Request, place.URL != ""
	rt, err := m.s.Destination(to, request)
	var pieces *metalink.Pieces
	if foreign {
		m.s.Describe(ctx, []string{to}, e)
		pieces = m.s.Pieces(e)
		request, rt, err = m.s.Foreign(to, place, e)
	}
	if err != nil {
		return fail(err)
	}
	overlap := int64(0)
	if foreign {
		overlap = resume.OverlapFull
	}
	err = m.s.OverServers(ctx, e, rt, ready, func(rt resume.Destination, conn *dial.Conn) error {
		if why := e.Why(); !why.None() {
			return why
		}
		if foreign && e.InHead() {
			return reason.HeadUnread
		}
		if e.InHead() {
			done, err = delivery.Restart(ctx, m.s, conn, rt, e)
			return err
		}
		had := resume.Tail{}
		if foreign && !brings {
			had = m.s.Asker(e).Collect(ctx, time.Second) // the old connection goes on
		}
		at := max(e.Received(), had.End)
		if e.Over() || e.Framing.Kind == http1.Length && at >= e.Length() {
			return resume.ErrAgain
		}
		overlap = max(overlap, e.Least())
		if known, strong := m.s.Asker(e).Mirror(conn.Remote()); known && !strong {
			overlap = resume.OverlapFull
		}
		read, trailing := e.InTrailer()
		r, err = m.s.Prove(ctx, e, conn, resume.Question{Request: request, To: rt, At: at, Overlap: overlap, Exact: true, Trailing: trailing, Read: read,
			Brings: brings, Ended: brings || m.parked, Had: had, Moved: foreign, Foreign: foreign, Pieces: pieces})
		if err != nil {
			var more *refusal.Refusal
			if errors.As(err, &more) && more.More {
				overlap = resume.OverlapFull
			}
			return err
		}
		if r.Conn != conn {
			conn.Close()
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return r, done, nil
}

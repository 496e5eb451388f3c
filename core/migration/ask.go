// Asking for what the program has not received, without help of the old connection.
package migration

import (
	"context"
	"errors"

	"midstream/core/channel"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/refusal"
	"midstream/core/resume"
)

// callableOff reports whether the refusal means no more than that the program did not reach the offset.
func callableOff(err error) bool {
	var u *delivery.Unmoved
	return errors.As(err, &u) && u.Retry() == channel.RetryHere
}

// takeOver continues from where the program stands, without help of the old connection.
func (m *Mover) takeOver(ctx context.Context, to string, e *exchange.Exchange) (*delivery.Outcome, error) {
	r, done, err := m.Ask(ctx, to, nil, e, false)
	if err == nil && done == nil {
		done, err = delivery.Rest(ctx, m.s, e, r, channel.Now, 0)
	}
	return done, err
}

// Ask asks servers over the interface for what the program has not received yet, the one that ready leads to first, unless
// that is nil. Where the program has not read the response's head, the request is repeated, and handed over already. brings:
// an answer has to bring content as well. The connection is taken over.
func (m *Mover) Ask(ctx context.Context, to string, ready *dial.Conn, e *exchange.Exchange, brings bool) (r *resume.Rest, done *delivery.Outcome, err error) {
	fail := func(err error) (*resume.Rest, *delivery.Outcome, error) {
		if ready != nil {
			ready.Reset()
		}
		return nil, nil, err
	}
	if err := m.requestComplete(ctx, e); err != nil {
		return fail(err)
	}
	rt, err := m.s.Destination(to, e.Request)
	if err != nil {
		return fail(err)
	}
	overlap := int64(0)
	err = m.s.OverServers(ctx, e, rt, ready, func(rt resume.Destination, conn *dial.Conn) error {
		if why := e.Why(); why != "" {
			return errors.New(why)
		}
		if e.InHead() {
			done, err = delivery.Restart(ctx, m.s, conn, rt, e)
			return err
		}
		at := e.Received()
		if e.Over() || e.Framing.Kind == http1.Length && at >= e.Length() {
			return resume.ErrAgain
		}
		overlap = max(overlap, e.Least())
		if known, strong := m.s.Asker(e).Mirror(conn.Remote()); known && !strong {
			overlap = resume.OverlapFull
		}
		read, trailing := e.InTrailer()
		r, err = m.s.Prove(ctx, e, conn, resume.Question{Request: e.Request, To: rt, At: at, Overlap: overlap, Exact: true, Trailing: trailing, Read: read, Brings: brings})
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

// Make before break: the new server is asked ahead, while the old connection goes on.
package migration

import (
	"context"
	"errors"
	"time"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/refusal"
	"midstream/core/relay"
	"midstream/core/resume"
)

// shortfall is how much longer than its pace lets expect the old connection may take to reach the offset, at least. It may have
// fallen silent, which is a stall; what it has not delivered is then asked for as well.
const shortfall = 100 * time.Millisecond

// longestHeld is for how long the program may read what is here already before another connection takes over.
const longestHeld = 2 * time.Second

// gatherAhead is how much farther ahead a connection is asked that takes the place of several.
const gatherAhead = 300 * time.Millisecond

// meteredSkip is how many octets are skipped at most where they cost, and the old connection goes on.
const meteredSkip = 4_000_000

// repeatedSkip is how many are skipped at most once a skip of the same migration has been in vain, since the exchange has moved on: so few
// that they come within some round trips.
const repeatedSkip = 256_000

// makeBeforeBreak looks ahead: the new server is asked from where the old one will be when the answer comes, the
// old one delivers up to exactly that octet.
func (m *Mover) makeBeforeBreak(ctx context.Context, to string, e *exchange.Exchange) (*delivery.Outcome, error) {
	if err := m.requestComplete(ctx, e); err != nil {
		return nil, err
	}
	if !m.s.State().stirs(e) {
		return nil, errUnanswered
	}
	rt, err := m.s.Destination(to, e.Request)
	if err != nil {
		return nil, err
	}
	rt.Fresh = true // what stands by is for failures: the old connection's own, too
	sound, cancel := m.whileSound(ctx)
	defer cancel()
	begun, before := time.Now(), e.Received()
	var done *delivery.Outcome
	h := m.s.Asker(e)
	overlap, exact := int64(0), false
	skipped := e.Skips()
	defer func() { m.vain = m.vain || e.Skips() != skipped }()
	err = m.s.OverServers(ctx, e, rt, nil, func(rt resume.Destination, conn *dial.Conn) error {
		if !m.headComes(ctx, e, 2*conn.RTT()+200*time.Millisecond) {
			// Nothing of the response is lost by asking anew.
			done, err = delivery.Restart(ctx, m.s, conn, rt, e)
			return err
		}
		reading, cancel := context.WithTimeout(ctx, 2*conn.RTT()+200*time.Millisecond)
		err := m.HeadComplete(reading, e)
		cancel()
		if err != nil && reading.Err() != nil && ctx.Err() == nil {
			// The old server has fallen silent within it.
			done, err = delivery.Restart(ctx, m.s, conn, rt, e)
			return err
		}
		if err != nil {
			return err
		}
		now, had := e.Received(), resume.Tail{}
		rate := e.Rate(now, now-before, time.Since(begun))
		at, length := now, e.Length()
		full := overlap == resume.OverlapFull || e.Least() == resume.OverlapFull
		if known, strong := h.Mirror(conn.Remote()); known {
			full = !strong
		}
		exactly := exact || full && rate == 0
		if !exactly {
			l := resume.LookAhead{Rate: rate, RTT: conn.RTT(), Wait: max(conn.RTT(), m.delay), Factor: m.config.Migration.LookAhead,
				Left: relay.Unknown, Room: conn.MakeRoom}
			if length >= 0 {
				l.Left = max(length-now, 0)
			}
			at += l.Octets()
			if m.held != nil && float64(m.held()-now) < rate*longestHeld.Seconds() {
				// One connection cannot catch up with several: it is asked for what these will not have brought by then.
				at = max(at, m.held()) + int64(rate*gatherAhead.Seconds())*int64(1+m.late)
			}
			if full {
				at += resume.OverlapFull // both have still to bring them, and neither falls behind with that
			}
			exactly = full && length >= 0 && at >= length
		}
		if exactly && full {
			if e.Proof != config.ProofTrust {
				had = h.Collect(sound, time.Second)
			}
			now = max(now, had.End)
			at = now
		}
		if length >= 0 && at >= length {
			// The old connection will be done before the new one has answered: let it, if it keeps its pace.
			if m.Finishes(ctx, e, 2*conn.RTT()+200*time.Millisecond) {
				return resume.ErrAgain
			}
			if at = e.Received(); at >= length && e.Framing.Kind == http1.Length {
				return resume.ErrAgain
			}
		}
		overlap = e.Least()
		if full {
			overlap = resume.OverlapFull
		} else if overlap == resume.OverlapFull {
			overlap = resume.OverlapStrong // of a mirror that has been proved
		}
		asked := time.Now()
		vain := m.vain || e.Skips() != skipped
		q := resume.Question{Request: e.Request, To: rt, At: at, Overlap: overlap, Had: had, Exact: exactly, Sound: sound,
			Skips: m.maySkip(to, vain), Vain: vain}
		if at > now && rate > 0 {
			q.Expected = time.Duration(float64(at-now) / rate * float64(time.Second))
		}
		r, err := m.s.Prove(ctx, e, conn, q)
		if err != nil {
			var more *refusal.Refusal
			if errors.As(err, &more) && more.More {
				overlap, exact = resume.OverlapFull, exact || full
			}
			if e.Over() {
				return resume.ErrAgain
			}
			if more != nil && !exact && e.Length() < 0 {
				// Where nobody has said how long it is, the offset may lie beyond its end.
				exact, more.More, more.Ours = true, true, false
			}
			return err
		}
		if r.Conn != conn {
			conn.Close()
		}
		if r.Skipped && sound.Err() != nil {
			// The old connection has ended, and this one begins where.
			done, err = delivery.Rest(ctx, m.s, e, r, channel.Now, 0)
			return err
		}
		done, err = m.meet(sound, e, r, rate, time.Since(asked))
		return err
	})
	if err != nil && e.Over() {
		return nil, resume.ErrAgain // whatever the last server has said of it
	}
	if callableOff(err) || err != nil && sound.Err() != nil && ctx.Err() == nil {
		// The old connection falls short of the offset: what is missing is asked for as well.
		return m.takeOver(ctx, to, e)
	}
	return done, err
}

// maySkip is how many octets of content may be skipped over the interface while the old connection goes on. A migration skips much only
// once: vain says that it has skipped.
func (m *Mover) maySkip(to string, vain bool) int64 {
	limit := m.config.Migration.SkipLimit
	if m.s.Metered(to) {
		limit = min(limit, meteredSkip)
	}
	if vain {
		limit = min(limit, repeatedSkip)
	}
	return limit
}

// whileSound returns a context that ends when the stream's connection fails, or its path is lost.
func (m *Mover) whileSound(ctx context.Context) (context.Context, context.CancelFunc) {
	sound, cancel := context.WithCancel(ctx)
	guard.Go(func() {
		if m.s.Await(sound, func(s State) (bool, error) { return s.Failed || s.Lost, nil }) == nil {
			cancel()
		}
	})
	return sound, cancel
}

// meet hands over once the program has come to the offset of the rest. took is how long the answer took.
func (m *Mover) meet(ctx context.Context, e *exchange.Exchange, r *resume.Rest, rate float64, took time.Duration) (*delivery.Outcome, error) {
	if err := m.s.Asker(e).CatchUp(r, rate, m.late); err != nil {
		if err == resume.ErrLate {
			m.delay = took
			m.late++
		}
		r.Conn.Close()
		return nil, err
	}
	limit := max(shortfall, 4*r.Conn.RTT())
	if rate > 0 {
		limit += time.Duration(float64(max(r.At-e.Received(), 0)) / rate * 2 * float64(time.Second))
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	guard.Go(func() { m.whileProgressing(waiting, cancel, e, r.Conn.RTT()+resume.Standstill) })
	return delivery.Rest(waiting, m.s, e, r, channel.Then, min(limit, 5*time.Second))
}

// whileProgressing calls stop when the program has received nothing for that long.
func (m *Mover) whileProgressing(ctx context.Context, stop func(), e *exchange.Exchange, limit time.Duration) {
	tick := time.NewTicker(limit / 4)
	defer tick.Stop()
	last, since := e.Received(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := e.Received(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > limit {
			stop()
			return
		}
	}
}

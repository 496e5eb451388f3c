// One migration of one stream, from the trigger to the record of it.
package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/holders"
	"midstream/core/http1"
	"midstream/core/manager"
	"midstream/core/refusal"
	"midstream/core/relay"
	"midstream/core/resume"
	"midstream/core/silence"
)

// shortfall is how much longer than its pace lets expect the old connection may take to reach the offset, at least. It may have
// fallen silent, which is a stall; what it has not delivered is then asked for as well.
const shortfall = 100 * time.Millisecond

// maxAttempts bounds how often a migration starts anew because the exchange has moved on meanwhile.
const maxAttempts = 4

// meteredSkip is how many octets are skipped at most where they cost, and the old connection goes on.
const meteredSkip = 4_000_000

// migrate moves the stream to the interface. One migration of a stream at a time; a second one waits, and so does one of a
// request that has not been answered. A stream that is there already stays: there is no migration then, and no error.
func (s *Stream) migrate(ctx context.Context, to, trigger string) (*control.Migration, error) {
	for {
		m, err := s.migrateOnce(ctx, to, trigger)
		if err == errUnanswered && s.answerComes(ctx) {
			continue
		}
		if err != nil {
			s.c.log.Info().Str("session", s.name()).Str("to", to).Err(err).Msg("not moved")
			s.publish(control.EventRefused, "not moved to "+to+": "+err.Error(), map[string]any{"to": to, "reason": err.Error()})
		}
		return m, err
	}
}

// migrateOnce is migrate but for the wait for an answer, where it returns errUnanswered.
func (s *Stream) migrateOnce(ctx context.Context, to, trigger string) (*control.Migration, error) {
	if s.turn.Take(ctx) != nil {
		return nil, errors.New("another migration of it is under way")
	}
	defer s.turn.Give()
	if s.isAt(ctx, to) && trigger != manager.TriggerServer {
		s.mu.Lock()
		s.keepWord(to, trigger)
		s.mu.Unlock()
		return nil, nil
	}
	s.delay, s.late, s.vain = 0, 0, false
	s.setMigrating(true)
	defer s.setMigrating(false)
	from := s.end()
	var err error
	for attempt := 0; attempt < maxAttempts; attempt++ {
		var done *delivery.Outcome
		done, err = s.attempt(ctx, to)
		if err == nil {
			return s.record(ctx, from, to, trigger, done), nil
		}
		if !errors.Is(err, resume.ErrAgain) && !errors.Is(err, resume.ErrLate) {
			break
		}
	}
	if ctx.Err() == context.DeadlineExceeded && errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("it took longer than the time-out")
	}
	return nil, err
}

// isAt reports whether the stream is where a migration to the interface would bring it, and well there.
func (s *Stream) isAt(ctx context.Context, to string) bool {
	s.mu.Lock()
	e, own, server := s.current(), s.iface, s.server.Addr().Unmap()
	if e == nil {
		e = s.last
	}
	well := s.why() == "" && s.failed == nil && s.pathLost() == ""
	s.mu.Unlock()
	if own != to || !well || e == nil {
		return false
	}
	r := s.destinationFor(to, e)
	if !r.Untouched() || r.Tunnel != nil {
		return false
	}
	return s.c.preferred(ctx, s.c.resolver(to), to, r.Host, server) == server
}

func (s *Stream) end() control.End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return control.End{Interface: s.iface, Server: s.server.String()}
}

func (s *Stream) setMigrating(on bool) {
	s.mu.Lock()
	s.migrating = on
	s.mu.Unlock()
}

// attempt moves the stream in the way its present state asks for.
func (s *Stream) attempt(ctx context.Context, to string) (*delivery.Outcome, error) {
	s.askQuiet(ctx)
	s.mu.Lock()
	why, e, last := s.why(), s.current(), s.last
	from := s.iface
	s.mu.Unlock()
	if why != "" {
		// The program may have come to the exchange's end, or begun another one, without its being known here yet.
		if _, err := s.inquire(ctx, false); err != nil {
			return nil, errors.New(why)
		}
		s.mu.Lock()
		why, e, last = s.why(), s.current(), s.last
		s.mu.Unlock()
	}
	if why != "" {
		return nil, errors.New(why)
	}
	if why := s.barred(to); why != "" {
		return nil, errors.New(why)
	}
	if err := s.Unshared(ctx); err != nil {
		return nil, err
	}
	if e == nil {
		return s.moveIdle(ctx, to, last)
	}
	s.c.shim.Keep(s.slot, s.id, true)
	defer s.c.shim.Keep(s.slot, s.id, false)
	_, trailing := e.InTrailer()
	switch {
	case s.c.config.Single(from, to):
		return s.breakBeforeMake(ctx, to, e)
	case trailing && s.finishes(ctx, e, shortfall):
		return nil, resume.ErrAgain
	case trailing:
		return s.takeOver(ctx, to, e)
	}
	return s.makeBeforeBreak(ctx, to, e)
}

// childhood is how long a child may hold the socket that it was forked with.
const childhood = 250 * time.Millisecond

// Unshared implements the streams of recoveries and migrations: it makes sure that nobody else holds the socket, and that the shim has seen all that was read from it.
func (s *Stream) Unshared(ctx context.Context) error {
	info, err := s.inquire(ctx, true)
	if err != nil {
		return err
	}
	if info.PastHooks {
		return errors.New("the program reads it past Midstream's hooks")
	}
	// A child that has just been forked is about to end or to execute another program, and closes the socket then.
	for end := time.Now().Add(childhood); info.Forked || holders.HasChildren(); {
		pid, held := s.c.holders.Of(s.c.pid, info.Inode)
		if !held {
			break
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("process %d holds it as well", pid)
		}
		time.Sleep(holders.Age + time.Millisecond) // nothing announces it
	}
	return nil
}

// moveIdle replaces a kept-alive connection between two exchanges.
func (s *Stream) moveIdle(ctx context.Context, to string, last *exchange.Exchange) (*delivery.Outcome, error) {
	rt, err := s.Destination(to, last.Request)
	if err != nil {
		return nil, err
	}
	conn, err := s.open(ctx, rt)
	if err != nil {
		return nil, err
	}
	return delivery.Idle(ctx, s, last, conn, rt)
}

// RenewAfter implements delivery.Stream.
func (s *Stream) RenewAfter(e *exchange.Exchange) { guard.Go(func() { s.renew(e) }) }

// renew gives a stream whose connection serves this exchange only another one for the next.
func (s *Stream) renew(e *exchange.Exchange) {
	ctx := context.Background()
	if err := s.await(ctx, func() (bool, error) {
		if s.closed || s.left.Why != 0 {
			return true, errClosed
		}
		return e.Done(), nil
	}); err != nil || !e.Persistent() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.config.Migration.Timeout)
	defer cancel()
	select {
	case s.turn.C <- struct{}{}:
		defer s.turn.Give()
	case <-ctx.Done():
		return
	}
	s.mu.Lock()
	idle, iface := s.current() == nil && s.last == e && s.why() == "", s.iface
	s.mu.Unlock()
	if !idle {
		return
	}
	if _, err := s.moveIdle(ctx, iface, e); err != nil && !errors.Is(err, resume.ErrAgain) {
		s.c.log.Debug().Str("session", s.name()).Err(err).Msg("the idle connection was not replaced")
	}
}

// makeBeforeBreak looks ahead: the new server is asked from where the old one will be when the answer comes, the
// old one delivers up to exactly that octet.
func (s *Stream) makeBeforeBreak(ctx context.Context, to string, e *exchange.Exchange) (*delivery.Outcome, error) {
	if err := s.requestComplete(ctx, e); err != nil {
		return nil, err
	}
	s.mu.Lock()
	unanswered := !s.stirs(e)
	s.mu.Unlock()
	if unanswered {
		return nil, errUnanswered
	}
	rt, err := s.Destination(to, e.Request)
	if err != nil {
		return nil, err
	}
	rt.Fresh = true // what stands by is for failures: the old connection's own, too
	sound, cancel := s.whileSound(ctx)
	defer cancel()
	begun, before := time.Now(), e.Received()
	var done *delivery.Outcome
	h := s.Asker(e)
	overlap, exact := int64(0), false
	skipped := e.Skips()
	defer func() { s.vain = s.vain || e.Skips() != skipped }()
	err = s.overServers(ctx, e, rt, nil, func(rt resume.Destination, conn *dial.Conn) error {
		if !s.headComes(ctx, e, 2*conn.RTT()+200*time.Millisecond) {
			// Nothing of the response is lost by asking anew.
			done, err = delivery.Restart(ctx, s, conn, rt, e)
			return err
		}
		reading, cancel := context.WithTimeout(ctx, 2*conn.RTT()+200*time.Millisecond)
		err := s.headComplete(reading, e)
		cancel()
		if err != nil && reading.Err() != nil && ctx.Err() == nil {
			// The old server has fallen silent within it.
			done, err = delivery.Restart(ctx, s, conn, rt, e)
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
			l := resume.LookAhead{Rate: rate, RTT: conn.RTT(), Wait: max(conn.RTT(), s.delay), Factor: s.c.config.Migration.LookAhead,
				Left: relay.Unknown, Room: conn.MakeRoom}
			if length >= 0 {
				l.Left = max(length-now, 0)
			}
			at += l.Octets()
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
			if s.finishes(ctx, e, 2*conn.RTT()+200*time.Millisecond) {
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
		q := resume.Question{Request: e.Request, To: rt, At: at, Overlap: overlap, Had: had, Exact: exactly, Sound: sound,
			Skips: s.maySkip(to, s.vain || e.Skips() != skipped)}
		if at > now && rate > 0 {
			q.Expected = time.Duration(float64(at-now) / rate * float64(time.Second))
		}
		r, err := s.Prove(ctx, e, conn, q)
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
			done, err = delivery.Rest(ctx, s, e, r, channel.Now, 0)
			return err
		}
		done, err = s.meet(sound, e, r, rate, time.Since(asked))
		return err
	})
	if err != nil && e.Over() {
		return nil, resume.ErrAgain // whatever the last server has said of it
	}
	if s.callableOff(err) || err != nil && sound.Err() != nil && ctx.Err() == nil {
		// The old connection falls short of the offset: what is missing is asked for as well.
		return s.takeOver(ctx, to, e)
	}
	return done, err
}

// maySkip is how many octets of content may be skipped over the interface while the old connection goes on. A migration skips once: vain
// says that it has.
func (s *Stream) maySkip(to string, vain bool) int64 {
	limit := s.c.config.Migration.SkipLimit
	switch {
	case vain:
		return -1
	case s.c.metered(to):
		return min(limit, meteredSkip)
	}
	return limit
}

// whileSound returns a context that ends when the stream's connection fails, or its path is lost.
func (s *Stream) whileSound(ctx context.Context) (context.Context, context.CancelFunc) {
	sound, cancel := context.WithCancel(ctx)
	guard.Go(func() {
		if s.await(sound, func() (bool, error) { return s.failed != nil || s.pathLost() != "", nil }) == nil {
			cancel()
		}
	})
	return sound, cancel
}

// meet hands over once the program has come to the offset of the rest. took is how long the answer took.
func (s *Stream) meet(ctx context.Context, e *exchange.Exchange, r *resume.Rest, rate float64, took time.Duration) (*delivery.Outcome, error) {
	if err := s.Asker(e).CatchUp(r, rate, s.late); err != nil {
		if err == resume.ErrLate {
			s.delay = took
			s.late++
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
	guard.Go(func() { s.whileProgressing(waiting, cancel, e, r.Conn.RTT()+resume.Standstill) })
	return delivery.Rest(waiting, s, e, r, channel.Then, min(limit, 5*time.Second))
}

// whileProgressing calls stop when the program has received nothing for that long.
func (s *Stream) whileProgressing(ctx context.Context, stop func(), e *exchange.Exchange, limit time.Duration) {
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

// callableOff reports whether the refusal means no more than that the program did not reach the offset.
func (s *Stream) callableOff(err error) bool {
	var u *unmovedError
	return errors.As(err, &u) && u.Retry() == channel.RetryHere
}

// again turns the shim's refusal into resume.ErrAgain where the exchange has moved on.
func (s *Stream) again(err error) error {
	var u *unmovedError
	if errors.As(err, &u) && u.Retry() == channel.RetryAnew {
		return resume.ErrAgain
	}
	return err
}

// takeOver continues from where the program stands, without help of the old connection.
func (s *Stream) takeOver(ctx context.Context, to string, e *exchange.Exchange) (*delivery.Outcome, error) {
	r, done, err := s.askOver(ctx, to, nil, e, false)
	if err == nil && done == nil {
		done, err = delivery.Rest(ctx, s, e, r, channel.Now, 0)
	}
	if err != nil {
		return nil, s.again(err)
	}
	return done, nil
}

// askOver asks servers over the interface for what the program has not received yet, the one that ready leads to first, unless
// that is nil. Where the program has not read the response's head, the request is repeated, and handed over already. brings:
// an answer has to bring content as well.
func (s *Stream) askOver(ctx context.Context, to string, ready *dial.Conn, e *exchange.Exchange, brings bool) (r *resume.Rest, done *delivery.Outcome, err error) {
	fail := func(err error) (*resume.Rest, *delivery.Outcome, error) {
		if ready != nil {
			ready.Reset()
		}
		return nil, nil, err
	}
	if err := s.requestComplete(ctx, e); err != nil {
		return fail(err)
	}
	rt, err := s.Destination(to, e.Request)
	if err != nil {
		return fail(err)
	}
	overlap := int64(0)
	err = s.overServers(ctx, e, rt, ready, func(rt resume.Destination, conn *dial.Conn) error {
		s.mu.Lock()
		why, inHead := e.Why(), !e.Answered() && !e.Done()
		s.mu.Unlock()
		if why != "" {
			return errors.New(why)
		}
		if inHead {
			done, err = delivery.Restart(ctx, s, conn, rt, e)
			return err
		}
		at := e.Received()
		if e.Over() || e.Framing.Kind == http1.Length && at >= e.Length() {
			return resume.ErrAgain
		}
		overlap = max(overlap, e.Least())
		if known, strong := s.Asker(e).Mirror(conn.Remote()); known && !strong {
			overlap = resume.OverlapFull
		}
		read, trailing := e.InTrailer()
		r, err = s.Prove(ctx, e, conn, resume.Question{Request: e.Request, To: rt, At: at, Overlap: overlap, Exact: true, Trailing: trailing, Read: read, Brings: brings})
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

// stirs reports whether an octet of the exchange's answer has come, or its request may be repeated: its connection has ended,
// or its path is gone. With s.mu.
func (s *Stream) stirs(e *exchange.Exchange) bool {
	return e.Answering() || s.failed != nil || s.pathLost() != "" || e.PathLost()
}

// answerComes waits until the request that the stream waits with has been answered, or may be repeated. It reports whether that
// is worth another look: not if ctx has ended.
func (s *Stream) answerComes(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	e := s.current()
	s.mu.Unlock()
	if e == nil {
		return true
	}
	guard.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(silence.Thinking * s.c.config.Failover.SuspectAfter):
			}
			if s.Probe(ctx, silence.ProbeThinking) == silence.Dead {
				s.mu.Lock()
				e.LosePath()
				s.change()
				s.mu.Unlock()
				return
			}
		}
	})
	return s.await(ctx, func() (bool, error) { return s.stirs(e) || s.closed || s.why() != "", nil }) == nil
}

// errUnanswered says that a request is not sent a second time while its connection is there.
var errUnanswered = errors.New("its request has not been answered yet, and is not sent a second time")

// requestComplete waits until the program has written the whole head of the request.
func (s *Stream) requestComplete(ctx context.Context, e *exchange.Exchange) error {
	return s.await(ctx, func() (bool, error) {
		switch {
		case s.closed:
			return true, errClosed
		case e.Why() != "":
			return true, errors.New(e.Why())
		}
		return e.Asked(), nil
	})
}

// headComes waits, limit at most, for the response's head.
func (s *Stream) headComes(ctx context.Context, e *exchange.Exchange, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.await(ctx, func() (bool, error) {
		return e.Answered() || e.Done() || s.closed || e.Why() != "" || e.HeadLength() > 0 || s.failed != nil, nil
	}) == nil
}

// headComplete waits until the program has read the response's head, and says whether the exchange can be moved.
func (s *Stream) headComplete(ctx context.Context, e *exchange.Exchange) error {
	err := s.await(ctx, func() (bool, error) {
		switch {
		case s.closed:
			return true, errClosed
		case e.Why() != "":
			return true, errors.New(e.Why())
		case e.Answered() || e.Done():
			return true, nil
		case s.failed != nil:
			return true, errors.New("its connection has ended")
		}
		return false, nil
	})
	if err == nil && e.Over() {
		return resume.ErrAgain
	}
	return err
}

// finishes waits, limit at most, for the end of the exchange.
func (s *Stream) finishes(ctx context.Context, e *exchange.Exchange, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.await(ctx, func() (bool, error) { return e.Done() || s.closed, nil }) == nil
}

// record notes a migration that took place, with its stall as soon as that is known.
func (s *Stream) record(ctx context.Context, from control.End, to, trigger string, o *delivery.Outcome) *control.Migration {
	m := control.Migration{
		At: control.Now(), Trigger: trigger, From: from,
		To:       control.End{Interface: to, Server: o.Conn.Remote().String()},
		Offset:   o.Offset,
		Delivery: o.How,
	}
	if o.Resumes {
		// The program may take its time before it reads on.
		waiting, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		s.await(waiting, func() (bool, error) { return s.resumed >= 0 || s.closed, nil })
		cancel()
	}
	s.mu.Lock()
	if s.resumed >= 0 {
		m.StallMS = milliseconds(s.resumed)
	}
	s.iface, s.local, s.server = to, o.Conn.Local(), o.Conn.Remote()
	s.keepWord(to, trigger)
	// A failure that is known by now is the new connection's: that of the old one was forgotten with the hand-over.
	if s.pair != nil {
		s.pair.Core.Close() // the program's end has been replaced
		s.pair = nil
	}
	s.remember(m)
	e := s.current()
	s.mu.Unlock()
	s.standby.Stir()
	if e != nil {
		e.Budget.HandedOver(m.Offset)
	}
	s.c.log.Info().Str("session", s.name()).Str("to", to).Str("server", m.To.Server).Int64("offset", m.Offset).
		Float64("stall_ms", m.StallMS).Msg("moved")
	s.publish(control.EventMigration, fmt.Sprintf("moved from %s to %s (%s) at octet %d", from.Interface, to, m.To.Server, m.Offset),
		map[string]any{"migration": m})
	return &m
}

// Relays that are left: where the octets that the program expects and those that the new server sends are the same for
// long, the new connection itself is put on the descriptor for that long, and content does not take the way through
// the pair.
package controller

import (
	"context"
	"errors"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
)

// apartLeast is for how many octets of content it is worth to leave a relay. A hand-over costs some hundred microseconds.
const apartLeast = 4 << 20

// errApart ends a relay that has been left.
var errApart = errors.New("the program has been given the connection")

// feedOf returns what delivers the rest of the response in progress.
func (d *relayed) feedOf(e *exchange, r *resume.Rest, at channel.Position) *relay.Feed {
	f := &relay.Feed{To: d.core, Content: r.Content, At: at, Kind: e.Framing.Kind, Left: r.Left, Longer: r.Longer,
		Whole: r.Whole, Ending: r.Ending}
	d.s.mu.Lock()
	persistent := e.persistent()
	d.s.mu.Unlock()
	// A server that is going to close drops what the program sends there ahead of time.
	if d.route.Untouched() && !r.Elsewhere && !r.Stays && len(d.waiting) == 0 && (r.Reusable || !persistent) && r.Ending == nil {
		f.Apart, f.ApartLeast = d.s.tryMoving, apartLeast
		// A trailer section may say something of the answer that does not hold for the whole of the response.
		f.Alike = e.Framing.Kind == http1.Chunked && r.Framing.Kind == http1.Chunked && !r.Longer &&
			(r.Whole || !r.Answer.Has("Trailer"))
	}
	return f
}

// tryMoving takes moving if nobody has it or waits for it.
func (s *Stream) tryMoving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.movers > 0 {
		return false
	}
	select {
	case s.moving <- struct{}{}:
		return true
	default:
		return false
	}
}

// preempt calls off the wait of a relay for its turn, and keeps it from waiting again before done is called.
func (s *Stream) preempt() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.movers++
	if s.returning != nil {
		s.returning()
	}
	return func() {
		s.mu.Lock()
		s.movers--
		s.change()
		s.mu.Unlock()
	}
}

// takeMoving waits for moving.
func (s *Stream) takeMoving(ctx context.Context) error {
	defer s.preempt()()
	select {
	case s.moving <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// callable lets a migration end ctx as soon as it wants to have moving, which the caller holds. False: one does already.
func (s *Stream) callable() (ctx context.Context, done func(), ok bool) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.movers > 0 {
		cancel()
		return ctx, cancel, false
	}
	s.returning = cancel
	return ctx, func() {
		s.mu.Lock()
		s.returning = nil
		s.mu.Unlock()
		cancel()
	}, true
}

// leave puts the new connection itself on the descriptor, whose next octet is that of content offset at: for n octets of
// content, or relay.ToTheEnd. It takes over moving, which is held. Unless it has left, the relay goes on; again says that
// it was only called off.
func (d *relayed) leave(e *exchange, r *resume.Rest, at, n int64) (left, again bool) {
	s := d.s
	defer func() {
		if !left {
			<-s.moving
		}
	}()
	ctx, done, ok := s.callable()
	if !ok {
		return false, true
	}
	if !d.keepConn(true) {
		done()
		return false, false
	}
	var err error
	chunk := r.Content.Within(n)
	if n == relay.ToTheEnd {
		err = s.arm(r.Conn, e.number, channel.Handover{At: at})
	} else {
		err = s.arm(r.Conn, e.number, channel.Handover{At: at, Until: at + n, Chunk: chunk})
	}
	if err == nil {
		_, err = s.awaitReply(ctx, 0)
	}
	calledOff := ctx.Err() != nil
	done()
	if err != nil {
		d.keepConn(false)
		s.c.log.Debug().Str("session", s.name()).Err(err).Msg("the relay stays")
		return false, calledOff
	}
	s.c.log.Debug().Str("session", s.name()).Int64("at", at).Int64("octets", n).Msg("the relay is left")
	if n == relay.ToTheEnd {
		r.Conn.Close()
		<-s.moving
		return true, false
	}
	if chunk == 0 {
		r.Content.Passed(n)
	}
	if r.At = at + n; r.Left >= 0 {
		r.Left -= n
	}
	s.mu.Lock()
	s.bounded = true
	moves := s.moves
	s.mu.Unlock()
	guard.Go(func() { s.rejoin(e, r, r.At, moves, chunk > 0) })
	return true, false
}

// keepConn says whether the end of the relay is to leave its connection open. False if it has ended.
func (d *relayed) keepConn(keep bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving = keep
	select {
	case <-d.over:
		if !keep && d.conn != nil {
			d.conn.Close()
		}
		return false
	default:
		return true
	}
}

// rejoinPause is the time between two attempts to come back to a program that waits.
const rejoinPause = 5 * time.Millisecond

// rejoin puts a new pair on the descriptor when the program has read the connection there up to the offset, and goes
// on relaying. Migrations come first; where one has taken place there is nothing left to be done. Moving is held. unchunked
// says that the program's process has gone through the chunks there, and has to say how far.
func (s *Stream) rejoin(e *exchange, r *resume.Rest, at int64, moves int, unchunked bool) {
	for {
		ctx, done, ok := s.callable()
		var d *relayed
		var position channel.Position
		err := context.Canceled
		if ok {
			d, position, err = s.putPair(ctx, e.number, channel.Handover{At: at, Former: channel.Spare}, 0, r.To)
			done()
		}
		if err == nil {
			if unchunked {
				r.Content.PassedInto(position.Unchunked)
				cameBack(r, position.Received)
			}
			s.mu.Lock()
			unread := s.shut // the rest of its content cannot be had any more
			s.mu.Unlock()
			ends := d.adopt(e, r)
			<-s.moving
			d.serve(r, func() error {
				if unread && r.Left != 0 {
					return &relay.SourceError{Err: syscall.ECONNRESET}
				}
				if err := d.feed(e, r, position); err != nil || !ends {
					return err
				}
				return errEnds
			}, e)
			return
		}
		<-s.moving
		if ctx.Err() == nil {
			s.c.log.Debug().Str("session", s.name()).Err(err).Msg("the relay is taken up again later")
			time.Sleep(rejoinPause) // the shim has refused: nothing will announce that it does not any more
		}
		if !s.letMove(moves) {
			break
		}
	}
	r.Conn.Close()
}

// cameBack takes note of where the program has read the connection up to. Where that is not as far as was meant, there is
// something about the program for which it is not to have it again.
func cameBack(r *resume.Rest, at int64) {
	if early := r.At - at; early > 0 {
		r.At, r.Stays = at, true
		if r.Left >= 0 {
			r.Left += early
		}
	}
}

// letMove lets migrations have moving first, and takes it then. False if the stream has moved meanwhile, or is closed.
func (s *Stream) letMove(moves int) bool {
	s.await(context.Background(), func() (bool, error) { return s.closed || s.moves != moves || s.movers == 0, nil })
	s.moving <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.moves != moves {
		<-s.moving
		return false
	}
	return true
}

// errEnds says that the program's connection has to end with the response.
var errEnds = errors.New("the connection cannot be used for another request")

// adopt takes over the requests that the program has sent on the connection itself. It reports whether the relay has to
// end with the response, because they can be answered nowhere.
func (d *relayed) adopt(e *exchange, r *resume.Rest) (ends bool) {
	s := d.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bounded = false
	repeatable := true
	var methods []string
	for _, later := range s.exchanges {
		if later.number <= e.number {
			continue
		}
		if later.Request == nil {
			r.Reusable = false // the rest of it comes by another way
		} else {
			methods = append(methods, later.Request.Method)
		}
		repeatable = repeatable && later.immovable() == "" && later.Request != nil
	}
	if r.Reusable = r.Reusable && !s.shut; r.Reusable {
		d.waiting = nil
		for _, method := range methods {
			d.asked <- method
		}
		return false
	}
	if !repeatable {
		d.waiting = nil
	}
	return !repeatable
}

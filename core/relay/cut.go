// Cut-through: where the octets that the program expects and those that the new server sends are the same for
// long, the new connection itself is put on the descriptor for that long, and content does not take the way through
// the pair.
package relay

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/guard"
	"midstream/core/http1"
)

// cutLeast is for how many octets of content it is worth to leave a relay. A hand-over costs some hundred microseconds.
const cutLeast = 4 << 20

// errCutThrough ends a relay whose connection has taken its place.
var errCutThrough = errors.New("the program has been given the connection")

// feedOf returns what delivers the rest of the response in progress.
func (r *Relay) feedOf(e Exchange, src *Source, at channel.Position) *Feed {
	f := &Feed{To: r.core, Content: src.Content, At: at, Kind: e.Kind, Left: src.Left, Longer: src.Longer,
		Whole: src.Whole, Ending: src.Ending}
	if r.upstream().Untouched() && !src.Elsewhere && !src.stays && (src.Several == nil || src.Rest != nil) && len(r.waiting) == 0 && src.Ending == nil {
		f.CutLeast = cutLeast
		f.CutThrough = func() bool {
			// A server that is going to close drops what the program sends there ahead of time.
			return (src.Several == nil || src.alone) && (src.Reusable || !e.Persistent) && r.s.Turn().Try()
		}
		// A trailer section may say something of the answer that does not hold for the whole of the response.
		f.Alike = e.Kind == http1.Chunked && src.Framing.Kind == http1.Chunked && !src.Longer &&
			(src.Whole || !src.Answer.Has("Trailer"))
	}
	return f
}

// goesOn has the source go on with the connection that brings the rest of what several have brought.
func (r *Relay) goesOn(src *Source) net.Conn {
	conn, reusable := src.Rest()
	if conn == nil {
		return nil
	}
	r.mu.Lock()
	if r.ctx.Err() != nil {
		r.mu.Unlock()
		conn.Close()
		return nil
	}
	r.conn = conn
	r.mu.Unlock()
	src.Conn, src.Reusable, src.alone = conn, reusable, true
	guard.Go(src.Several) // waits for those that have brought what came before
	return conn
}

// leave puts the new connection itself on the descriptor, whose next octet is that of content offset at: for n octets of
// content, or ToTheEnd. It takes over the turn, which is held. Unless it has left, the relay goes on; again says that
// it was only called off.
func (r *Relay) leave(e Exchange, src *Source, at, n int64) (left, again bool) {
	turn := r.s.Turn()
	defer func() {
		if !left {
			turn.Give()
		}
	}()
	ctx, done, ok := turn.YieldUnlessWanted()
	if !ok {
		return false, true
	}
	if !r.keepConn(true) {
		done()
		return false, false
	}
	chunk, until := src.Content.Within(n), at+n
	if n == ToTheEnd {
		chunk, until = 0, 0
	}
	err := r.s.CutThrough(ctx, src.Conn, e.Number, at, until, chunk)
	calledOff := ctx.Err() != nil
	done()
	if err != nil {
		r.keepConn(false)
		r.s.Log().Debug().Err(err).Msg("the relay stays")
		return false, calledOff
	}
	r.s.Log().Debug().Int64("at", at).Int64("octets", n).Msg("the relay is left")
	if n == ToTheEnd {
		r.machine.to(Direct)
		src.Conn.Close()
		turn.Give()
		return true, false
	}
	r.machine.to(CutThrough)
	if chunk == 0 {
		src.Content.Passed(n)
	}
	if src.At = at + n; src.Left >= 0 {
		src.Left -= n
	}
	moves, back := r.s.Bound(), comeBack{r.s, r.upstream(), e, src, chunk > 0}
	guard.Go(func() { back.rejoin(src.At, moves) })
	return true, false
}

// keepConn says whether the end of the relay is to leave its connection open. False if it has ended.
func (r *Relay) keepConn(keep bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = keep
	if r.ctx.Err() == nil {
		return true
	}
	if !keep && r.conn != nil {
		r.conn.Close()
	}
	return false
}

// rejoinPause is the time between two attempts to come back to a program that waits.
const rejoinPause = 5 * time.Millisecond

// comeBack is what goes on once the program has read the connection as far as it was cut through to.
type comeBack struct {
	s   Stream
	up  Upstream
	e   Exchange
	src *Source
	// unchunked: the program's process has gone through the chunks there, and has to say how far.
	unchunked bool
}

// rejoin puts a new pair on the descriptor when the program has read the connection there up to the offset, and goes
// on relaying. Migrations come first; where one has taken place there is nothing left to be done. The turn is held.
func (b comeBack) rejoin(at int64, moves int) {
	turn := b.s.Turn()
	for {
		ctx, done, ok := turn.YieldUnlessWanted()
		var put Put
		err := context.Canceled
		if ok {
			put, err = b.s.Rejoin(ctx, b.e.Number, at)
			done()
		}
		if err == nil {
			b.goOn(put)
			return
		}
		turn.Give()
		if ctx.Err() == nil {
			b.s.Log().Debug().Err(err).Msg("the relay is taken up again later")
			time.Sleep(rejoinPause) // the shim has refused: nothing will announce that it does not any more
		}
		if !b.s.LetMove(moves) {
			break
		}
	}
	b.src.Conn.Close()
}

// goOn serves the new pair. It gives the turn back.
func (b comeBack) goOn(put Put) {
	src, r := b.src, New(b.s, b.up, put, b.e.Number)
	if b.unchunked {
		src.Content.PassedInto(put.Position.Unchunked)
		src.cameBack(put.Position.Received)
	}
	ends := r.adopt(b.e, src, put.Shut)
	b.s.Turn().Give()
	r.serve(src, func() error {
		if put.Shut && src.Left != 0 {
			return &SourceError{Err: syscall.ECONNRESET} // the rest of its content cannot be had any more
		}
		if err := r.feed(b.e, src, put.Position); err != nil || !ends {
			return err
		}
		return errEnds
	}, b.e)
}

// cameBack takes note of where the program has read the connection up to. Where that is not as far as was meant, there is
// something about the program for which it is not to have it again.
func (src *Source) cameBack(at int64) {
	if early := src.At - at; early > 0 {
		src.At, src.stays = at, true
		if src.Left >= 0 {
			src.Left += early
		}
	}
}

// errEnds says that the program's connection has to end with the response.
var errEnds = errors.New("the connection cannot be used for another request")

// adopt takes over the requests that the program has sent on the connection itself, which was shut down, or was not. It reports whether
// the relay has to end with the response, because they can be answered nowhere.
func (r *Relay) adopt(e Exchange, src *Source, shut bool) (ends bool) {
	repeatable := true
	var methods []string
	for _, later := range r.s.Adopt(e.Number) {
		if later.Method == "" {
			src.Reusable = false // the rest of it comes by another way
		} else {
			methods = append(methods, later.Method)
		}
		repeatable = repeatable && later.Repeatable && later.Method != ""
	}
	if src.Reusable = src.Reusable && !shut; src.Reusable {
		r.waiting = nil
		for _, method := range methods {
			r.asked <- method
		}
		return false
	}
	if !repeatable {
		r.waiting = nil
	}
	return !repeatable
}

// Skips: a server that ignores Range sends all of the content from its beginning. What the program has had already is read off
// the answer and dropped: once, for as long as that gets on, and only where it can come to an end.
package resume

import (
	"context"
	"fmt"
	"math"
	"time"

	"midstream/core/dial"
	"midstream/core/lease"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/relay"
)

const (
	skipStall = 3 * time.Second // for how long nothing may come: longer than servers pause that pace themselves by the second
	leastSkip = 4 << 10         // octets read at a time, after which it is looked where the program stands, up to
	mostSkip  = 256 << 10
	skipLook  = 50 * time.Millisecond // or as many as come in about so long

	// Another candidate that would have to skip as well waits for one that does, unless that is going to take longer than this.
	longSkip = 20 * time.Second

	paceWindow = 250 * time.Millisecond // between two looks at how fast both connections are
	paceMarks  = 5                      // of which the last so many are compared; fewer say nothing yet, and
	paceTwice  = 2                      // so many comparisons in a row have to say the same

	oldStill = 300 * time.Millisecond // after so long nothing more is expected of the old connection
)

// chaser compares the pace of a connection that has to catch up with that of the program's own.
type chaser struct {
	marks   []chaseMark
	slow    bool // the first mark, which saw the slow start, is gone
	against int  // comparisons in a row by which it does not catch up
}

// chaseMark is where both stood at a time: offsets of the content.
type chaseMark struct {
	at       time.Time
	new, old int64
}

// look takes where both stand, and says why the new connection will not catch up with the old one before that has brought all
// there is, up to the octet end (relay.Unknown where nobody knows); "" as long as it may.
func (c *chaser) look(now time.Time, at, received, end int64) reason.Reason {
	if n := len(c.marks); n > 0 && now.Sub(c.marks[n-1].at) < paceWindow {
		return reason.Reason{}
	}
	c.marks = append(c.marks, chaseMark{now, at, received})
	if len(c.marks) < paceMarks {
		return reason.Reason{}
	}
	if c.marks = c.marks[len(c.marks)-paceMarks:]; !c.slow {
		c.marks, c.slow = c.marks[1:], true
	}
	why := c.compare(end)
	if why.None() {
		c.against = 0
		return reason.Reason{}
	}
	if c.against++; c.against < paceTwice {
		return reason.Reason{}
	}
	return why
}

func (c *chaser) compare(end int64) reason.Reason {
	first, last := c.marks[0], c.marks[len(c.marks)-1]
	while := last.at.Sub(first.at).Seconds()
	if while <= 0 || last.old <= first.old {
		return reason.Reason{}
	}
	mine, theirs := float64(last.new-first.new)/while, float64(last.old-first.old)/while
	behind, left := last.old-last.new, math.Inf(1) // seconds
	if end >= 0 {
		left = float64(max(end-last.old, 0)) / theirs
	}
	if behind <= 0 || mine > theirs && float64(behind)/(mine-theirs) < left {
		return reason.Reason{}
	}
	brings := fmt.Sprintf("%.2f", theirs/1e6)
	if end >= 0 {
		brings += fmt.Sprintf(" and needs %.1f s for the rest", left)
	}
	return reason.SkipTooSlow.With(fmt.Sprintf("%.1f", float64(behind)/1e6), fmt.Sprintf("%.2f", mine/1e6), brings)
}

// skip drops what the answer brings before what q asks for, from the content offset at on. Where the old connection goes on
// delivering, what is asked for moves with it; where that has ended, it is what the program has not had.
func (h *HTTP) skip(ctx context.Context, r *Rest, q *Question, at int64) error {
	e := h.Exchange
	release, err := e.takeSkipping(ctx)
	if err != nil {
		return refusal.Broken(ctx, err)
	}
	defer release()
	e.skips.Add(1)
	why := "the server ignores Range: what the program has had is skipped"
	if q.whole {
		why = "what the program has had is compared from its first octet on"
	}
	h.Log.Info().Stringer("server", r.Conn.Remote()).Int64("octets", q.At-q.Overlap-at).Msg(why)
	r.Conn.SetDeadline(time.Time{}) // the old connection may have failed just now
	stall, cancel := lease.With(ctx, skipStall)
	defer cancel()
	defer bound(stall, r.Conn)()
	f := follower{h: h, q: q, ahead: max(q.At-h.Received(), 0)}
	var c chaser
	for begun, from := time.Now(), at; ; {
		f.follow(r, time.Now())
		if h.Over() || e.Length() >= 0 && q.At >= e.Length() && f.follows() {
			return ErrAgain
		}
		if q.At < at {
			return ErrLate // the old connection has fallen short of where it was expected
		}
		left := q.At - q.Overlap - at
		if left <= 0 {
			q.Overlap += left
			return nil
		}
		pace := float64(at-from) / max(time.Since(begun), time.Millisecond).Seconds()
		n, err := r.discard(min(left, max(leastSkip, min(int64(pace*skipLook.Seconds()), mostSkip))), at)
		at += n
		if err != nil {
			return refusal.Broken(stall, err)
		}
		stall.Renew(skipStall)
		lease.Renew(ctx, 2*skipStall)
		lease.Reached(ctx, at)
		if pace > 0 {
			e.skipEnds.Store(time.Now().Add(time.Duration(float64(left) / pace * float64(time.Second))).UnixNano())
		}
		if f.follows() {
			if why := c.look(time.Now(), at, h.Received(), e.Length()); !why.None() {
				return &refusal.Refusal{Why: why} // and nothing is fetched from the name's other servers to find out whether they are faster
			}
		}
	}
}

// Skips returns how many skips have begun.
func (e *Exchange) Skips() int32 { return e.skips.Load() }

// skipLimit is how many octets may be skipped of the answer to a question.
func (h *HTTP) skipLimit(q Question) int64 {
	if q.Sound != nil {
		return min(q.Skips, h.SkipLimit)
	}
	return h.SkipLimit
}

// follower moves what a question asks for with the old connection.
type follower struct {
	h     *HTTP
	q     *Question
	ahead int64 // of where the program stands
	had   int64
	since time.Time // since when it has had no more
}

// follows reports whether the old connection is to go on delivering.
func (f *follower) follows() bool { return f.q.Sound != nil && f.q.Sound.Err() == nil }

// follow moves it to where the old connection is going to be, or to where it has ended.
func (f *follower) follow(r *Rest, now time.Time) {
	received := f.h.Received()
	if received != f.had || f.since.IsZero() {
		f.had, f.since = received, now
	}
	to := max(f.q.At, received)
	if f.q.Sound != nil {
		if !f.follows() || now.Sub(f.since) > oldStill {
			f.ahead = 0
		}
		to = received + f.ahead
	}
	if r.Left != relay.Unknown {
		r.Left -= to - f.q.At
	}
	f.q.At, r.At = to, to
}

// takeSkipping waits for its turn: while one connection skips, no other does. It returns what ends the turn.
func (e *Exchange) takeSkipping(ctx context.Context) (release func(), err error) {
	tick := time.NewTicker(skipStall / 4)
	defer tick.Stop()
	for {
		if e.skipping.CompareAndSwap(false, true) {
			e.skipEnds.Store(0)
			return func() { e.skipping.Store(false) }, nil
		}
		if time.Until(time.Unix(0, e.skipEnds.Load())) > longSkip {
			return func() {}, nil
		}
		lease.Renew(ctx, 2*skipStall)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// bound has the connection's calls end when the context does, until release is called.
func bound(ctx context.Context, conn *dial.Conn) (release func()) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		if stop() {
			conn.SetDeadline(time.Time{})
		}
	}
}

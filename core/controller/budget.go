// The budget of requests: how often, and how soon again, Midstream may ask servers for the rest of one exchange. Every request
// that the core makes by itself needs a permit of it first.
package controller

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"midstream/core/dial"
)

const (
	budgetSize   = 10          // requests for one exchange, over all servers and interfaces,
	reserved     = 4           // of them, for when its connection has failed,
	budgetWithin = time.Minute // in so long, unless one of them brings content
	maxRepeats   = 2           // of a request of which no octet of answer has come

	firstBackOff = 250 * time.Millisecond // before a server that has refused is asked again; doubled each time, up to
	lastBackOff  = 16 * time.Second
	longestAfter = 24 * time.Hour // of what Retry-After asks for
)

// place is a server as it is reached over an interface.
type place struct{ iface, server string }

func placeOf(iface string, conn *dial.Conn) place { return place{iface, conn.Remote().String()} }

// standing is how a place has answered lately.
type standing struct {
	refusals int       // in a row
	until    time.Time // it is not asked again before
	why      string    // what it has said
}

// budget is what is left to ask for one exchange. The zero value is a full one. Safe for concurrent use.
type budget struct {
	now    func() time.Time                  // time.Now, if nil
	random func(time.Duration) time.Duration // below its argument; rand.N, if nil

	mu      sync.Mutex
	asked   []time.Time // of the last minute, the oldest first
	places  map[place]standing
	repeats int
	handed  int64 // the content offset of the last hand-over, plus one; 0 if none waits to bring content
}

// errSpent says that the exchange's budget is spent.
var errSpent = &refusal{why: "it has been asked for too often within a minute, and nothing came of it", spent: true}

// errRepeated says that a request has been made so often that it is not made once more.
var errRepeated = &refusal{why: "its request has been repeated without an answer, and is not sent again", spent: true}

func (b *budget) clock() time.Time {
	if b.now != nil {
		return b.now()
	}
	return time.Now()
}

func (b *budget) below(d time.Duration) time.Duration {
	if b.random != nil {
		return b.random(d)
	}
	return rand.N(d)
}

// ask takes one request to the place out of the budget. The error is errSpent, or a *refusal whose until says when the place
// may be asked again: it is not before then. received is how much content the program has been handed by now; size, the budget's.
func (b *budget) ask(to place, received int64, size int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(received)
	now := b.clock()
	if s := b.places[to]; now.Before(s.until) {
		return &refusal{why: s.why, server: true, passing: true, until: s.until}
	}
	if b.spent(now, size) {
		return errSpent
	}
	b.asked = append(b.asked, now)
	return nil
}

// repeat takes one repetition of a request of which no octet of answer has come.
func (b *budget) repeat() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.repeats >= maxRepeats {
		return errRepeated
	}
	b.repeats++
	return nil
}

// repeatable reports whether such a request may be repeated once more.
func (b *budget) repeatable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.repeats < maxRepeats
}

// until returns when the place may be asked again.
func (b *budget) until(p place) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.places[p].until
}

// refused takes note that the place has not given what it was asked for. after is how long it wants not to be asked.
func (b *budget) refused(by place, why string, after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.places[by]
	d := lastBackOff
	if s.refusals < 8 {
		d = min(firstBackOff<<s.refusals, lastBackOff)
	}
	s.refusals++
	s.until, s.why = b.clock().Add(max(d/2+b.below(d/2), min(after, longestAfter))), why
	if b.places == nil {
		b.places = map[place]standing{}
	}
	b.places[by] = s
}

// handedOver takes note that an answer is being delivered to the program from that offset of the content on.
func (b *budget) handedOver(at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handed = at + 1
}

// over reports whether nothing more can be asked now.
func (b *budget) over(received int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(received)
	return b.spent(b.clock(), budgetSize)
}

// settle gives the budget back if the last answer has brought content.
func (b *budget) settle(received int64) {
	if b.handed > 0 && received >= b.handed {
		b.asked, b.places, b.handed = nil, nil, 0
	}
}

func (b *budget) spent(now time.Time, size int) bool {
	for len(b.asked) > 0 && now.Sub(b.asked[0]) >= budgetWithin {
		b.asked = b.asked[1:]
	}
	return len(b.asked) >= size
}

// permit is leave to send one request. Only Stream.permit gives one.
type permit struct {
	b  *budget
	to place
}

// refused takes the error that the request came to, and returns it.
func (p permit) refused(err error) error {
	var r *refusal
	if errors.As(err, &r) && !r.more && !r.spent && r.until.IsZero() && !r.ours {
		p.b.refused(p.to, r.why, r.after)
	}
	return err
}

// backOffLimit is how long a back-off may be for a migration to wait until it is over.
const backOffLimit = 5 * time.Second

// permit is the one door for requests that Midstream makes by itself. It waits for the end of a short back-off.
func (s *Stream) permit(ctx context.Context, e *exchange, iface string, conn *dial.Conn) (permit, error) {
	p, size := permit{&e.budget, placeOf(iface, conn)}, budgetSize-reserved
	if s.inNeed.Load() {
		size = budgetSize
	}
	for {
		err := p.b.ask(p.to, s.received(e), size)
		var early *refusal
		if !errors.As(err, &early) || early.until.IsZero() {
			return p, err
		}
		wait := time.Until(early.until)
		if end, ok := ctx.Deadline(); wait > backOffLimit || ok && time.Until(end) < wait {
			return p, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return p, err
		}
	}
}

// repeats takes the repetition of the request that the stream is waiting with, which has not been answered, out of its budget.
func (s *Stream) repeats(to place) bool {
	s.mu.Lock()
	e := s.current()
	s.mu.Unlock()
	return e != nil && e.budget.repeat() == nil && e.budget.ask(to, s.received(e), budgetSize) == nil
}

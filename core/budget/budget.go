// Package budget bounds how often, and how soon again, Midstream may ask servers for the rest of one exchange. Every request that
// the core makes by itself needs a permit first.
package budget

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"midstream/core/dial"
	"midstream/core/reason"
	"midstream/core/refusal"
)

const (
	Size         = 10          // requests for one exchange, over all servers and interfaces,
	reserved     = 4           // of them, for when its connection has failed,
	budgetWithin = time.Minute // in so long, unless one of them brings content
	maxRepeats   = 2           // of a request of which no octet of answer has come

	firstBackOff = 250 * time.Millisecond // before a server that has refused is asked again; doubled each time, up to
	lastBackOff  = 16 * time.Second
	longestAfter = 24 * time.Hour // of what Retry-After asks for
)

// Place is a server as it is reached over an interface.
type Place struct{ Interface, Server string }

// PlaceOf is that at the other end of the connection.
func PlaceOf(iface string, conn *dial.Conn) Place { return Place{iface, conn.Remote().String()} }

// standing is how a place has answered lately.
type standing struct {
	refusals int           // in a row
	until    time.Time     // it is not asked again before
	named    time.Time     // the latest such time that it has named itself (Retry-After), zero if none
	why      reason.Reason // what it has said
}

// Budget is what is left to ask for one exchange. The zero value is a full one. Safe for concurrent use.
type Budget struct {
	now    func() time.Time                  // time.Now, if nil
	random func(time.Duration) time.Duration // below its argument; rand.N, if nil

	mu      sync.Mutex
	asked   []time.Time // of the last minute, the oldest first
	places  map[Place]standing
	repeats int
	handed  int64 // the content offset of the last hand-over, plus one; 0 if none waits to bring content
}

// ErrSpent says that the exchange's budget is spent.
var ErrSpent = &refusal.Refusal{Why: reason.AskedTooOften.Alone(), Spent: true}

// ErrRepeated says that a request has been made so often that it is not made once more.
var ErrRepeated = &refusal.Refusal{Why: reason.Repeated.Alone(), Spent: true}

func (b *Budget) clock() time.Time {
	if b.now != nil {
		return b.now()
	}
	return time.Now()
}

func (b *Budget) below(d time.Duration) time.Duration {
	if b.random != nil {
		return b.random(d)
	}
	return rand.N(d)
}

// Ask takes one request to the place out of the budget. The error is ErrSpent, or a Refusal whose Until says when the place may be
// asked again: it is not before then. received is how much content the program has been handed by now.
func (b *Budget) Ask(to Place, received int64) error { return b.ask(to, received, Size) }

// ask is Ask for a budget of that size.
func (b *Budget) ask(to Place, received int64, size int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(received)
	now := b.clock()
	if s := b.places[to]; now.Before(s.until) {
		return &refusal.Refusal{Why: s.why, Server: true, Passing: true, Until: s.until}
	}
	if b.spent(now, size) {
		return ErrSpent
	}
	b.asked = append(b.asked, now)
	return nil
}

// Repeat takes one repetition of a request of which no octet of answer has come.
func (b *Budget) Repeat() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.repeats >= maxRepeats {
		return ErrRepeated
	}
	b.repeats++
	return nil
}

// Repeatable reports whether such a request may be repeated once more.
func (b *Budget) Repeatable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.repeats < maxRepeats
}

// Until returns when the place may be asked again.
func (b *Budget) Until(p Place) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.places[p].until
}

// refused takes note that the place has not given what it was asked for. after is how long it wants not to be asked.
func (b *Budget) refused(by Place, why reason.Reason, after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.places[by]
	d := lastBackOff
	if s.refusals < 8 {
		d = min(firstBackOff<<s.refusals, lastBackOff)
	}
	s.refusals++
	now := b.clock()
	if named := now.Add(min(after, longestAfter)); after > 0 && named.After(s.named) {
		s.named = named
	}
	if s.until, s.why = now.Add(d/2+b.below(d/2)), why; s.until.Before(s.named) {
		s.until = s.named
	}
	if b.places == nil {
		b.places = map[Place]standing{}
	}
	b.places[by] = s
}

// Refuse takes note that the place wants not to be asked for so long, as somebody has heard who asks without permits.
func (b *Budget) Refuse(by Place, why reason.Reason, after time.Duration) { b.refused(by, why, after) }

// HandedOver takes note that an answer is being delivered to the program from that offset of the content on.
func (b *Budget) HandedOver(at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handed = at + 1
}

// Over reports whether nothing more can be asked now.
func (b *Budget) Over(received int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(received)
	return b.spent(b.clock(), Size)
}

// settle gives the budget back if the last answer has brought content: somebody's. Who has named a time is not asked before it all the same.
func (b *Budget) settle(received int64) {
	if b.handed == 0 || received < b.handed {
		return
	}
	b.asked, b.handed = nil, 0
	maps.DeleteFunc(b.places, func(_ Place, s standing) bool { return !s.named.After(b.clock()) })
	for p, s := range b.places {
		b.places[p] = standing{until: s.named, named: s.named, why: s.why}
	}
}

func (b *Budget) spent(now time.Time, size int) bool {
	for len(b.asked) > 0 && now.Sub(b.asked[0]) >= budgetWithin {
		b.asked = b.asked[1:]
	}
	return len(b.asked) >= size
}

// Permit is leave to send one request. Only Budget.Permit gives one.
type Permit struct {
	b  *Budget
	to Place
}

// Refused takes the error that the request came to, and returns it.
func (p Permit) Refused(err error) error {
	var r *refusal.Refusal
	if errors.As(err, &r) && !r.More && !r.Spent && r.Until.IsZero() && !r.Ours {
		p.b.refused(p.to, r.Why, r.After)
	}
	return err
}

// backOffLimit is how long a back-off may be for a migration to wait until it is over.
const backOffLimit = 5 * time.Second

// Permit is the one door for requests that Midstream makes by itself. It waits for the end of a short back-off. received says how
// much content the program has been handed; inNeed, that the exchange's connection has failed. Errors as those of Ask.
func (b *Budget) Permit(ctx context.Context, to Place, inNeed bool, received func() int64) (Permit, error) {
	p, size := Permit{b, to}, Size-reserved
	if inNeed {
		size = Size
	}
	for {
		err := b.ask(to, received(), size)
		var early *refusal.Refusal
		if !errors.As(err, &early) || early.Until.IsZero() {
			return p, err
		}
		wait := time.Until(early.Until)
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

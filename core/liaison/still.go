// Processes in which nothing moves: the manager looks at them seldom, for each look wakes them.
package liaison

import (
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/manager"
)

// stillness is what the manager's looks have found of late.
type stillness struct {
	seldom atomic.Bool // the next look is far away

	mu    sync.Mutex
	seen  map[string]position // by session, at the last look
	looks int                 // that have found nothing else than the ones before
}

// position is how far a stream had come.
type position struct {
	active   bool
	received int64
	iface    string
}

func positionOf(s manager.Stream) position { return position{s.Active, s.Received, s.Interface} }

// look takes the streams as they are, and returns whether one of them has moved since the last look.
func (t *stillness) look(streams []manager.Stream) (moves func(manager.Stream) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.seen
	t.seen = make(map[string]position, len(streams))
	moves = func(s manager.Stream) bool {
		p, known := before[s.ID]
		return !known || p != positionOf(s)
	}
	changed := len(before) != len(streams)
	for _, s := range streams {
		t.seen[s.ID] = positionOf(s)
		changed = changed || moves(s)
	}
	if t.looks++; changed {
		t.looks = 0
	}
	return moves
}

// restart has the looks follow each other again: something has happened.
func (t *stillness) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looks = 0
}

// interval returns how long after this look the next one is due.
func (t *stillness) interval() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seldom.Store(t.looks >= stillLooks)
	if t.looks >= stillLooks {
		return lookSeldom
	}
	return lookInterval
}

// Livens has the streams looked at soon where they have been still.
func (c *Liaison) Livens() {
	if c.still.seldom.CompareAndSwap(true, false) {
		c.LookSoon()
	}
}

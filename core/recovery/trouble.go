// How a stream's recoveries have fared: one that brings next to nothing is none, and does not renew the program's patience.
package recovery

import (
	"sync"
	"time"
)

const (
	fruitful    = 16 << 10         // octets that a recovery has to have brought, or
	fruitfulFor = 10 * time.Second // for how long it has to have brought some
)

// trouble is what a recovery has to know of those before it. It belongs to whoever has the stream's turn.
type trouble struct {
	exchange  uint64
	at        int64     // content octets at the last recovery
	ended     time.Time // the last recovery
	fruitless int       // how many in a row have brought next to nothing
	held      time.Time // since when the program has had next to nothing and was held, zero if it was not
}

// again begins another recovery, at an offset of an exchange's content, and says how long to pause before: a server that always
// ends after a few octets is not asked without a pause.
func (t *trouble) again(now time.Time, exchange uint64, at int64) (pause time.Duration) {
	brought := at - t.at
	switch {
	case t.exchange != exchange, brought >= fruitful, brought > 0 && now.Sub(t.ended) >= fruitfulFor:
		t.fruitless, t.held = 0, time.Time{}
	default:
		t.fruitless++
	}
	t.exchange, t.at = exchange, at
	if t.fruitless > 1 {
		pause = min(firstPause<<min(t.fruitless, 8), lastPause)
	}
	return pause
}

// hold returns since when the program is held in vain.
func (t *trouble) hold(now time.Time) time.Time {
	if t.held.IsZero() {
		t.held = now
	}
	return t.held
}

// nearer is how near to what the program waits for a recovery has come without bringing it content: a skip that gets on renews
// the program's patience, but for what an earlier one had come to as well.
type nearer struct {
	mu   sync.Mutex
	most int64
	last time.Time
}

// reached takes how far a skip has come.
func (n *nearer) reached(at int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at > n.most {
		n.most, n.last = at, time.Now()
	}
}

// when returns when something was reached last that had not been before.
func (n *nearer) when() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

// Exchanges that the shim has kept to itself, because they were over before anybody had to know (shim/stream/quiet.h).
package controller

import (
	"context"
	"sync"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/silence"
)

// quiet is what the sampler has seen of such an exchange. Guarded by the stream's mutex.
type quiet struct {
	exchange uint64
	over     bool
	asked    time.Time
}

// quietLimit is how long a program that does not let its shim answer is waited for, where the answer is only to be shown.
const quietLimit = 300 * time.Millisecond

// lookQuiet has an exchange told of that has lasted since the last look. It reports whether the program does anything.
func (s *Stream) lookQuiet(now time.Time) bool {
	exchange, over := s.c.shim.Quiet(s.slot, s.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.quiet
	same := exchange == q.exchange && over == q.over
	q.exchange, q.over = exchange, over
	if same && exchange > 0 && !over && now.Sub(q.asked) > 4*silence.Tick {
		q.asked = now
		s.c.send(s.message(channel.Ask), -1)
	}
	return !same
}

// askQuiet has told of what the shim has kept to itself, and waits for that.
func (s *Stream) askQuiet(ctx context.Context) {
	if exchange, _ := s.c.shim.Quiet(s.slot, s.id); exchange > 0 {
		s.inquire(ctx, false)
	}
}

// askQuiet does so for all streams at once.
func (c *Controller) askQuiet(ctx context.Context, streams []*Stream) {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range streams {
		if exchange, _ := c.shim.Quiet(s.slot, s.id); exchange > 0 {
			wg.Go(func() { s.inquire(ctx, false) })
		}
	}
	wg.Wait()
}

// Subscribe is Hub's: from now on every exchange is told of.
func (c *Controller) Subscribe() (<-chan control.Event, func()) {
	events, cancel := c.Hub.Subscribe()
	c.sampler.Attend()
	return events, cancel
}

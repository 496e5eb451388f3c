// Package turn is about who may put something on a program's descriptor: one at a time, and whoever moves the stream before whoever
// relays it. A relay that waits for its turn, or for the program with it, is called off as soon as a mover comes.
package turn

import (
	"context"
	"sync"
)

// Turn is that of one stream. Safe for concurrent use.
type Turn struct {
	// C is held by whoever's turn it is: sending to it takes the turn, receiving from it gives it back.
	C chan struct{}

	changed func()

	mu      sync.Mutex
	movers  int      // that want it, or have it until they say otherwise
	yielded *yielded // the relay that yields; nil if none does
}

type yielded struct{ callOff context.CancelFunc }

// New returns a turn that nobody has. changed is called, without any lock, when a mover does not want it any more.
func New(changed func()) *Turn { return &Turn{C: make(chan struct{}, 1), changed: changed} }

// First calls off the relay that yields, and keeps others from waiting for the turn before done is called.
func (t *Turn) First() (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.movers++
	if t.yielded != nil {
		t.yielded.callOff()
	}
	return func() {
		t.mu.Lock()
		t.movers--
		t.mu.Unlock()
		t.changed()
	}
}

// Take waits for the turn as a mover.
func (t *Turn) Take(ctx context.Context) error {
	defer t.First()()
	select {
	case t.C <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Give gives it back.
func (t *Turn) Give() { <-t.C }

// Try takes it for a relay if nobody has it, and no mover wants it.
func (t *Turn) Try() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.movers > 0 {
		return false
	}
	select {
	case t.C <- struct{}{}:
		return true
	default:
		return false
	}
}

// Wanted reports whether a mover wants it.
func (t *Turn) Wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.movers > 0
}

// Yield lets a mover that comes end ctx. One relay of a stream yields at a time; done is to be called at its end.
func (t *Turn) Yield() (ctx context.Context, done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.yield()
}

// YieldUnlessWanted is Yield, unless a mover wants the turn already: ok is false then, and ctx has ended.
func (t *Turn) YieldUnlessWanted() (ctx context.Context, done func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.movers > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx, cancel, false
	}
	ctx, done = t.yield()
	return ctx, done, true
}

// yield is Yield. With mu.
func (t *Turn) yield() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	own := &yielded{cancel}
	t.yielded = own
	return ctx, func() {
		t.mu.Lock()
		if t.yielded == own { // else another relay yields already, and is the one to call off
			t.yielded = nil
		}
		t.mu.Unlock()
		cancel()
	}
}

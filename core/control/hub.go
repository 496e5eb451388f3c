// Hands events to any number of watchers, and waits for none of them.
package control

import "sync"

// watchBuffer is how many events a watcher may be behind before it misses some.
const watchBuffer = 256

// Hub carries events from the controller to its watchers. The zero value is ready to use, by any
// number of goroutines.
type Hub struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

type watcher struct {
	events  chan Event
	skipped uint64
}

// Publish hands e to every watcher that has room for it, and never blocks. A watcher that missed
// events finds their number in the next one that it gets.
func (h *Hub) Publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		e.Skipped = w.skipped
		select {
		case w.events <- e:
			w.skipped = 0
		default:
			w.skipped++
		}
	}
}

// Watched reports whether anybody watches.
func (h *Hub) Watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers) > 0
}

// Subscribe returns a channel of the events from now on, and what ends the subscription and closes
// the channel; that may be called more than once.
func (h *Hub) Subscribe() (<-chan Event, func()) {
	w := &watcher{events: make(chan Event, watchBuffer)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = map[*watcher]struct{}{}
	}
	h.watchers[w] = struct{}{}
	return w.events, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, ok := h.watchers[w]; ok {
			delete(h.watchers, w)
			close(w.events)
		}
	}
}

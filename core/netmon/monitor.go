// The monitor: the one place of a process that hears of changes.
package netmon

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/guard"
	"midstream/core/netif"
)

// How old a State may be where nobody follows the changes.
const notedFor = 200 * time.Millisecond

// Monitor has the present State. The zero value knows nothing yet. Safe for concurrent use.
type Monitor struct {
	following atomic.Bool
	looking   sync.Mutex // held while the kernel is asked: a later State never gives way to an earlier one

	mu      sync.Mutex
	state   *State
	used    bool          // it is a test's
	losses  []netif.Loss  // heard of since the kernel has begun to be asked
	changed chan struct{} // closed and replaced at every change that Follow has heard of
}

// State returns the present one, never nil.
func (m *Monitor) State() *State {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == nil {
		m.state = &State{}
	}
	return m.state
}

// Fresh is State; where nobody follows the changes, the kernel is asked if it is old.
func (m *Monitor) Fresh() *State {
	s := m.State()
	if (m.following.Load() && len(s.Interfaces) > 0) || time.Since(s.at) < notedFor {
		return s
	}
	m.Refresh()
	return m.State()
}

// Changed returns a channel that is closed when the next change has been taken in. A loss alone closes none.
func (m *Monitor) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return m.changed
}

// Refresh asks for everything anew. After an error the State is as it was.
func (m *Monitor) Refresh() error {
	m.looking.Lock()
	defer m.looking.Unlock()
	m.mu.Lock()
	m.losses = nil
	used := m.used
	m.mu.Unlock()
	if used {
		return nil
	}
	s, err := look(m.State())
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.losses { // what it has said may be older
		s = s.without(l)
	}
	m.state = s
	return nil
}

// Use makes s the State from now on: the kernel is asked no more, and nobody is told. For tests.
func (m *Monitor) Use(s *State) {
	m.looking.Lock()
	defer m.looking.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.used = s, true
}

// Follow keeps the State up to date until ctx ends. It returns once the State is there; after an error nobody follows. heard
// is called after each change: at once for a loss, with the interfaces and addresses that are left (whole is false), from
// one goroutine, and, when everything has been asked for anew, from another (whole is true). While an interface is being taken
// away the kernel answers nobody, so the one does not wait for the other.
func (m *Monitor) Follow(ctx context.Context, heard func(whole bool)) error {
	notices, err := netif.Follow(ctx, func(l netif.Loss) {
		m.mu.Lock()
		m.losses = append(m.losses, l)
		if m.state != nil {
			m.state = m.state.without(l)
		}
		m.mu.Unlock()
		heard(false)
	})
	if err != nil {
		m.news(heard)
		return err
	}
	m.following.Store(true)
	err = m.news(heard)
	guard.Go(func() {
		for range notices {
			m.news(heard)
		}
		m.following.Store(false)
	})
	return err
}

// news asks for everything anew and tells of it.
func (m *Monitor) news(heard func(whole bool)) error {
	err := m.Refresh()
	m.mu.Lock()
	if err == nil && m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
	m.mu.Unlock()
	heard(true)
	return err
}

// Ask has the kernel tell of the interface's carrier now: by itself it may take a second.
func (m *Monitor) Ask(name string) {
	if i, ok := m.State().Interface(name); ok && m.following.Load() {
		netif.Sync(i.Index)
	}
}

// AskAll does so for all interfaces that are up and have no carrier.
func (m *Monitor) AskAll() {
	for _, i := range m.State().Interfaces {
		if i.Up && !i.Carrier {
			netif.Sync(i.Index)
		}
	}
}

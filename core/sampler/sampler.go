// Package sampler looks at the streams' counters while any stream is guarded, and for a while after each exchange; otherwise it sleeps. It
// knows when to look, and nothing of what is looked for (package silence).
package sampler

import (
	"sync"
	"time"

	"midstream/core/guard"
	"midstream/core/silence"
)

// awake is how long the counters are looked at after an exchange.
const awake = time.Second

// Process is what the sampler has to know of the process. All but Each is called with the sampler's lock; what is asked of streams there
// must not take theirs.
type Process interface {
	// Each calls look for all streams.
	Each(look func(Stream))
	// Livens is told that an exchange was seen.
	Livens()
	// Watched reports whether somebody wants to be told of every exchange.
	Watched() bool
	// Looks tells the shim whether it may keep exchanges to itself, because they are looked for.
	Looks(on bool)
}

// Stream is one of the process's.
type Stream interface {
	// Stirs has an exchange told of that has lasted since the last look. It reports whether the program does anything.
	Stirs(now time.Time) bool
	// Judge does what the stream's flow calls for, and says when it is to be looked at again; false if it is not guarded.
	Judge(now time.Time) (guarded bool, next time.Duration)
	// Untold reports whether an exchange is under way that nobody has been told of. It is called with the sampler's lock.
	Untold() bool
}

// Sampler is a process's.
type Sampler struct {
	p    Process
	kick chan struct{} // holds one while there is reason to look at once

	mu      sync.Mutex
	running bool
	active  time.Time // when an exchange was seen last
}

// New returns one that sleeps.
func New(p Process) *Sampler { return &Sampler{p: p, kick: make(chan struct{}, 1)} }

// Wake has the counters looked at. It may be called with a stream's lock.
func (s *Sampler) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	slept := now.Sub(s.active) >= awake
	s.active = now
	s.p.Livens()
	switch {
	case !s.running:
		s.running = true
		s.attend()
		guard.Go(s.run)
	case slept:
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
}

// Attend tells the shim anew whether it has to tell of every exchange.
func (s *Sampler) Attend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attend()
}

// attend is Attend. With mu.
func (s *Sampler) attend() { s.p.Looks(s.running && !s.p.Watched()) }

func (s *Sampler) run() {
	timer := time.NewTimer(silence.Tick)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.kick:
		}
		now := time.Now()
		guarded, active, next := false, false, silence.LongestLook
		s.p.Each(func(stream Stream) {
			active = stream.Stirs(now) || active
			if on, soon := stream.Judge(now); on {
				guarded, next = true, min(next, soon)
			}
		})
		wait, over := s.pause(now, guarded, active, next)
		if over {
			return
		}
		timer.Reset(wait)
	}
}

// pause returns how long there is nothing to be looked at; over: until Wake is called. Whoever guards a stream after the last look has
// called it.
func (s *Sampler) pause(now time.Time, guarded, active bool, next time.Duration) (wait time.Duration, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if active {
		s.active = now
		s.p.Livens()
	}
	if time.Since(s.active) < awake {
		s.attend()
		return silence.Tick, false
	}
	if guarded && next < 2*silence.Tick {
		s.attend()
		return next, false
	}
	// The shim keeps an exchange to itself only if it finds, afterwards, that this is still said.
	s.p.Looks(false)
	untold := false
	s.p.Each(func(stream Stream) { untold = untold || stream.Untold() })
	if untold {
		s.active = now
		s.attend()
		return silence.Tick, false
	}
	s.running = guarded
	return next, !guarded
}

// When the counters are looked at, and when nothing wakes the process.
package sampler

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"midstream/core/silence"
)

// process is one with a stream.
type process struct {
	mu      sync.Mutex
	looks   int // at the stream
	guarded bool
	next    time.Duration
	active  int // so many looks find that the program does something
	untold  bool
	watched bool
	said    []bool // to the shim
}

func (p *process) Each(look func(Stream)) { look(p) }
func (p *process) Livens()                {}
func (p *process) Watched() bool          { return p.watched }
func (p *process) Looks(on bool)          { p.set(func() { p.said = append(p.said, on) }) }
func (p *process) Untold() bool           { p.mu.Lock(); defer p.mu.Unlock(); return p.untold }

func (p *process) Stirs(time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active--
	return p.active >= 0
}

func (p *process) Judge(time.Time) (bool, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks++
	return p.guarded, p.next
}

// last is what the shim was told last.
func (p *process) last() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said[len(p.said)-1]
}

func (p *process) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// within is how often the stream is looked at in so long.
func (p *process) within(d time.Duration) int {
	before := 0
	p.set(func() { before = p.looks })
	time.Sleep(d)
	synctest.Wait()
	after := 0
	p.set(func() { after = p.looks })
	return after - before
}

func TestNothingIsLookedAtWhereNothingIsGuarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &process{}
		s := New(p)
		s.Wake()
		if n := p.within(awake); n < 30 {
			t.Errorf("%d looks while it is awake", n)
		}
		if n := p.within(time.Hour); n > 2 {
			t.Errorf("%d looks in an hour in which nothing happens", n)
		}
		if p.last() {
			t.Error("the shim may keep exchanges to itself although nobody looks")
		}
		s.Wake()
		if n := p.within(awake / 2); n < 15 {
			t.Errorf("%d looks once it has been woken again", n)
		}
		time.Sleep(2 * awake) // it ends
	})
}

func TestAGuardedStreamIsLookedAtWhenItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &process{guarded: true, next: 10 * time.Second}
		s := New(p)
		s.Wake()
		p.within(2 * awake)
		if n := p.within(100 * time.Second); n < 9 || n > 11 {
			t.Errorf("%d looks in 100 seconds, one wanted every ten", n)
		}
		s.Wake()
		if n := p.within(awake / 2); n < 15 {
			t.Errorf("%d looks once it has been woken: not at once", n)
		}
		p.set(func() { p.guarded = false })
		time.Sleep(time.Minute)
	})
}

// An exchange that begins while the shim is told that nobody looks any more is not missed.
func TestWhatNobodyHasBeenToldOfKeepsItAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &process{untold: true}
		s := New(p)
		s.Wake()
		p.within(2 * awake)
		if n := p.within(awake); n < 30 {
			t.Errorf("%d looks in a second", n)
		}
		p.set(func() { p.untold = false })
		time.Sleep(3 * awake)
		if n := p.within(time.Minute); n > 0 {
			t.Errorf("%d looks after its end", n)
		}
	})
}

func TestWhoeverWatchesIsToldOfEveryExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &process{active: 10}
		s := New(p)
		s.Wake()
		time.Sleep(silence.Tick / 2)
		if !p.last() {
			t.Error("the shim tells of all although it is looked for")
		}
		p.watched = true
		s.Attend()
		if p.last() {
			t.Error("the shim keeps exchanges to itself although somebody watches")
		}
		time.Sleep(3 * awake)
	})
}

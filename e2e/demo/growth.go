// Watches the file grow: what the program has been given, and when it was given nothing.

package main

import (
	"os"
	"sync"
	"time"
)

// nearby is how long before and after a migration a pause counts as belonging to it.
const nearby = time.Second

type pause struct {
	from, to time.Time
}

type growth struct {
	end chan struct{}

	mu     sync.Mutex
	size   int64
	pauses []pause
	marks  []time.Time
}

// watchGrowth looks at the size of a file every millisecond until stop.
func watchGrowth(path string) *growth {
	g := &growth{end: make(chan struct{})}
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		var last time.Time
		for {
			select {
			case <-g.end:
				return
			case now := <-tick.C:
				info, err := os.Stat(path)
				if err != nil {
					continue
				}
				g.mu.Lock()
				if info.Size() != g.size {
					if now.Sub(last) > 3*time.Millisecond && !last.IsZero() {
						g.pauses = append(g.pauses, pause{last, now})
					}
					last, g.size = now, info.Size()
				}
				g.mu.Unlock()
			}
		}
	}()
	return g
}

func (g *growth) stop() {
	close(g.end)
}

func (g *growth) octets() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.size
}

// mark notes that a migration is asked for now.
func (g *growth) mark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.marks = append(g.marks, time.Now())
}

// longest are the longest pauses near a mark and away from all of them.
func (g *growth) longest() (near, far time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.pauses {
		length, isNear := p.to.Sub(p.from), false
		for _, m := range g.marks {
			isNear = isNear || p.to.After(m.Add(-nearby)) && p.from.Before(m.Add(nearby))
		}
		if isNear {
			near = max(near, length)
		} else {
			far = max(far, length)
		}
	}
	return near, far
}

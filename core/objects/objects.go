// Package objects counts the objects that each process has received, and remembers the last ones: a list of segments (HLS, DASH), a
// pipeline of packages, the tarballs of an installation.
package objects

import (
	"slices"
	"sync"

	"midstream/core/control"
)

const (
	lastKept  = 8       // objects of a process that are remembered
	longest   = 2 << 10 // octets of a URL that are kept of it
	processes = 64      // whose objects are known: a supervisor carries connections of many
)

// Lists are those of all processes. The zero value has none. Safe for concurrent use.
type Lists struct {
	mu   sync.Mutex
	list []list // whose process has received something last comes last
}

type list struct {
	pid   int
	count int64
	last  []control.Object // the oldest first
}

// of returns the list of a process, a new one if there is none. With mu.
func (l *Lists) of(pid int) *list {
	at := slices.IndexFunc(l.list, func(o list) bool { return o.pid == pid })
	o := list{pid: pid}
	switch {
	case at >= 0:
		o = l.list[at]
		l.list = slices.Delete(l.list, at, at+1)
	case len(l.list) == processes:
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.list = append(l.list, o)
	return &l.list[len(l.list)-1]
}

// Count takes that the process has received so many more, of which nothing else is known, and returns how many it has by now.
func (l *Lists) Count(pid int, n int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.of(pid)
	o.count += n
	return o.count
}

// Add takes that the process has received this one, and returns how many it has by now.
func (l *Lists) Add(pid int, url string, octets int64) int64 {
	if len(url) > longest {
		url = url[:longest]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.of(pid)
	o.count++
	if len(o.last) == lastKept {
		o.last = slices.Delete(o.last, 0, 1)
	}
	o.last = append(o.last, control.Object{URL: url, Octets: octets})
	return o.count
}

// Of describes what the process has received; nil where that is nothing.
func (l *Lists) Of(pid int) *control.Objects {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.list {
		if o.pid == pid && o.count > 0 {
			last := slices.Clone(o.last)
			slices.Reverse(last)
			return &control.Objects{Count: o.count, Last: last}
		}
	}
	return nil
}

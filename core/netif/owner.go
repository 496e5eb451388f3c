// Which interface owns a local address: asked for every connection of the
// program, so one dump serves many questions.

package netif

import (
	"net/netip"
	"sync"
	"time"
)

const (
	ownersFresh = time.Second           // how long an answer may be old
	ownersMiss  = 50 * time.Millisecond // how often an address not in the dump may cause a new one
)

type ownerTable struct {
	mu     sync.Mutex
	byAddr map[netip.Addr]string // zones removed
	taken  time.Time
}

var owners ownerTable

// ByAddress returns the name of the interface that owns addr, the local address
// of a socket; IPv4-mapped addresses count as IPv4, and a zone is taken at its
// word. The answer may be a second old. Safe for concurrent use.
func ByAddress(addr netip.Addr) (name string, ok bool) {
	if addr.Zone() != "" {
		return addr.Zone(), true
	}
	return owners.find(addr.Unmap())
}

func (t *ownerTable) find(addr netip.Addr) (string, bool) {
	if !addr.IsValid() || addr.IsUnspecified() {
		return "", false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	age := time.Since(t.taken)
	name, ok := t.byAddr[addr]
	if t.byAddr == nil || age > ownersFresh || (!ok && age > ownersMiss) {
		t.refresh()
		name, ok = t.byAddr[addr]
	}
	if !ok && addr.Is4() && addr.IsLoopback() {
		return "lo", true // all of 127.0.0.0/8 is local, though only 127.0.0.1 is listed
	}
	return name, ok
}

// refresh keeps the old table if the kernel does not answer.
func (t *ownerTable) refresh() {
	t.taken = time.Now()
	all, err := List()
	if err != nil {
		return
	}
	t.byAddr = make(map[netip.Addr]string)
	for _, i := range all {
		for _, list := range [][]netip.Addr{i.V4, i.V6, i.LinkLocal} {
			for _, a := range list {
				t.byAddr[a.WithZone("")] = i.Name
			}
		}
	}
}

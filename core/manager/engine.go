// The manager itself: facts in, decisions out.
package manager

import (
	"net/netip"
	"sync"

	"midstream/core/config"
	"midstream/core/netif"
)

// Engine implements Manager.
type Engine struct {
	config *config.Config

	mu      sync.Mutex
	links   []netif.Interface
	captive map[string]captivity
}

// captivity is a captive portal met on an interface; it holds while the interface keeps the address.
type captivity struct{ address netip.Addr }

// New returns an engine that knows of no interface yet.
func New(cfg *config.Config) *Engine {
	return &Engine{config: cfg, captive: map[string]captivity{}}
}

// Links tells the engine the interfaces there are.
func (e *Engine) Links(links []netif.Interface) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.links = links
}

// Interfaces implements Manager.
func (e *Engine) Interfaces() []Interface {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Interface, 0, len(e.links))
	for _, l := range e.links {
		i := Interface{Name: l.Name, Index: l.Index, Kind: KindOther, Up: l.Up, Carrier: l.Carrier,
			Addresses: append(append([]netip.Addr{}, l.V4...), l.V6...)}
		if l.Loopback {
			i.Kind = KindLoopback
		}
		_, i.Captive = e.captive[l.Name]
		all = append(all, i)
	}
	return all
}

// Interface implements Manager.
func (e *Engine) Interface(name string) (Interface, bool) {
	for _, i := range e.Interfaces() {
		if i.Name == name {
			return i, true
		}
	}
	return Interface{}, false
}

// Order implements Manager.
func (e *Engine) Order(s Stream) []string {
	var names []string
	for _, i := range e.Interfaces() {
		if i.Usable() {
			names = append(names, i.Name)
		}
	}
	return names
}

// Captive implements Manager.
func (e *Engine) Captive(name string, captive bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if captive {
		e.captive[name] = captivity{}
	} else {
		delete(e.captive, name)
	}
}

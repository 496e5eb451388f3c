// The manager itself: facts in, decisions out.
package manager

import (
	"net/netip"
	"sync"
	"time"

	"midstream/core/config"
	"midstream/core/netif"
	"midstream/core/netmon"
)

// Engine implements Manager. It is safe for concurrent use.
type Engine struct {
	config *config.Config
	now    func() time.Time

	mu         sync.Mutex
	links      []netif.Interface
	stable     map[string]*stability
	captive    map[string]netip.Addr // portals met, with the address the interface had then
	facts      map[string]Fact
	directives Directives
	own        map[int]string // a process's own use, by its number
	reports    map[string]report
	previous   map[string]previous
	measures   map[string]*measure
	asked      map[string]asked // what was decided for a stream
	against    map[string]string
	fired      map[string]bool // conditional triggers whose condition held when last looked at
}

// Fact is what somebody who knows better than the kernel says of an interface: systemd-resolved, NetworkManager,
// wpa_supplicant, the daemon that other processes report to.
type Fact struct {
	Resolvers []netip.AddrPort `json:"resolvers,omitempty"`
	Metered   *bool            `json:"metered,omitempty"`
	Provider  string           `json:"provider,omitempty"`
	Captive   bool             `json:"captive,omitempty"`
	Signal    int              `json:"signal_dbm,omitempty"` // of a radio network, 0 where unknown
	Roaming   bool             `json:"roaming,omitempty"`    // it changes its access point just now
	// From the streams of other processes; 0 where unknown.
	RTT        float64 `json:"rtt_ms,omitempty"`
	Loss       float64 `json:"loss,omitempty"`
	Throughput float64 `json:"throughput,omitempty"`
	Congestion float64 `json:"congestion,omitempty"`
	Streams    int     `json:"streams,omitempty"`
}

// Merge adds what another source knows: for what both have measured, that of more streams counts, for the rest the
// first that has it.
func Merge(all map[string]Fact, more map[string]Fact) {
	for name, b := range more {
		a := all[name]
		if len(a.Resolvers) == 0 {
			a.Resolvers = b.Resolvers
		}
		if a.Metered == nil {
			a.Metered = b.Metered
		}
		if a.Provider == "" {
			a.Provider = b.Provider
		}
		a.Captive = a.Captive || b.Captive
		a.Roaming = a.Roaming || b.Roaming
		if a.Signal == 0 {
			a.Signal = b.Signal
		}
		if b.Streams > a.Streams || a.RTT == 0 {
			a.RTT, a.Loss, a.Throughput, a.Congestion, a.Streams = b.RTT, b.Loss, b.Throughput, b.Congestion, b.Streams
		}
		all[name] = a
	}
}

// OfFiles returns what the host's files say of the interfaces.
func OfFiles(networks *netmon.State) map[string]Fact {
	files := map[string]Fact{}
	for _, i := range networks.Interfaces {
		if servers := networks.Resolvers(i.Name); len(servers) > 0 {
			files[i.Name] = Fact{Resolvers: servers}
		}
	}
	return files
}

// report is a stream with its sample.
type report struct {
	Stream
	Sample Sample
	at     time.Time
}

// reportAge is how old a report may be before its stream no longer counts.
const reportAge = 40 * time.Second

// New returns an engine that knows of no interface yet; now is the clock, time.Now but in tests.
func New(cfg *config.Config, now func() time.Time) *Engine {
	return &Engine{
		config: cfg, now: now,
		stable: map[string]*stability{}, captive: map[string]netip.Addr{}, facts: map[string]Fact{},
		own: map[int]string{}, reports: map[string]report{}, previous: map[string]previous{},
		measures: map[string]*measure{}, asked: map[string]asked{}, against: map[string]string{}, fired: map[string]bool{},
	}
}

// Links tells the engine the interfaces there are, as netmon.State has them; the list becomes the engine's.
func (e *Engine) Links(links []netif.Interface) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	first := e.links == nil
	e.links = links
	there := map[string]bool{}
	for i := range links {
		name := links[i].Name
		there[name] = true
		if s := e.stable[name]; s == nil {
			usable := links[i].Usable() == nil
			e.stable[name] = &stability{usable: usable, since: now, first: first && usable}
		} else {
			s.update(links[i].Usable() == nil, now)
		}
		if at, ok := e.captive[name]; ok && at.IsValid() && at != firstAddress(&links[i]) {
			delete(e.captive, name) // another network by now
		}
	}
	for name, s := range e.stable {
		if !there[name] {
			s.update(false, now)
		}
	}
}

func firstAddress(i *netif.Interface) netip.Addr {
	switch {
	case len(i.V4) > 0:
		return i.V4[0]
	case len(i.V6) > 0:
		return i.V6[0]
	}
	return netip.Addr{}
}

// Facts replaces what others know.
func (e *Engine) Facts(facts map[string]Fact) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.facts = facts
}

// Gather returns what this engine knows that others cannot find out, for Facts of theirs.
func (e *Engine) Gather() map[string]Fact {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]Fact{}
	for name, f := range e.facts {
		out[name] = f
	}
	for name, m := range e.measures {
		f := out[name]
		f.RTT, f.Loss, f.Throughput, f.Congestion, f.Streams = m.rtt, m.loss, m.throughput, m.congestion(), m.streams
		out[name] = f
	}
	for name := range e.captive {
		f := out[name]
		f.Captive = true
		out[name] = f
	}
	return out
}

// Direct replaces the directives.
func (e *Engine) Direct(d Directives) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.directives = compile(d)
	clear(e.asked) // a new word of the user's is worth a new attempt
}

// Directives returns those in force.
func (e *Engine) Directives() Directives {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.directives.Expire(e.now())
}

// UseFor makes one process use an interface, whatever the directives say of all; "auto" exempts it from what they
// say, "" makes it follow them again.
func (e *Engine) UseFor(pid int, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name == "" {
		delete(e.own, pid)
	} else {
		e.own[pid] = name
	}
	clear(e.asked)
}

// Auto is what UseFor takes for automatic choice.
const Auto = "auto"

// Own returns what UseFor was called with for the process, "" if not.
func (e *Engine) Own(pid int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.own[pid]
}

// UsedBy returns the interface that the process is to use, "" for automatic choice.
func (e *Engine) UsedBy(pid int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.used(pid)
}

func (e *Engine) used(pid int) string {
	switch own := e.own[pid]; own {
	case "":
		return e.directives.Use
	case Auto:
		return ""
	default:
		return own
	}
}

// Report tells the engine all streams of a process; the samples are in the same order.
func (e *Engine) Report(pid int, streams []Stream, samples []Sample) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	there := map[string]bool{}
	for i, s := range streams {
		there[s.ID] = true
		r := report{Stream: s, at: now}
		if i < len(samples) {
			r.Sample = samples[i]
		}
		e.reports[s.ID] = r
	}
	for id, r := range e.reports {
		if r.PID == pid && !there[id] {
			e.forget(id)
		}
	}
	e.learn(now)
	for _, s := range streams {
		if p, ok := e.previous[s.ID]; ok {
			r := e.reports[s.ID]
			r.Rate = p.rate
			e.reports[s.ID] = r
		}
	}
}

// Gone tells the engine that a process has ended.
func (e *Engine) Gone(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, r := range e.reports {
		if r.PID == pid {
			e.forget(id)
		}
	}
	delete(e.own, pid)
	e.learn(e.now())
}

func (e *Engine) forget(id string) {
	delete(e.reports, id)
	delete(e.asked, id)
	delete(e.against, id)
}

// Captive implements Manager.
func (e *Engine) Captive(name string, captive bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.captive, name)
	for i := range e.links {
		if captive && e.links[i].Name == name {
			e.captive[name] = firstAddress(&e.links[i])
		}
	}
}

// Portals returns the interfaces that Captive was called for, and where that still holds.
func (e *Engine) Portals() map[string]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := map[string]bool{}
	for name := range e.captive {
		all[name] = true
	}
	return all
}

// Interfaces implements Manager.
func (e *Engine) Interfaces() []Interface {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.view()
	all := make([]Interface, len(v.ranked))
	for i, r := range v.ranked {
		all[i] = *r
	}
	return all
}

// Interface implements Manager.
func (e *Engine) Interface(name string) (Interface, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.view().by[name]; i != nil {
		return *i, true
	}
	return Interface{}, false
}

// Order implements Manager.
func (e *Engine) Order(s Stream) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.view()
	if on := v.by[s.Interface]; on != nil && on.Kind == KindLoopback {
		return nil
	}
	names, _ := e.order(v, s)
	return names
}

// Choice is an interface for connections that are to be made.
type Choice struct {
	Name  string
	Index int
	Costs bool // more than another that can be used
}

// Choices returns those interfaces, best first.
func (e *Engine) Choices() []Choice {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.view()
	names, _ := e.order(v, Stream{})
	all := make([]Choice, len(names))
	for n, name := range names {
		all[n] = Choice{Name: name, Index: v.by[name].Index}
		for _, other := range names {
			all[n].Costs = all[n].Costs || v.by[name].Dearer(v.by[other])
		}
	}
	return all
}

// Configure replaces the configuration.
func (e *Engine) Configure(cfg *config.Config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.config = cfg
	clear(e.asked)
}

// A view: everything known at one moment, put together and ranked.
package manager

import (
	"math"
	"net/netip"
	"time"

	"midstream/core/policy"
)

type view struct {
	at     time.Time
	ranked []*Interface // best first, those that cannot be used last
	by     map[string]*Interface
	vars   policy.Variables
}

// view puts together what is known. With e.mu.
func (e *Engine) view() *view {
	v := &view{at: e.now(), by: map[string]*Interface{}}
	v.vars.Interfaces = map[string]*policy.Interface{}
	directives := e.directives.Expire(v.at)
	for n := range e.links {
		l := &e.links[n]
		set := e.config.Interfaces[l.Name]
		fact := e.facts[l.Name]
		i := &Interface{
			Name: l.Name, Index: l.Index, Kind: l.Kind, Up: l.Up, Carrier: l.Up && l.Carrier,
			Addresses: append(append([]netip.Addr{}, l.V4...), l.V6...),
			Routes:    []Route{}, Resolvers: append([]netip.AddrPort{}, set.DNS...), Proxy: set.Proxy.String(),
			Cost: set.Cost, Provider: set.Provider, Never: set.Never,
			Hints:  append([]Hint{}, directives.Hints[l.Name]...),
			Signal: fact.Signal, Roaming: fact.Roaming, part: l.Master != 0,
			RTT: fact.RTT, Loss: fact.Loss, Throughput: fact.Throughput, Congestion: fact.Congestion, Streams: fact.Streams,
		}
		if set.Kind != "" {
			i.Kind = set.Kind
		}
		if i.Kind == "" {
			i.Kind = KindOther
		}
		for _, r := range l.Defaults {
			i.Routes = append(i.Routes, Route{Via: r.Via, Metric: r.Metric})
		}
		if len(i.Resolvers) == 0 {
			i.Resolvers = append(i.Resolvers, fact.Resolvers...)
		}
		if i.Provider == "" {
			i.Provider = fact.Provider
		}
		switch {
		case set.Metered != nil:
			i.Metered = *set.Metered
		case fact.Metered != nil:
			i.Metered = *fact.Metered
		}
		_, portal := e.captive[l.Name]
		i.Captive = portal || fact.Captive
		if m := e.measures[l.Name]; m != nil {
			i.RTT, i.Loss, i.Throughput, i.Congestion, i.Streams = m.rtt, m.loss, m.throughput, m.congestion(), m.streams
		}
		i.take(heeded(directives.Hints[l.Name], map[string]bool{
			"metered": set.Metered != nil || fact.Metered != nil, "cost": set.Cost != 0, "captive": i.Captive,
			"provider": i.Provider != "", "signal": i.Signal != 0, "roaming": i.Roaming,
		}))
		v.by[i.Name] = i
		v.vars.Interfaces[i.Name] = e.variables(i, v.at)
		v.ranked = append(v.ranked, i)
	}
	e.rank(v)
	return v
}

// heeded are the hints that count, in the order in which they are to be taken: what was only found gives way to what is settled, by its key.
func heeded(hints []Hint, settled map[string]bool) (all []Hint) {
	for _, h := range hints {
		if h.Found && !settled[h.Key] {
			all = append(all, h)
		}
	}
	for _, h := range hints {
		if !h.Found {
			all = append(all, h)
		}
	}
	return all
}

// take takes in what hints say.
func (i *Interface) take(hints []Hint) {
	var t traits
	for _, h := range hints {
		t.apply(h.Key, h.Value) // a wrong one was refused when it came
	}
	number := func(from *float64, to *float64) {
		if from != nil {
			*to = *from
		}
	}
	truth := func(from *bool, to *bool) {
		if from != nil {
			*to = *from
		}
	}
	word := func(from *string, to *string) {
		if from != nil {
			*to = *from
		}
	}
	number(t.congestion, &i.Congestion)
	i.congested = t.congestion != nil && i.Congestion >= congested
	number(t.cost, &i.Cost)
	number(t.performance, &i.Performance)
	truth(t.captive, &i.Captive)
	truth(t.metered, &i.Metered)
	truth(t.free, &i.Free)
	truth(t.preferred, &i.Preferred)
	word(t.provider, &i.Provider)
	word(t.server, &i.Server)
	truth(t.roaming, &i.Roaming)
	if t.signal != nil {
		i.Signal = *t.signal
	}
	if i.Free {
		i.Cost, i.Metered = 0, false
	}
}

// congested is from which congestion on a hint of it is a reason to leave.
const congested = 0.8

// variables are what conditions see of the interface.
func (e *Engine) variables(i *Interface, now time.Time) *policy.Interface {
	p := &policy.Interface{
		Name: i.Name, Congestion: i.Congestion, RTT: policy.Measured(i.RTT), Loss: math.NaN(),
		Throughput: policy.Measured(i.Throughput), Cost: i.Cost, Metered: i.Metered, Carrier: i.Carrier,
		Usable: i.Usable(), Captive: i.Captive, Free: i.Free, Preferred: i.Preferred, Provider: i.Provider, Kind: i.Kind,
		Signal: policy.Measured(float64(i.Signal)), Roaming: i.Roaming, Age: math.NaN(),
	}
	if i.RTT > 0 {
		p.Loss = i.Loss
	}
	if s := e.stable[i.Name]; s != nil && s.usable {
		p.Age = now.Sub(s.since).Seconds()
	}
	return p
}

// session returns the variables of a condition on a stream.
func (v *view) session(s Stream) *policy.Variables {
	with := v.vars
	age := math.NaN()
	if !s.Moved.IsZero() {
		age = v.at.Sub(s.Moved).Seconds()
	}
	buffer := math.NaN()
	if s.Buffer != nil {
		buffer = *s.Buffer
	}
	with.Session = &policy.Session{
		Interface: s.Interface, Server: s.Server, Host: s.Host, Port: float64(s.Port), URL: s.URL, Command: s.Command,
		Length: policy.Known(s.Length), Received: float64(s.Received), Remaining: policy.Known(s.Remaining()),
		Rate: policy.Measured(s.Rate), Buffer: buffer, PID: float64(s.PID), Age: age,
	}
	return &with
}

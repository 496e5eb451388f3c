// Package netmon keeps what the kernel and the host's files say of its networks: interfaces, routes, name servers. A State is
// the truth of one moment and is never changed; the one Monitor of a process replaces it when something has changed. Package
// netif has the single questions to the kernel that this is made of.
package netmon

import (
	"net/netip"
	"slices"
	"time"

	"midstream/core/netif"
)

// State is what was known at one moment. All methods are safe for concurrent use; what they return is not to be changed.
type State struct {
	// Interfaces are those there are, by rising index, with Kind and Defaults. Empty: nothing is known yet.
	Interfaces []netif.Interface
	// Routes are the unicast routes of all tables.
	Routes []netif.Route

	resolvers map[string][]netip.AddrPort
	links     map[string]Link
	owners    map[netip.Addr]string // interfaces by their addresses, without zones
	at        time.Time
}

// Link is what has to be known of an interface also when it is gone.
type Link struct {
	Index  int // 0 where it is gone
	Tunnel bool
	VRF    int // the index of its VRF, 0 for none
}

// Look asks the kernel and the files.
func Look() (*State, error) { return look(nil) }

// look is Look; before is the State that the new one follows, nil for none: interfaces that are gone are remembered.
func look(before *State) (*State, error) {
	interfaces, routes, err := netif.Survey()
	if err != nil {
		return nil, err
	}
	s := newState(before, interfaces, routes, time.Now())
	for _, i := range interfaces {
		if servers := linkServers(i.Index); len(servers) > 0 {
			s.resolvers[i.Name] = servers
		}
	}
	return s, nil
}

// Of is the State of a host with these interfaces and routes, for tests and simulations.
func Of(interfaces []netif.Interface, routes []netif.Route) *State {
	return newState(nil, interfaces, routes, time.Now())
}

func newState(before *State, interfaces []netif.Interface, routes []netif.Route, at time.Time) *State {
	s := &State{Interfaces: interfaces, Routes: routes, at: at,
		resolvers: map[string][]netip.AddrPort{}, links: map[string]Link{}, owners: map[netip.Addr]string{}}
	if before != nil {
		for name, l := range before.links {
			l.Index = 0
			s.links[name] = l
		}
	}
	tunnels := netif.Tunnels(interfaces, routes)
	for _, i := range interfaces {
		s.links[i.Name] = Link{Index: i.Index, Tunnel: tunnels[i.Name], VRF: netif.VRF(interfaces, i.Index)}
		for _, list := range [][]netip.Addr{i.V4, i.V6, i.LinkLocal} {
			for _, a := range list {
				s.owners[a.WithZone("")] = i.Name
			}
		}
	}
	return s
}

// Interface returns the interface of that name, if it is there.
func (s *State) Interface(name string) (i netif.Interface, ok bool) {
	at := slices.IndexFunc(s.Interfaces, func(i netif.Interface) bool { return i.Name == name })
	if at < 0 {
		return i, false
	}
	return s.Interfaces[at], true
}

// Link returns what is known of the interface, which need not be there any more.
func (s *State) Link(name string) Link { return s.links[name] }

// Named returns the name of the first of the interfaces with these indices that is known, "" for none.
func (s *State) Named(indices []int) string {
	for _, i := range s.Interfaces {
		if slices.Contains(indices, i.Index) {
			return i.Name
		}
	}
	return ""
}

// Usable lists the interfaces over which a connection can be tried; nil where nothing is known.
func (s *State) Usable() (names []string) {
	for _, i := range s.Interfaces {
		if i.Usable() == nil {
			names = append(names, i.Name)
		}
	}
	return names
}

// HasDefault reports whether a default route, of whichever table, leads out of the interface with that index.
func (s *State) HasDefault(index int) bool {
	return slices.ContainsFunc(s.Routes, func(r netif.Route) bool { return r.Index == index && r.To.Bits() == 0 })
}

// Resolvers returns the name servers that the host's files have for the interface.
func (s *State) Resolvers(name string) []netip.AddrPort { return s.resolvers[name] }

// Lost says why nothing can be heard any more of a connection over the interface, from the local address to the server, "" if
// something may.
func (s *State) Lost(iface string, local, server netip.Addr) string {
	if iface == "" || netif.InHost(iface) || len(s.Interfaces) == 0 {
		return ""
	}
	i, ok := s.Interface(iface)
	if !ok {
		return "the interface is gone"
	}
	local = local.Unmap()
	switch {
	case !i.Up:
		return "the interface is down"
	case !i.Carrier:
		return "the interface has no carrier"
	case local.IsValid() && !local.IsLinkLocalUnicast() && !slices.Contains(i.V4, local) && !slices.Contains(i.V6, local):
		return "its address is gone"
	case !netif.Leads(s.Routes, i.Index, server):
		return "no route leads to the server any more"
	}
	return ""
}

// without is the State after a loss of which the kernel has told, until everything has been asked for anew. The same State:
// nothing is known of that interface.
func (s *State) without(l netif.Loss) *State {
	at := slices.IndexFunc(s.Interfaces, func(i netif.Interface) bool { return i.Index == l.Index })
	if at < 0 {
		return s
	}
	now := *s
	now.Interfaces = slices.Clone(s.Interfaces)
	i := &now.Interfaces[at]
	switch {
	case l.Addr.IsValid():
		is := func(a netip.Addr) bool { return a == l.Addr }
		i.V4, i.V6 = slices.DeleteFunc(slices.Clone(i.V4), is), slices.DeleteFunc(slices.Clone(i.V6), is)
	case l.Down:
		i.Up = false
	default:
		i.Carrier = false
	}
	return &now
}

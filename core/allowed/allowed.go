// Package allowed has the rules for which interfaces a connection may be made over at all: what the kernel would route into a tunnel,
// or by a rule of the administrator's, does not leave it, unless the configuration says so; and the money rule's question, whether the
// present network has failed.
package allowed

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"midstream/core/config"
	"midstream/core/netif"
	"midstream/core/netmon"
	"midstream/core/reason"
)

// Rules are those of one configuration on one host. Safe for concurrent use.
type Rules struct {
	Config   *config.Config
	Networks *netmon.Monitor
	// Lookup asks the kernel; netif.Lookup, if nil.
	Lookup func(to netip.Addr, over int) (netif.Found, error)
}

func (r *Rules) lookup(to netip.Addr, over int) (netif.Found, error) {
	if r.Lookup != nil {
		return r.Lookup(to, over)
	}
	return netif.Lookup(to, over)
}

// Link returns what is known of the interface, which need not be there any more.
func (r *Rules) Link(name string) netmon.Link {
	l := r.Networks.Fresh().Link(name)
	if kind := r.Config.Interfaces[name].Kind; kind != "" {
		l.Tunnel = kind == netif.KindTunnel
	}
	return l
}

// MayLeave reports whether the configuration lets the interface be used in spite of tunnels and rules.
func (r *Rules) MayLeave(iface string) bool {
	return r.Config.Policy.LeaveTunnel || slices.Contains(r.Config.Policy.Prefer, iface)
}

// Astray says why a connection to the address must not be made over the interface, if it must not: for a stream that is on the
// interface own, or "" for none. An address that is not valid stands for any. It is for the kernel to say which route leads there, and
// for the configuration to allow others.
func (r *Rules) Astray(own, iface string, addr netip.Addr) reason.Reason {
	if addr = addr.Unmap(); r.MayLeave(iface) || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return reason.Reason{}
	}
	from, to := r.Link(own), r.Link(iface)
	switch {
	case own != iface && from.Tunnel:
		return reason.LeavesTunnel.With(own)
	case own != "" && from.VRF != to.VRF:
		return reason.OtherVrf.With(iface)
	}
	if !addr.IsValid() {
		return reason.Reason{}
	}
	route, err := r.lookup(addr, from.VRF)
	if err != nil || route.Local || route.Leads(to.Index) {
		return reason.Reason{} // where no route leads there, the interface may have one of its own
	}
	if through := r.Networks.State().Named(route.Index); through != "" && r.Link(through).Tunnel {
		return reason.RoutedTunnel.With(addr, through)
	}
	// A rule has chosen the table. Where the interface is found in the main one only, the kernel would not use it.
	if over, err := r.lookup(addr, to.Index); route.ByRule() && err == nil && !over.ByRule() {
		return reason.RoutedByRule.With(addr)
	}
	return reason.Reason{}
}

// Unreachable says that no route leads to the address over the interface, if none does: connect(2) would look for it on the link.
func (r *Rules) Unreachable(iface string, addr netip.Addr) reason.Reason {
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() || r.MayLeave(iface) {
		return reason.Reason{}
	}
	if to := r.Link(iface); to.Index != 0 {
		if _, err := r.lookup(addr, to.Index); errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EACCES) {
			return reason.NoRoute.With(addr, iface)
		}
	}
	return reason.Reason{}
}

// Package netif asks the kernel, by rtnetlink(7) through the standard library alone, which network interfaces the host has,
// which of them can carry a connection now, and where routes lead. What is known is kept by package netmon.
package netif

import (
	"net/netip"
)

// Interface is the state of one network interface at the moment it was asked for.
type Interface struct {
	Name     string
	Index    int
	MTU      int
	Up       bool // IFF_UP: switched on by the administrator
	Carrier  bool // IFF_RUNNING: the link can carry packets (RFC 2863 operational state)
	Loopback bool // IFF_LOOPBACK
	// Link is what the kernel calls the driver (IFLA_INFO_KIND): "wireguard", "tun", "veth"; "" for most hardware.
	Link     string
	Hardware uint16 // of linux/if_arp.h
	Master   int    // the index of the bridge, bond or VRF that it belongs to, 0 for none

	// V4 and V6 hold the addresses of global scope (RFC 6890, unique local
	// ones included), on a loopback interface its host-scope ones too.
	V4, V6 []netip.Addr
	// LinkLocal holds 169.254.0.0/16 and fe80::/10 addresses, the latter with
	// the interface as their zone.
	LinkLocal []netip.Addr

	// Kind and Defaults are filled in by Survey only.
	Kind     string
	Defaults []DefaultRoute
}

// HasAddress reports whether the interface has an address a connection beyond
// the link could come from.
func (i Interface) HasAddress() bool { return len(i.V4)+len(i.V6) > 0 }

// Usable returns nil if a connection can be tried over the interface now, and
// otherwise the first thing that stands in the way: ErrDown, ErrNoCarrier or
// ErrNoAddress, wrapped in an *Error.
func (i Interface) Usable() error {
	switch {
	case !i.Up:
		return &Error{Name: i.Name, Err: ErrDown}
	case !i.Carrier:
		return &Error{Name: i.Name, Err: ErrNoCarrier}
	case !i.HasAddress():
		return &Error{Name: i.Name, Err: ErrNoAddress}
	}
	return nil
}

// ByName returns the interface called name. An unknown name is an *Error
// wrapping ErrUnknown that lists the names there are. An interface that exists
// but cannot be used is returned together with the error of its Usable.
func ByName(name string) (Interface, error) {
	all, err := List()
	if err != nil {
		return Interface{}, err
	}
	known := make([]string, 0, len(all))
	for _, i := range all {
		if i.Name == name {
			return i, i.Usable()
		}
		known = append(known, i.Name)
	}
	return Interface{}, &Error{Name: name, Known: known, Err: ErrUnknown}
}

// InHost reports whether what goes over the interface of that name never leaves the host.
func InHost(name string) bool { return name == loopback }

// loopback is what the kernel calls it (net/core/net_namespace.c), and nobody can give another interface that name.
const loopback = "lo"

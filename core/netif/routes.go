// Where routes lead, from an rtnetlink dump: RTM_GETROUTE.

package netif

import (
	"encoding/binary"
	"net/netip"
	"syscall"
)

// Route says that a route leads to some addresses out of an interface.
type Route struct {
	Index int // of the interface
	To    netip.Prefix
	Via   bool // over a router
}

// routesOf reads those of the unicast routes, of all tables and both families.
func routesOf(msgs []syscall.NetlinkMessage) (all []Route) {
	for i := range msgs {
		if r, ok := parseRoute(&msgs[i]); ok {
			all = append(all, r)
		}
	}
	return all
}

// Leads reports whether one of them leads out of the interface to addr.
func Leads(routes []Route, index int, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, r := range routes {
		if r.Index == index && r.To.Contains(addr) {
			return true
		}
	}
	return false
}

// parseRoute reads a struct rtmsg (12 octets) and its attributes.
func parseRoute(m *syscall.NetlinkMessage) (r Route, ok bool) {
	if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg || m.Data[7] != syscall.RTN_UNICAST {
		return r, false
	}
	attrs, err := attributes(m, syscall.SizeofRtMsg)
	if err != nil {
		return r, false
	}
	to := netip.IPv4Unspecified()
	if m.Data[0] == syscall.AF_INET6 {
		to = netip.IPv6Unspecified()
	} else if m.Data[0] != syscall.AF_INET {
		return r, false
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case syscall.RTA_DST:
			if v, good := netip.AddrFromSlice(a.Value); good {
				to = v
			}
		case syscall.RTA_GATEWAY, rtaVia:
			r.Via = true
		case syscall.RTA_OIF:
			if len(a.Value) >= 4 {
				r.Index = int(binary.NativeEndian.Uint32(a.Value))
			}
		}
	}
	r.To = netip.PrefixFrom(to, int(m.Data[1]))
	return r, r.Index != 0 && r.To.IsValid()
}

// Where routes lead, from an rtnetlink dump: RTM_GETROUTE.

package netif

import (
	"encoding/binary"
	"net/netip"
	"syscall"
)

// Way says that a route leads to some addresses out of an interface.
type Way struct {
	Index int // of the interface
	To    netip.Prefix
	Via   bool // over a router
}

// Ways returns those of the unicast routes of all tables, of both families.
func Ways() ([]Way, error) {
	msgs, err := dump(syscall.RTM_GETROUTE)
	if err != nil {
		return nil, err
	}
	return waysOf(msgs), nil
}

func waysOf(msgs []syscall.NetlinkMessage) (all []Way) {
	for i := range msgs {
		if r, ok := parseWay(&msgs[i]); ok {
			all = append(all, r)
		}
	}
	return all
}

// Leads reports whether one of them leads out of the interface to addr.
func Leads(ways []Way, index int, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, r := range ways {
		if r.Index == index && r.To.Contains(addr) {
			return true
		}
	}
	return false
}

// parseWay reads a struct rtmsg (12 octets) and its attributes.
func parseWay(m *syscall.NetlinkMessage) (r Way, ok bool) {
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

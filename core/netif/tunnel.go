// Which interfaces are tunnels: what leaves by them is carried inside packets of another interface, and whoever set them up
// wants it there.

package netif

import (
	"encoding/binary"
	"slices"
	"syscall"
)

// From linux/if_link.h: what IFLA_LINKINFO holds.
const (
	iflaLinkInfo = 18
	iflaInfoKind = 1
)

// tunnels are the drivers (IFLA_INFO_KIND) whose interfaces are tunnels whatever else there is. That of tap devices is "tun".
var tunnels = []string{
	"tun", "wireguard", "amneziawg", "ovpn", "ovpn-dco", "xfrm", "vti", "vti6", "ipip", "sit", "ip6tnl", "gre", "gretap", "ip6gre",
	"ip6gretap", "erspan", "ip6erspan", "vxlan", "geneve", "bareudp", "gtp", "amt",
}

// tunnelHardware are the types of linux/if_arp.h of tunnels, for drivers that do not say what they are: ARPHRD_TUNNEL,
// ARPHRD_TUNNEL6, ARPHRD_SIT, ARPHRD_IPGRE, ARPHRD_IP6GRE.
var tunnelHardware = []uint16{768, 769, 776, 778, 823}

// kindVRF is the driver of virtual routing and forwarding: its members' routes are in a table of their own.
const kindVRF = "vrf"

// Tunnels returns the names of the tunnels among the interfaces. Point-to-point protocol is one where it runs over
// another interface: then a route to the other end, a single host behind a router, leads out of that one. Over a modem, or
// Ethernet (PPPoE), there is none.
func Tunnels(interfaces []Interface, routes []Route) map[string]bool {
	names := map[string]bool{}
	for i := range interfaces {
		if interfaces[i].isTunnel(routes) {
			names[interfaces[i].Name] = true
		}
	}
	return names
}

func (i *Interface) isTunnel(routes []Route) bool {
	if i.Link == "ppp" || i.Link == "" && i.Hardware == syscall.ARPHRD_PPP {
		return slices.ContainsFunc(routes, func(r Route) bool { return r.Index != i.Index && r.Via && r.To.IsSingleIP() })
	}
	return slices.Contains(tunnels, i.Link) || slices.Contains(tunnelHardware, i.Hardware)
}

// VRF returns the index of the VRF that the interface with that index is, or belongs to; 0 for none.
func VRF(interfaces []Interface, index int) int {
	for hops := 0; index != 0 && hops < 4; hops++ { // a bridge or a bond may be between
		at := slices.IndexFunc(interfaces, func(i Interface) bool { return i.Index == index })
		if at < 0 {
			return 0
		}
		if interfaces[at].Link == kindVRF {
			return index
		}
		index = interfaces[at].Master
	}
	return 0
}

// infoKind reads IFLA_INFO_KIND out of the value of IFLA_LINKINFO; "" where there is none.
func infoKind(value []byte) string {
	for len(value) >= syscall.SizeofRtAttr {
		length, kind := int(binary.NativeEndian.Uint16(value)), binary.NativeEndian.Uint16(value[2:])
		if length < syscall.SizeofRtAttr || length > len(value) {
			return ""
		}
		if kind == iflaInfoKind {
			return cString(value[syscall.SizeofRtAttr:length])
		}
		value = value[align(length, len(value)):]
	}
	return ""
}

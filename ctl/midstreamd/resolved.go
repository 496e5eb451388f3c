// What systemd-resolved says over D-Bus: org.freedesktop.resolve1(5).
package main

import (
	"net"
	"net/netip"

	"midstream/core/manager"
)

const (
	resolvedName = "org.freedesktop.resolve1"
	resolvedPath = "/org/freedesktop/resolve1"
)

// resolved asks systemd-resolved for the name servers of each link.
func resolved(l *look) map[string]manager.Fact {
	of := resolvedName + ".Manager"
	facts := map[string]manager.Fact{}
	add := func(index int32, octets []byte, port uint16) {
		addr, ok := netip.AddrFromSlice(octets)
		link, err := net.InterfaceByIndex(int(index))
		if !ok || index <= 0 || err != nil {
			return // index 0 is for the servers of no link
		}
		if port == 0 {
			port = 53
		}
		f := facts[link.Name]
		f.Resolvers = append(f.Resolvers, netip.AddrPortFrom(addr, port))
		facts[link.Name] = f
	}
	var extended []struct {
		Index, Family int32
		Address       []byte
		Port          uint16
		Name          string
	}
	if l.get(resolvedPath, of, "DNSEx", &extended) {
		for _, s := range extended {
			add(s.Index, s.Address, s.Port)
		}
		return facts
	}
	var plain []struct {
		Index, Family int32
		Address       []byte
	}
	if l.get(resolvedPath, of, "DNS", &plain) {
		for _, s := range plain {
			add(s.Index, s.Address, 0)
		}
	}
	return facts
}

// The list of interfaces, from two rtnetlink dumps: RTM_GETLINK, RTM_GETADDR.

package netif

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// From linux/if_addr.h: an attribute and two flags the standard library lacks.
const (
	ifaFlags       = 8    // IFA_FLAGS: 32 bits, supersedes ifa_flags
	ifaFDadFailed  = 0x08 // another host has the address
	ifaFTentative  = 0x40 // duplicate address detection is under way: not to be used yet
	ifaFOptimistic = 0x04 // tentative, yet may be used (RFC 4429)
)

// List returns the interfaces of this network namespace by rising index, with
// their addresses in the kernel's order. Addresses that are not usable yet or
// any more (tentative, duplicate) are left out.
func List() ([]Interface, error) {
	links, err := dump(syscall.RTM_GETLINK)
	if err != nil {
		return nil, err
	}
	addrs, err := dump(syscall.RTM_GETADDR)
	if err != nil {
		return nil, err
	}
	return parse(links, addrs), nil
}

func dump(kind int) ([]syscall.NetlinkMessage, error) {
	wire, err := syscall.NetlinkRIB(kind, syscall.AF_UNSPEC)
	if err == nil {
		var msgs []syscall.NetlinkMessage
		if msgs, err = messages(wire); err == nil {
			return msgs, nil
		}
	}
	return nil, fmt.Errorf("list interfaces: rtnetlink dump %d: %w", kind, err)
}

// parse makes interfaces of RTM_NEWLINK and RTM_NEWADDR messages.
func parse(links, addrs []syscall.NetlinkMessage) []Interface {
	var all []Interface
	for i := range links {
		if intf, ok := parseLink(&links[i]); ok {
			all = append(all, intf)
		}
	}
	for i := range addrs {
		index, addr, ok := parseAddr(&addrs[i])
		if !ok {
			continue
		}
		at := slices.IndexFunc(all, func(i Interface) bool { return i.Index == index })
		if at < 0 {
			continue // the interface went between the two dumps
		}
		all[at].add(addr)
	}
	slices.SortFunc(all, func(a, b Interface) int { return a.Index - b.Index })
	return all
}

func (i *Interface) add(addr netip.Addr) {
	switch {
	case addr.IsLinkLocalUnicast():
		if addr.Is6() {
			addr = addr.WithZone(i.Name)
		}
		i.LinkLocal = append(i.LinkLocal, addr)
	case addr.Is4():
		i.V4 = append(i.V4, addr)
	default:
		i.V6 = append(i.V6, addr)
	}
}

// parseLink reads a struct ifinfomsg (16 octets) and its attributes.
func parseLink(m *syscall.NetlinkMessage) (Interface, bool) {
	if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
		return Interface{}, false
	}
	attrs, err := attributes(m, syscall.SizeofIfInfomsg)
	if err != nil {
		return Interface{}, false
	}
	flags := binary.NativeEndian.Uint32(m.Data[8:])
	i := Interface{
		Index:    int(int32(binary.NativeEndian.Uint32(m.Data[4:]))),
		Hardware: binary.NativeEndian.Uint16(m.Data[2:]),
		Up:       flags&syscall.IFF_UP != 0,
		Carrier:  flags&syscall.IFF_RUNNING != 0,
		Loopback: flags&syscall.IFF_LOOPBACK != 0,
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case syscall.IFLA_IFNAME:
			i.Name = cString(a.Value)
		case syscall.IFLA_MTU:
			if len(a.Value) >= 4 {
				i.MTU = int(binary.NativeEndian.Uint32(a.Value))
			}
		case syscall.IFLA_MASTER:
			if len(a.Value) >= 4 {
				i.Master = int(binary.NativeEndian.Uint32(a.Value))
			}
		case iflaLinkInfo:
			i.Link = infoKind(a.Value)
		}
	}
	return i, i.Name != ""
}

// parseAddr reads a struct ifaddrmsg (8 octets) and its attributes, of an address that is there or was.
func parseAddr(m *syscall.NetlinkMessage) (index int, addr netip.Addr, ok bool) {
	if (m.Header.Type != syscall.RTM_NEWADDR && m.Header.Type != syscall.RTM_DELADDR) || len(m.Data) < syscall.SizeofIfAddrmsg {
		return 0, addr, false
	}
	attrs, err := attributes(m, syscall.SizeofIfAddrmsg)
	if err != nil {
		return 0, addr, false
	}
	flags := uint32(m.Data[2])
	index = int(binary.NativeEndian.Uint32(m.Data[4:]))
	local := false
	for _, a := range attrs {
		switch a.Attr.Type {
		case ifaFlags:
			if len(a.Value) >= 4 {
				flags = binary.NativeEndian.Uint32(a.Value)
			}
		case syscall.IFA_LOCAL: // on a point-to-point link IFA_ADDRESS is the peer's
			if v, good := netip.AddrFromSlice(a.Value); good {
				addr, local = v, true
			}
		case syscall.IFA_ADDRESS:
			if v, good := netip.AddrFromSlice(a.Value); good && !local {
				addr = v
			}
		}
	}
	unusable := flags&ifaFDadFailed != 0 || flags&(ifaFTentative|ifaFOptimistic) == ifaFTentative
	return index, addr, addr.IsValid() && !unusable
}

func cString(b []byte) string {
	if end := slices.Index(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}

// AtMostOne reports whether no more than one interface is up, but for the loopback one; false where that cannot be found out.
func AtMostOne() bool {
	links, err := List()
	up := 0
	for _, l := range links {
		if !l.Loopback && l.Up {
			up++
		}
	}
	return err == nil && up < 2
}

// The kernel's own answer to over which route a connection of this process would go: RTM_GETROUTE for one address, which goes by
// the rules of ip-rule(8), this user's ID among them, and by VRFs.

package netif

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// From linux/rtnetlink.h.
const (
	rtmFLookupTable = 0x1000 // the answer names the table
	rtmFFIBMatch    = 0x2000 // the answer is the table's entry
	rtaMultipath    = 9
	rtaTable        = 15
	rtaVia          = 18
	rtnLocal        = 2
	sizeofRtNexthop = 8
	tableDefault    = 253
	tableMain       = 254
	tableLocal      = 255
)

// Found says over which route a connection goes.
type Found struct {
	Index []int  // of the interface, or of all that share the route
	Table uint32 // that the route is in
	Local bool   // the address is this host's own
}

// Leads reports whether the route is out of the interface with that index.
func (f Found) Leads(index int) bool { return slices.Contains(f.Index, index) }

// ByRule reports whether a rule of the administrator's has chosen the table, and not the kernel's own three.
func (f Found) ByRule() bool { return f.Table != 0 && (f.Table < tableDefault || f.Table > tableLocal) }

// Lookup returns the route that a new connection to the address would take, if its socket is bound to the interface with the
// index over; 0: to none. Unlike connect(2), it does not take for granted that everything is on that interface's link
// where no route says so: that is ENETUNREACH or EHOSTUNREACH, as is a route that forbids it, or EACCES.
func Lookup(to netip.Addr, over int) (Found, error) {
	to = to.Unmap()
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return Found{}, err
	}
	defer syscall.Close(fd)
	// The kernel answers within the call; whatever happens, nobody waits for it for long.
	limit := syscall.NsecToTimeval(int64(100 * time.Millisecond))
	syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit)
	if err := syscall.Sendto(fd, routeQuestion(to, over), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return Found{}, err
	}
	answer := make([]byte, 4096)
	for {
		n, from, err := syscall.Recvfrom(fd, answer, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return Found{}, err
		}
		if sender, ok := from.(*syscall.SockaddrNetlink); ok && sender.Pid == 0 {
			return parseFound(answer[:n])
		}
	}
}

// routeQuestion writes a struct nlmsghdr, a struct rtmsg, and the attributes.
func routeQuestion(to netip.Addr, over int) []byte {
	m := make([]byte, syscall.SizeofNlMsghdr+syscall.SizeofRtMsg, 64)
	binary.NativeEndian.PutUint16(m[4:], syscall.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(m[6:], syscall.NLM_F_REQUEST)
	rt := m[syscall.SizeofNlMsghdr:]
	rt[0], rt[1] = syscall.AF_INET, byte(to.BitLen())
	if to.Is6() {
		rt[0] = syscall.AF_INET6
	}
	flags := uint32(rtmFLookupTable)
	if over != 0 {
		flags |= rtmFFIBMatch
	}
	binary.NativeEndian.PutUint32(rt[8:], flags)
	m = appendAttribute(m, syscall.RTA_DST, to.AsSlice())
	if over != 0 {
		m = appendAttribute(m, syscall.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(over)))
	}
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	return m
}

// appendAttribute writes a struct rtattr; the value's length is a multiple of four.
func appendAttribute(m []byte, kind uint16, value []byte) []byte {
	m = binary.NativeEndian.AppendUint16(m, uint16(syscall.SizeofRtAttr+len(value)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	return append(m, value...)
}

// parseFound reads the answer: RTM_NEWROUTE, or NLMSG_ERROR.
func parseFound(wire []byte) (f Found, err error) {
	all, err := messages(wire)
	if err != nil || len(all) == 0 {
		return f, syscall.EINVAL
	}
	m := &all[0]
	if m.Header.Type == syscall.NLMSG_ERROR && len(m.Data) >= 4 {
		if number := int32(binary.NativeEndian.Uint32(m.Data)); number < 0 {
			return f, syscall.Errno(-number)
		}
	}
	if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg {
		return f, syscall.EINVAL
	}
	f.Table, f.Local = uint32(m.Data[4]), m.Data[7] == rtnLocal
	if kind := m.Data[7]; kind != rtnUnicast && kind != rtnLocal {
		return f, syscall.ENETUNREACH
	}
	attrs, err := attributes(m, syscall.SizeofRtMsg)
	if err != nil {
		return f, err
	}
	for _, a := range attrs {
		switch {
		case len(a.Value) < 4:
		case a.Attr.Type == syscall.RTA_OIF:
			f.Index = append(f.Index, int(binary.NativeEndian.Uint32(a.Value)))
		case a.Attr.Type == rtaTable:
			f.Table = binary.NativeEndian.Uint32(a.Value)
		case a.Attr.Type == rtaMultipath:
			f.Index = append(f.Index, nexthops(a.Value)...)
		}
	}
	return f, nil
}

// nexthops reads the interfaces of a list of struct rtnexthop: its length, then at 4 the index.
func nexthops(b []byte) (all []int) {
	for len(b) >= sizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(b))
		if length < sizeofRtNexthop || length > len(b) {
			return all
		}
		all = append(all, int(int32(binary.NativeEndian.Uint32(b[4:]))))
		b = b[align(length, len(b)):]
	}
	return all
}

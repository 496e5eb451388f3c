// Netlink messages and their attributes, netlink(7) and rtnetlink(7). Those functions of package syscall panic where the last
// length in a buffer is no multiple of four.
package netif

import (
	"encoding/binary"
	"syscall"
)

// align is NLMSG_ALIGN and RTA_ALIGN, but not beyond most.
func align(n, most int) int { return min((n+3)&^3, most) }

// messages takes a datagram, or several, apart. EINVAL where a length cannot be.
func messages(wire []byte) ([]syscall.NetlinkMessage, error) {
	var all []syscall.NetlinkMessage
	for len(wire) >= syscall.SizeofNlMsghdr {
		h := syscall.NlMsghdr{
			Len:   binary.NativeEndian.Uint32(wire),
			Type:  binary.NativeEndian.Uint16(wire[4:]),
			Flags: binary.NativeEndian.Uint16(wire[6:]),
			Seq:   binary.NativeEndian.Uint32(wire[8:]),
			Pid:   binary.NativeEndian.Uint32(wire[12:]),
		}
		if h.Len < syscall.SizeofNlMsghdr || uint64(h.Len) > uint64(len(wire)) {
			return nil, syscall.EINVAL
		}
		all = append(all, syscall.NetlinkMessage{Header: h, Data: wire[syscall.SizeofNlMsghdr:h.Len]})
		wire = wire[align(int(h.Len), len(wire)):]
	}
	return all, nil
}

// attributes takes apart what follows the first octets, a structure of that size, of a message's data.
func attributes(m *syscall.NetlinkMessage, size int) ([]syscall.NetlinkRouteAttr, error) {
	var all []syscall.NetlinkRouteAttr
	b := m.Data[align(size, len(m.Data)):]
	for len(b) >= syscall.SizeofRtAttr {
		a := syscall.RtAttr{Len: binary.NativeEndian.Uint16(b), Type: binary.NativeEndian.Uint16(b[2:])}
		if a.Len < syscall.SizeofRtAttr || int(a.Len) > len(b) {
			return nil, syscall.EINVAL
		}
		all = append(all, syscall.NetlinkRouteAttr{Attr: a, Value: b[syscall.SizeofRtAttr:a.Len]})
		b = b[align(int(a.Len), len(b)):]
	}
	return all, nil
}

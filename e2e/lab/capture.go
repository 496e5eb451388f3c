// Sees the RST segments that the phone sends: how Midstream ends a connection it has left.

package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Segment is an observed TCP segment.
type Segment struct {
	At       time.Time
	From, To netip.AddrPort
}

// Capture collects the RST segments that leave through one interface of the phone.
type Capture struct {
	network *Network
	socket  *os.File
	mu      sync.Mutex
	seen    []Segment
}

// CaptureRST begins to watch. It sees what is sent after it has returned.
func (n *Network) CaptureRST() *Capture {
	n.lab.t.Helper()
	i, err := net.InterfaceByName(n.Name)
	n.must(err)
	all := uint16(syscall.ETH_P_ALL<<8 | syscall.ETH_P_ALL>>8)
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	n.must(err)
	// The filter comes first, or frames of no interest are queued between bind and it.
	n.must(attachFilter(fd, resetsOnly))
	n.must(syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}))
	c := &Capture{network: n, socket: os.NewFile(uintptr(fd), "packet socket of "+n.Name)}
	n.lab.t.Cleanup(func() { c.socket.Close() })
	go c.collect()
	return c
}

func (c *Capture) collect() {
	b := make([]byte, 256)
	own4, own6 := netip.MustParseAddr(c.network.Phone()), netip.MustParseAddr(c.network.Phone6())
	for {
		size, err := c.socket.Read(b)
		if err != nil {
			if pe, ok := err.(*os.PathError); ok && pe.Err == syscall.ENETDOWN {
				continue // reported once when the interface goes down
			}
			return
		}
		s, ok := parseSegment(b[:size])
		if ok && (s.From.Addr() == own4 || s.From.Addr() == own6) {
			s.At = time.Now()
			c.mu.Lock()
			c.seen = append(c.seen, s)
			c.mu.Unlock()
		}
	}
}

// Resets are the RST segments sent so far.
func (c *Capture) Resets() []Segment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Segment(nil), c.seen...)
}

// WaitReset returns the first RST sent to that port of any server, as soon as there is one; the test fails after limit.
func (c *Capture) WaitReset(port uint16, limit time.Duration) Segment {
	c.network.lab.t.Helper()
	var found Segment
	c.network.lab.Await(fmt.Sprintf("RST from the phone to port %d through %s", port, c.network.Name), limit, func() bool {
		for _, s := range c.Resets() {
			if s.To.Port() == port {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// parseSegment reads addresses and ports of an Ethernet frame with TCP over IPv4, or over IPv6 without extension headers.
func parseSegment(frame []byte) (Segment, bool) {
	if len(frame) < 14 {
		return Segment{}, false
	}
	packet := frame[14:]
	var from, to netip.Addr
	var header int
	switch binary.BigEndian.Uint16(frame[12:]) {
	case syscall.ETH_P_IP:
		if len(packet) < 20 {
			return Segment{}, false
		}
		from, _ = netip.AddrFromSlice(packet[12:16])
		to, _ = netip.AddrFromSlice(packet[16:20])
		header = int(packet[0]&15) * 4
	case syscall.ETH_P_IPV6:
		if len(packet) < 40 {
			return Segment{}, false
		}
		from, _ = netip.AddrFromSlice(packet[8:24])
		to, _ = netip.AddrFromSlice(packet[24:40])
		header = 40
	default:
		return Segment{}, false
	}
	if header < 20 || len(packet) < header+4 {
		return Segment{}, false
	}
	ports := packet[header:]
	return Segment{
		From: netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports)),
		To:   netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:])),
	}, true
}

// resetsOnly is a classic BPF program that lets TCP segments with RST pass, so that a download costs the capture nothing.
var resetsOnly = []syscall.SockFilter{
	0:  {Code: 0x28, K: 12},                   // ldh EtherType
	1:  {Code: 0x15, Jt: 0, Jf: 5, K: 0x0800}, // IPv4, else 7
	2:  {Code: 0x30, K: 14 + 9},               // ldb protocol
	3:  {Code: 0x15, Jt: 0, Jf: 9, K: 6},      // TCP, else 13
	4:  {Code: 0xb1, K: 14},                   // ldxb 4*([14]&0xf), the length of the IP header
	5:  {Code: 0x50, K: 14 + 13},              // ldb [x+27], flags
	6:  {Code: 0x45, Jt: 5, Jf: 6, K: 4},      // RST 12, else 13
	7:  {Code: 0x15, Jt: 0, Jf: 5, K: 0x86dd}, // IPv6, else 13
	8:  {Code: 0x30, K: 14 + 6},               // ldb next header
	9:  {Code: 0x15, Jt: 0, Jf: 3, K: 6},      // TCP, else 13
	10: {Code: 0x30, K: 14 + 40 + 13},         // ldb flags
	11: {Code: 0x45, Jt: 0, Jf: 1, K: 4},      // RST 12, else 13
	12: {Code: 0x06, K: 256},                  // accept
	13: {Code: 0x06, K: 0},                    // drop
}

func attachFilter(fd int, program []syscall.SockFilter) error {
	p := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := syscall.Syscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, syscall.SO_ATTACH_FILTER,
		uintptr(unsafe.Pointer(&p)), unsafe.Sizeof(p), 0)
	if errno != 0 {
		return fmt.Errorf("attach a filter: %w", errno)
	}
	return nil
}

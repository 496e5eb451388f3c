// An end of a cable: a packet socket (packet(7)) on an interface.

package wire

import (
	"fmt"
	"net"
	"syscall"
	"unsafe"
)

const (
	packetIgnoreOutgoing = 23 // PACKET_IGNORE_OUTGOING, packet(7), Linux 4.20
	soRcvbufforce        = 33 // SO_RCVBUFFORCE, socket(7)
	portBuffer           = 16 << 20
)

type port struct{ fd int }

func openPort(name string) (*port, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("wire: find interface %s: %w", name, err)
	}
	all := int(networkOrder(syscall.ETH_P_ALL))
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, fmt.Errorf("wire: open a packet socket for %s (needs CAP_NET_RAW in this namespace): %w", name, err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_PACKET, packetIgnoreOutgoing, 1); err != nil {
		return nil, fmt.Errorf("wire: set PACKET_IGNORE_OUTGOING on %s: %w", name, err)
	}
	if syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soRcvbufforce, portBuffer) != nil {
		// Without CAP_NET_ADMIN over the machine the kernel's usual limit has to do.
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, portBuffer)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: uint16(all), Ifindex: i.Index}); err != nil {
		return nil, fmt.Errorf("wire: bind a packet socket to %s: %w", name, err)
	}
	return &port{fd}, nil
}

// read waits for a frame. An interface that goes down is waited for: it reports ENETDOWN once and then resumes.
// Run says why the system calls here are raw.
func (p *port) read(b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(p.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == syscall.EINTR || errno == syscall.ENETDOWN {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}

// write puts a frame on the interface. One that it does not take is lost, as on any cable.
func (p *port) write(b []byte) {
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

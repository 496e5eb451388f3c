// One connection attempt: the socket, its options, its connect(2).

package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"midstream/core/netif"
)

const protocolMPTCP = 262 // IPPROTO_MPTCP, linux/in.h

// Options say what kind of connection is wanted.
type Options struct {
	// Device is the interface to connect over (SO_BINDTODEVICE). Empty: the
	// routing table decides.
	Device string
	// Multipath asks for MPTCP (RFC 8684). A kernel without it is an error; a
	// server without it is not, the kernel then falls back to TCP.
	Multipath bool
	// Protocol is another one of stream sockets (IPPROTO_SCTP); 0: none. A kernel without it is an error.
	Protocol int
	// Domain is the address family of the socket: AF_INET6 reaches IPv4
	// candidates as IPv4-mapped ones, AF_INET refuses IPv6 candidates, 0 takes
	// each candidate's own.
	Domain int
	// RcvBuf and SndBuf set SO_RCVBUF and SO_SNDBUF, in octets as setsockopt
	// takes them; 0 leaves the kernel's automatic tuning on.
	RcvBuf, SndBuf int
	// Control is called before connect with each new socket, to set further
	// options; an error ends that attempt.
	Control func(fd int) error
	// Stagger is the Connection Attempt Delay of RFC 8305 section 5; 0 means 250 ms.
	Stagger time.Duration
}

// connect makes one attempt. It ends at the latest with ctx.
func connect(ctx context.Context, to netip.AddrPort, opts *Options) (*Conn, error) {
	target, domain, err := sockaddr(to, opts)
	if err != nil {
		return nil, err
	}
	fd, err := open(domain, opts)
	if err != nil {
		return nil, err
	}
	if opts.Device != "" {
		netif.TakePort(fd, opts.Device, target)
	}
	start := time.Now()
	// Registering with the poller comes after connect: epoll reports a socket
	// that is not yet connecting as ready (EPOLLHUP).
	for {
		if err = syscall.Connect(fd, target); err != syscall.EINTR {
			break
		}
	}
	if err != nil && err != syscall.EINPROGRESS && err != syscall.EALREADY {
		syscall.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	c, err := newConn(fd)
	if err != nil {
		return nil, err
	}
	c.remote = to
	if err := c.await(ctx, opts); err != nil {
		c.file.Close()
		return nil, err
	}
	c.handshake = time.Since(start)
	// The kernel owes a non-blocking connect one more answer of 0; whoever asks on a connected socket has to get EISCONN.
	c.raw.Control(func(fd uintptr) { syscall.Connect(int(fd), target) })
	return c, nil
}

// await waits for the end of the handshake and notes the local address.
func (c *Conn) await(ctx context.Context, opts *Options) error {
	stop := context.AfterFunc(ctx, func() { c.file.SetWriteDeadline(time.Unix(1, 0)) })
	var failed error
	err := c.raw.Write(func(fd uintptr) bool {
		code, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		switch errno := syscall.Errno(code); {
		case err != nil:
			failed = os.NewSyscallError("getsockopt", err)
		case errno != 0 && errno != syscall.EISCONN:
			failed = os.NewSyscallError("connect", errno)
		default:
			if _, err := syscall.Getpeername(int(fd)); err != nil {
				return false // a wake-up before its time
			}
		}
		return true
	})
	if !stop() && err == nil && failed == nil {
		err = os.ErrDeadlineExceeded // won, but the deadline may be set any moment
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		failed = fmt.Errorf("connect: no answer: %w", context.Cause(ctx))
		if errors.Is(ctx.Err(), context.Canceled) {
			failed = fmt.Errorf("connect: given up: %w", context.Cause(ctx))
		}
	} else if err != nil {
		failed = err
	}
	if failed != nil {
		return explainTimeout(failed, opts.Device)
	}
	return c.raw.Control(func(fd uintptr) {
		if sa, err := syscall.Getsockname(int(fd)); err == nil {
			c.local = addrPort(sa)
		}
	})
}

// open makes a socket with the options set.
func open(domain int, opts *Options) (int, error) {
	protocol := syscall.IPPROTO_TCP
	switch {
	case opts.Multipath:
		protocol = protocolMPTCP
	case opts.Protocol != 0:
		protocol = opts.Protocol
	}
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, explainSocket(err, opts.Multipath)
	}
	if err := prepare(fd, domain, opts); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func prepare(fd, domain int, opts *Options) error {
	if domain == syscall.AF_INET6 {
		// The default is net.ipv6.bindv6only; IPv4-mapped targets need it off.
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0); err != nil {
			return os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	if opts.Device != "" {
		if err := syscall.BindToDevice(fd, opts.Device); err != nil {
			return explainBind(err, opts.Device)
		}
	}
	if opts.RcvBuf > 0 {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, opts.RcvBuf); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	if opts.SndBuf > 0 {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, opts.SndBuf); err != nil {
			return os.NewSyscallError("setsockopt SO_SNDBUF", err)
		}
	}
	if opts.Control != nil {
		return opts.Control(fd)
	}
	return nil
}

// sockaddr returns the address in the form the wanted socket takes.
func sockaddr(to netip.AddrPort, opts *Options) (syscall.Sockaddr, int, error) {
	addr := to.Addr().Unmap()
	if !addr.IsValid() || to.Port() == 0 {
		return nil, 0, errors.New("not an address with a port")
	}
	if addr.Is4() && opts.Domain != syscall.AF_INET6 {
		return &syscall.SockaddrInet4{Port: int(to.Port()), Addr: addr.As4()}, syscall.AF_INET, nil
	}
	if addr.Is6() && opts.Domain == syscall.AF_INET {
		return nil, 0, fmt.Errorf("an IPv4 socket is wanted: %w", syscall.EAFNOSUPPORT)
	}
	sa := &syscall.SockaddrInet6{Port: int(to.Port()), Addr: addr.As16()}
	zone := addr.Zone()
	if zone == "" && addr.IsLinkLocalUnicast() && addr.Is6() {
		zone = opts.Device
	}
	if zone != "" {
		intf, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, 0, fmt.Errorf("the address's zone %q: %w", zone, err)
		}
		sa.ZoneId = uint32(intf.Index)
	}
	return sa, syscall.AF_INET6, nil
}

func addrPort(sa syscall.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		addr := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			if intf, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
				addr = addr.WithZone(intf.Name)
			}
		}
		return netip.AddrPortFrom(addr, uint16(sa.Port))
	}
	return netip.AddrPort{}
}

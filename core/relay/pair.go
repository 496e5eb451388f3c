// Package relay delivers to the program what no server sends in the form that the program expects: one end of a
// pair of connected sockets is on the program's descriptor, the core feeds the other.
package relay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"midstream/core/dial"
)

// Pair is a TCP connection of this process with itself over the loopback interface. Other than a UNIX socket pair it
// answers every question about a TCP socket as a TCP socket does, and can end with RST.
type Pair struct {
	Program *dial.Conn // for the program's descriptor
	Core    net.Conn   // fed by the core
}

// What is asked for as SO_RCVBUF at the program's end and as SO_SNDBUF at the core's, in octets: together, doubled by
// the kernel, and with what waits in between and what the process needs, within 512 kB a stream. Larger ones would be
// faster, since either side would wait less often. The first has to hold several segments.
const (
	receiveBuffer = 104 << 10
	sendBuffer    = 60 << 10
)

// NewPair connects a pair whose program's end is a socket of the family domain. It fails where the loopback
// interface is down.
func NewPair(domain int) (*Pair, error) {
	spread()
	host, any := "127.0.0.1", "tcp4"
	if domain == syscall.AF_INET6 {
		host, any = "::1", "tcp6"
	}
	listener, err := net.Listen(any, net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("no pair of sockets over the loopback interface: %w", err)
	}
	defer listener.Close()
	listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Second))
	at := netip.MustParseAddrPort(listener.Addr().String())
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	program, err := dial.Race(ctx, dial.Candidates(at), at, dial.Options{Domain: domain, RcvBuf: receiveBuffer, Control: smallSegments})
	if err != nil {
		return nil, fmt.Errorf("no pair of sockets over the loopback interface: %w", err)
	}
	for {
		accepted, err := listener.Accept()
		if err != nil {
			program.Close()
			return nil, fmt.Errorf("no pair of sockets over the loopback interface: %w", err)
		}
		// Anybody on this host may connect to the listener: only our own other end counts.
		if accepted.RemoteAddr().String() == program.Local().String() {
			accepted.(*net.TCPConn).SetWriteBuffer(sendBuffer)
			unpaced(accepted)
			return &Pair{Program: program, Core: accepted}, nil
		}
		accepted.Close()
	}
}

// segment is the pair's maximum segment size, in octets. With the loopback interface's own, 64 kB, a window
// is often smaller than a segment, and the sender then waits for its timer: 200 ms. Several fit into the window; the
// fewer there are, the less they cost. The most that TCP_MAXSEG takes is 32767.
const segment = 31 << 10

func smallSegments(fd int) error {
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment))
}

// unpaced has the core's end send at once. There is no network in between, and a congestion control that paces by a timer
// (bbr), where the system's default is such a one, takes up to half of the throughput. Every kernel has "reno", for
// everybody (tcp(7), tcp_allowed_congestion_control); without it nothing but speed is missing.
func unpaced(core net.Conn) {
	raw, err := core.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, "reno")
	})
}

// Close closes both ends; the one that was handed over is the program's by then.
func (p *Pair) Close() {
	p.Program.Close()
	p.Core.Close()
}

// Reset ends the pair as a server that is gone would: the program's end sees ECONNRESET.
func (p *Pair) Reset() {
	if tcp, ok := p.Core.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	p.Core.Close()
}

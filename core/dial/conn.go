// Package dial opens TCP connections over a chosen interface, racing a server's
// addresses as RFC 8305 says, on sockets that can be looked into without
// reading (recv(2) MSG_PEEK) and given away afterwards.
package dial

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Conn is a connected TCP or MPTCP socket. The descriptor is non-blocking,
// close-on-exec and carries no option but those in Options: the net package
// would set keep-alive and TCP_NODELAY, and the descriptor may end up in the
// program's hands. Conn is a net.Conn. Its methods may be called from several
// goroutines; one reader and one writer at a time.
type Conn struct {
	file          *os.File
	raw           syscall.RawConn
	local, remote netip.AddrPort
	handshake     time.Duration
	over          Over
	beside        Beside
}

// Over is what lies over a connection: a TLS session, say. Where there is one, all that reads and writes means its
// octets, not those of the connection. Peek shows no more than it sees fit, but always something that is new.
type Over interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	PeekMore(have int, p []byte) (int, error)
	Discard(n int) (int, error)
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// Beside is a connection that another one is of no use without: it is closed with that, which is at the server that it is at.
type Beside interface {
	Remote() netip.AddrPort
	Close() error
}

// Stand has b stand beside the connection, before anybody else uses it; nil, nothing any more.
func (c *Conn) Stand(b Beside) {
	if c.beside = b; b != nil {
		c.remote = b.Remote()
	}
}

// Beside returns what stands beside the connection, nil if nothing does.
func (c *Conn) Beside() Beside { return c.beside }

// Lay puts o over the connection, which must not be in use. Close and Reset close it as well.
func (c *Conn) Lay(o Over) { c.over = o }

// Over returns what lies over the connection, nil if nothing does.
func (c *Conn) Over() Over { return c.over }

var _ net.Conn = (*Conn)(nil)

// newConn takes over fd, also when it fails.
func newConn(fd int) (*Conn, error) {
	file := os.NewFile(uintptr(fd), "tcp") // non-blocking: the runtime's poller waits for it
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &Conn{file: file, raw: raw}, nil
}

// RTT returns how long the handshake took: the round trip to the server, or
// more if a segment of it was lost.
func (c *Conn) RTT() time.Duration { return c.handshake }

// Local returns the local address; an IPv4-mapped one is given as IPv4.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Remote returns the address connected to, in the form of its candidate.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// LocalAddr and RemoteAddr are Local and Remote as a net.Conn has them.
func (c *Conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.over != nil {
		return c.over.SetReadDeadline(t)
	}
	return c.file.SetReadDeadline(t)
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.over != nil {
		return c.over.SetWriteDeadline(t)
	}
	return c.file.SetWriteDeadline(t)
}

// Read reads as io.Reader says; after the peer's FIN it returns io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	if c.over != nil {
		n, err := c.over.Read(p)
		return n, c.explain("read from", err)
	}
	n, err := c.file.Read(p)
	return n, c.explain("read from", err)
}

// Write writes all of p or returns an error. A closed connection gives EPIPE,
// never SIGPIPE.
func (c *Conn) Write(p []byte) (sent int, err error) {
	if c.over != nil {
		sent, err = c.over.Write(p)
		return sent, c.explain("write to", err)
	}
	var failed error
	err = c.raw.Write(func(fd uintptr) bool {
		for sent < len(p) {
			n, err := syscall.SendmsgN(int(fd), p[sent:], nil, nil, syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
			switch err {
			case nil:
				sent += n
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			default:
				failed = os.NewSyscallError("send", err)
				return true
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return sent, c.explain("write to", err)
}

// Peek returns what can be read, up to len(p) octets, without taking it; it
// waits for the first one.
func (c *Conn) Peek(p []byte) (int, error) { return c.PeekMore(0, p) }

// PeekMore waits until more than have octets can be read and copies what there
// is, up to len(p), without taking it: it is for a reader that has peeked at
// have octets and found that they do not suffice. It returns how many octets p
// now holds. io.EOF says that no more will come (p still holds what has), and
// io.ErrShortBuffer that p has no room for more than have. The read deadline applies.
func (c *Conn) PeekMore(have int, p []byte) (n int, err error) {
	if have >= len(p) {
		return 0, io.ErrShortBuffer
	}
	if c.over != nil {
		n, err = c.over.PeekMore(have, p)
		return n, c.explain("read from", err)
	}
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		n, failed = peek(int(fd), p)
		switch {
		case failed == syscall.EAGAIN:
			n, failed = 0, nil
			return false
		case failed != nil:
			failed = os.NewSyscallError("recv", failed)
			return true
		case n == 0:
			failed = io.EOF
			return true
		case n > have:
			return true
		}
		// The peer may have ended after these; recv shows that only once they
		// are taken. An end that comes later wakes the poller again.
		failed = ended(int(fd))
		return failed != nil
	})
	if err == nil {
		err = failed
	}
	return n, c.explain("read from", err)
}

func peek(fd int, p []byte) (int, error) {
	for {
		n, _, err := syscall.Recvfrom(fd, p, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// From linux/eventpoll.h; the standard library has them under other names per
// architecture, or not at all.
const (
	epollErr   = 0x8
	epollRdHup = 0x2000
)

// ended returns io.EOF if the peer has sent its FIN, ECONNRESET if the
// connection has failed, and nil if more may come. It looks by epoll since
// SO_ERROR would clear the error that whoever reads next has to see.
func ended(fd int) error {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer syscall.Close(ep)
	event := syscall.EpollEvent{Events: epollRdHup}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	var events [1]syscall.EpollEvent
	n, err := syscall.EpollWait(ep, events[:], 0)
	switch {
	case err != nil && err != syscall.EINTR:
		return os.NewSyscallError("epoll_wait", err)
	case n < 1:
		return nil
	case events[0].Events&epollErr == 0:
		return io.EOF
	}
	return os.NewSyscallError("epoll_wait", syscall.ECONNRESET)
}

// Discard takes n octets off the connection without copying them (MSG_TRUNC,
// tcp(7)), waiting for those that have not come. It returns how many it took;
// fewer only with an error, io.ErrUnexpectedEOF if the peer ended before.
func (c *Conn) Discard(n int) (taken int, err error) {
	if c.over != nil {
		taken, err = c.over.Discard(n)
		return taken, c.explain("discard from", err)
	}
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		for taken < n {
			got, err := recvNothing(int(fd), n-taken, syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
			switch {
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return false
			case err != nil:
				failed = os.NewSyscallError("recv", err)
				return true
			case got == 0:
				failed = io.ErrUnexpectedEOF
				return true
			default:
				taken += got
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return taken, c.explain("discard from", err)
}

// recvNothing is recv(fd, NULL, n, flags): with MSG_TRUNC the kernel counts
// instead of copying.
func recvNothing(fd, n, flags int) (int, error) {
	got, _, errno := syscall.Syscall6(syscall.SYS_RECVFROM, uintptr(fd), 0, uintptr(n), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}

// Buffered returns how many octets can be read now, as ioctl FIONREAD would; where something lies over it that knows, whether any can, else none.
func (c *Conn) Buffered() (n int, err error) {
	if o, ok := c.over.(interface{ Buffered() int }); ok {
		return o.Buffered(), nil
	}
	if c.over != nil {
		return 0, nil // what lies there is not its octets
	}
	var failed error
	err = c.raw.Control(func(fd uintptr) {
		n, failed = recvNothing(int(fd), 1<<30, syscall.MSG_PEEK|syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
		if failed == syscall.EAGAIN {
			failed = nil
		}
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("recv", failed)
	}
	return n, c.explain("look into", err)
}

// MakeRoom makes the receive buffer large enough for n octets that wait to be read, as far as the system allows, and
// returns for how many it is large enough. The kernel's own tuning of the buffer goes by what is read, goes on
// afterwards, and is not switched off, as SO_RCVBUF would (tcp(7)): a low-water mark that the buffer could not hold
// would never be reached, so the kernel enlarges it for SO_RCVLOWAT.
func (c *Conn) MakeRoom(n int64) int64 {
	var size int
	c.raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, int(min(n, maxRoom)))
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, 1)
		size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	})
	return int64(size) / 2 // the rest is for the kernel's own data
}

// maxRoom bounds what MakeRoom asks for, in octets.
const maxRoom = 64 << 20

// Fd calls f with the descriptor, which stays open and non-blocking during the
// call: to set options, or to send a copy by SCM_RIGHTS.
func (c *Conn) Fd(f func(fd int)) error { return c.raw.Control(func(fd uintptr) { f(int(fd)) }) }

// Close closes the descriptor: with FIN, unless a copy is open elsewhere.
func (c *Conn) Close() error { return errors.Join(c.closeOver(), c.file.Close()) }

func (c *Conn) closeOver() (err error) {
	if c.over != nil {
		err = c.over.Close()
	}
	if c.beside != nil {
		err = errors.Join(err, c.beside.Close())
	}
	return err
}

// CloseWrite sends FIN (shutdown(2), SHUT_WR).
func (c *Conn) CloseWrite() error {
	var failed error
	err := c.raw.Control(func(fd uintptr) { failed = syscall.Shutdown(int(fd), syscall.SHUT_WR) })
	return errors.Join(err, failed)
}

// Reset closes the descriptor with RST (SO_LINGER of zero), dropping what is
// unsent, unless a copy is open elsewhere.
func (c *Conn) Reset() error {
	over := c.closeOver()
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	})
	return errors.Join(over, err, failed, c.file.Close())
}

// explain says on which connection what failed; io.EOF and the like stay as they are.
func (c *Conn) explain(what string, err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return err
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err // its path says no more than "tcp"
	}
	return fmt.Errorf("%s %v: %w", what, c.remote, err)
}

// SyscallConn implements syscall.Conn. It fails where something lies over the connection: what the descriptor reads
// and writes is not the content then.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.over != nil {
		return nil, errors.ErrUnsupported
	}
	return c.raw, nil
}

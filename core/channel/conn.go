// The socket itself.
package channel

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// Conn is one end of the socket pair, the core's; the shim's, in tests. One goroutine receives; any may send.
type Conn struct {
	file *os.File
	raw  syscall.RawConn
	mu   sync.Mutex // keeps messages of concurrent senders in the order of their calls
}

// New takes over the SOCK_SEQPACKET descriptor fd.
func New(fd int) (*Conn, error) {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "midstream channel")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &Conn{file: file, raw: raw}, nil
}

// Receive waits for the next message. io.EOF means that the shim is gone. A descriptor that comes with it is closed.
func (c *Conn) Receive() (Message, error) {
	m, fd, err := c.ReceiveFD()
	if fd >= 0 {
		syscall.Close(fd)
	}
	return m, err
}

// ReceiveFD is Receive with the descriptor that is attached, which is the caller's then, or -1.
func (c *Conn) ReceiveFD() (m Message, fd int, err error) {
	var buffer [headerSize + DataMax]byte
	var rights [64]byte // for one descriptor, CMSG_SPACE(sizeof(int))
	var n, attached int
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		for {
			n, attached, _, _, failed = syscall.Recvmsg(int(fd), buffer[:], rights[:], syscall.MSG_CMSG_CLOEXEC)
			if failed != syscall.EINTR {
				return failed != syscall.EAGAIN
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return Message{}, -1, err
	}
	fd = descriptor(rights[:attached])
	if n == 0 {
		return Message{}, fd, io.EOF
	}
	defer clear(buffer[:n]) // it may hold credentials
	m, err = decode(buffer[:n])
	return m, fd, err
}

// descriptor returns the first one of a control message, or -1.
func descriptor(b []byte) int {
	messages, err := syscall.ParseSocketControlMessage(b)
	if err != nil || len(messages) == 0 {
		return -1
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	return fds[0]
}

// Send sends a message, with the descriptor fd attached unless that is negative; fd stays the caller's.
func (c *Conn) Send(m Message, fd int) error {
	var rights []byte
	if fd >= 0 {
		rights = syscall.UnixRights(fd)
	}
	octets := m.encode()
	defer clear(octets) // they may hold credentials
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed error
	err := c.raw.Write(func(s uintptr) bool {
		for {
			_, failed = syscall.SendmsgN(int(s), octets, rights, nil, syscall.MSG_NOSIGNAL)
			if failed != syscall.EINTR {
				return failed != syscall.EAGAIN
			}
		}
	})
	if err == nil {
		err = failed
	}
	return err
}

// Close ends the channel; the shim then leaves every stream alone.
func (c *Conn) Close() error { return c.file.Close() }

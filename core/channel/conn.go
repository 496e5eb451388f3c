// The socket itself.
package channel

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// Conn is the core's end of the socket pair. One goroutine receives; any may send.
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

// Receive waits for the next message. io.EOF means that the shim is gone.
func (c *Conn) Receive() (Message, error) {
	var buffer [headerSize + DataMax]byte
	var n int
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			n, _, _, _, failed = syscall.Recvmsg(int(fd), buffer[:], nil, 0)
			if failed != syscall.EINTR {
				return failed != syscall.EAGAIN
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return Message{}, err
	}
	if n == 0 {
		return Message{}, io.EOF
	}
	defer clear(buffer[:n]) // it may hold credentials
	return decode(buffer[:n])
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

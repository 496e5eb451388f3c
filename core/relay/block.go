// Chunked octets on their way through this process.
package relay

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A block is what is read at once at most, in octets: the larger, the fewer calls and wake-ups.
const blockSize = 128 << 10

// blocks are shared by all streams: none keeps one while it waits, for what comes or for a program that does not read.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// roomInPair is how many octets the core's end of a pair holds, about. leastPiece is what is read even if it is full: what it
// does not take waits in this process, but only who has found it full is told when it is not any more.
const (
	roomInPair = 2 * sendBuffer * 7 / 8
	leastPiece = 16 << 10
)

// room returns how many octets may be read at once for dst. If dst is full, hardly any: they would have to wait here.
func room(dst net.Conn) int {
	if raw := socket(dst); raw != nil {
		return roomOf(raw)
	}
	return blockSize
}

func roomOf(dst syscall.RawConn) int {
	waiting := 0
	dst.Control(func(fd uintptr) {
		waiting, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) // not acknowledged, or not even sent (tcp(7))
	})
	return min(max(roomInPair-waiting, leastPiece), blockSize)
}

// more reads octets of a chunked answer ahead, as many as c.most at most; those that were have been used.
func (c *Content) more() error {
	n, err := 0, error(nil)
	if raw := socket(c.conn); raw != nil {
		n, err = c.readBlock(raw)
	} else {
		if c.buffer == nil {
			c.buffer = make([]byte, readAhead)
		}
		n, err = c.conn.Read(c.buffer)
		c.ahead = c.buffer[:n]
	}
	if n > 0 {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &SourceError{err}
}

func (c *Content) readBlock(src syscall.RawConn) (n int, err error) {
	if c.most == 0 {
		c.most = blockSize / 2
	}
	var failed error
	err = src.Read(func(fd uintptr) bool {
		if c.block == nil {
			c.block = blocks.Get().(*[blockSize]byte)
		}
		for {
			n, failed = syscall.Read(int(fd), c.block[:c.most])
			if failed != syscall.EINTR {
				break
			}
		}
		if failed == syscall.EAGAIN {
			c.release()
			return false
		}
		return true
	})
	if err == nil && failed != nil {
		err = os.NewSyscallError("read", failed)
	}
	if c.ahead = nil; err != nil || n <= 0 {
		c.release()
		return 0, err
	}
	c.ahead = c.block[:n]
	return n, nil
}

// release gives the block back, of which nothing is used any more.
func (c *Content) release() {
	if c.block != nil {
		blocks.Put(c.block)
		c.block = nil
	}
}

// write writes octets, which may be of what has been read ahead, behind a line. They are not valid any more then.
func (c *Content) write(dst net.Conn, line, octets []byte) error {
	raw := socket(dst)
	if raw == nil {
		pieces := net.Buffers{line, octets}
		_, err := pieces.WriteTo(dst)
		return err
	}
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		for len(line)+len(octets) > 0 {
			n, err := unix.SendmsgBuffers(int(fd), [][]byte{line, octets}, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			switch err {
			case nil:
				ofLine := min(n, len(line))
				line, octets = line[ofLine:], octets[n-ofLine:]
			case unix.EINTR:
			case unix.EAGAIN:
				if c.block != nil {
					octets, c.ahead = bytes.Clone(octets), bytes.Clone(c.ahead)
					c.release()
				}
				return false
			default:
				failed = os.NewSyscallError("sendmsg", err)
				return true
			}
		}
		return true
	})
	if len(c.ahead) == 0 {
		c.release()
	}
	if err == nil {
		err = failed
	}
	return err
}

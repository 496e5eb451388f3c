// Twins whose octets pass by a pair of sockets, as the peer sends them: for whoever reads many. The shim looks at none of them.
package twin

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/dial"
)

// lastWord is how long the shim may take to say why a flow has ended: it has said so before that shows.
const lastWord = time.Second

// Flow has the octets of the twin that lies over the connection pass by a pair of sockets, both ways, from now on; it must not have been asked
// anything. Nothing but reading, writing and deadlines is meant for it then, until it is armed, for which everything that has come must have
// been read. A connection over which no twin lies is left as it is, and an error of whoever has made it is returned. The connection is closed
// after another one.
func Flow(conn *dial.Conn, err error) (*dial.Conn, error) {
	if err != nil {
		return nil, err
	}
	if t, ok := conn.Over().(*Twin); ok {
		if err := t.begin(); err != nil {
			conn.Reset()
			return nil, err
		}
	}
	return conn, nil
}

func (t *Twin) begin() error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer syscall.Close(pair[1])
	own := os.NewFile(uintptr(pair[0]), "twin") // non-blocking: the runtime's poller waits for it
	if err := t.s.send(t.message(channel.TwinFlow), pair[1]); err != nil {
		own.Close()
		return err
	}
	t.flow = own
	return nil
}

// peekFlow is PeekMore: what it has shown is read first.
func (t *Twin) peekFlow(have int, p []byte) (int, error) {
	for len(t.seen) <= have {
		piece := make([]byte, max(len(p)-len(t.seen), 1))
		n, err := t.fromFlow(piece)
		t.seen = append(t.seen, piece[:n]...)
		if err != nil {
			return copy(p, t.seen), err
		}
	}
	return copy(p, t.seen), nil
}

// Buffered returns how many octets of a flow can be read now, as far as is known.
func (t *Twin) Buffered() (n int) {
	if t.flow == nil {
		return 0
	}
	if raw, err := t.flow.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			n, _, _ = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		})
	}
	return len(t.seen) + max(n, 0)
}

// readFlow is Read.
func (t *Twin) readFlow(p []byte) (int, error) {
	if len(t.seen) > 0 {
		n := copy(p, t.seen)
		t.taken(n)
		return n, nil
	}
	return t.fromFlow(p)
}

// fromFlow reads what the pair brings. An end is not believed before the shim has said that it is none of a failure.
func (t *Twin) fromFlow(p []byte) (int, error) {
	n, err := t.flow.Read(p)
	if n > 0 || err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return n, err
	}
	t.SetReadDeadline(time.Now().Add(lastWord))
	answer, err := t.await(channel.TwinOctets)
	switch {
	case err == nil && answer.Flags&channel.Last != 0:
		return 0, io.EOF
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	return 0, t.unknown(err)
}

// discardFlow is Discard.
func (t *Twin) discardFlow(n int) (int, error) {
	gone, err := io.CopyN(io.Discard, onlyReader{t}, int64(n))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return int(gone), err
}

type onlyReader struct{ io.Reader }

// writeFlow is Write.
func (t *Twin) writeFlow(p []byte) (int, error) {
	n, err := t.flow.Write(p)
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return n, err
}

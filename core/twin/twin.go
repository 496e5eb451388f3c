// Package twin has twins of a program's TLS session, on the core's side: the shim makes them, and has them; messages tell what is to be
// done with one. To whoever reads and writes, a twin is what lies over a connection.
package twin

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/reason"
)

// Twin is a dial.Over. One goroutine uses it at a time; the deadlines may be set by any.
type Twin struct {
	s       *Twins
	number  int64
	replies chan channel.Message
	Version string // of TLS
	Judged  string // how the server was found to be as good as the old one
	asked   uint64 // questions
	seen    []byte // octets that have been peeked at, and are still to be taken
	over    error  // why the shim has given it up
	trailer []byte // the answer's trailer section, with the line that ends it, as far as it has been read
	armed   bool
	flow    *os.File    // by which its octets pass (flow.go), nil if by messages
	asks    atomic.Bool // the program's own function has still to judge the server

	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{} // closed when the deadline changes
}

// Twins are those of one stream whose messages are waited for. Its locks may be taken with any of the stream's held: a connection may have
// to be closed then.
type Twins struct {
	send    func(m channel.Message, fd int) error
	message func(kind channel.Kind) channel.Message

	mu     sync.Mutex
	all    map[int64]*Twin // by their numbers
	last   int64
	closed bool
}

// Of returns the twins of a stream, to whose shim send sends; message addresses one to the stream.
func Of(send func(m channel.Message, fd int) error, message func(kind channel.Kind) channel.Message) *Twins {
	return &Twins{send: send, message: message, all: map[int64]*Twin{}}
}

// ErrClosed says that the program has closed the stream.
var ErrClosed error = reason.Reason{Why: reason.Closed}

// Make has the shim make a twin on the connection, and waits until it has shaken hands with a server that may take the
// old one's place. name, unless it is "", is that of a server of another name, which has to have a certificate for it.
func (s *Twins) Make(ctx context.Context, conn *dial.Conn, name string) (*Twin, error) {
	t := &Twin{s: s, replies: make(chan channel.Message, 8), changed: make(chan struct{})}
	s.mu.Lock()
	s.last++
	t.number = s.last
	closed := s.closed
	if !closed {
		s.all[t.number] = t
	}
	s.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	m := t.message(channel.Twin)
	m.Data = []byte(name)
	var sent error
	if err := conn.Fd(func(fd int) { sent = s.send(m, fd) }); err != nil || sent != nil {
		t.Close()
		return nil, errors.Join(err, sent)
	}
	stop := context.AfterFunc(ctx, func() { t.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ready, err := t.await(channel.TwinReady)
	if err != nil {
		t.Close()
		if ctx.Err() != nil {
			err = errors.New("the TLS handshake with the new server was not over in time")
			if t.asks.Load() {
				err = errors.New("the program's own verification could not be asked in time: the program has not read meanwhile")
			}
		}
		return nil, err
	}
	facts := channel.Texts(ready.Data, 3)
	t.Version, t.Judged = facts[0], facts[2]
	return t, nil
}

// Close ends the waits for messages about twins: the shim forgets them with their stream, and says nothing more of them.
func (s *Twins) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, t := range s.all {
		t.deliver(channel.Message{Kind: channel.TwinFailed, Data: reason.Reason{Why: reason.Closed}.Encode()})
	}
}

// Deliver takes a message of the shim's about a twin.
func (s *Twins) Deliver(m channel.Message) {
	s.mu.Lock()
	t := s.all[m.B]
	s.mu.Unlock()
	switch {
	case t == nil:
	case m.Kind == channel.TwinAsks:
		t.asks.Store(true)
	default:
		t.deliver(m)
	}
}

func (t *Twin) message(kind channel.Kind) channel.Message {
	m := t.s.message(kind)
	m.B = t.number
	return m
}

// deliver takes a message of the shim's.
func (t *Twin) deliver(m channel.Message) {
	select {
	case t.replies <- m:
	default: // more than was asked for
	}
}

// ask sends a question; await takes no answer but to this one.
func (t *Twin) ask(kind channel.Kind, n int) error {
	m := t.message(kind)
	t.asked++
	m.A, m.Exchange = int64(n), t.asked
	return t.s.send(m, -1)
}

// await returns the message of that kind that answers the last question.
func (t *Twin) await(kind channel.Kind) (channel.Message, error) {
	if t.over != nil {
		return channel.Message{}, t.over
	}
	for {
		t.mu.Lock()
		deadline, changed := t.deadline, t.changed
		t.mu.Unlock()
		var expired <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case m := <-t.replies:
			switch m.Kind {
			case kind:
				if m.Exchange == t.asked {
					return m, nil
				}
			case channel.TwinFailed:
				why, err := reason.Parse(m.Data)
				if t.over = why; err != nil {
					t.over = err
				}
				return channel.Message{}, t.over
			}
		case <-expired:
			return channel.Message{}, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

func (t *Twin) SetReadDeadline(when time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline = when
	close(t.changed)
	t.changed = make(chan struct{})
	if t.flow != nil {
		return t.flow.SetReadDeadline(when)
	}
	return nil
}

// SetWriteDeadline does nothing where octets pass by messages: a write never waits, what came of it shows when the answer is read.
func (t *Twin) SetWriteDeadline(when time.Time) error {
	if t.flow != nil {
		return t.flow.SetWriteDeadline(when)
	}
	return nil
}

func (t *Twin) Write(p []byte) (sent int, err error) {
	if t.flow != nil {
		return t.writeFlow(p)
	}
	return t.write(p, 0)
}

// WriteLater has the octets sent when the twin takes the place of the program's session.
func (t *Twin) WriteLater(p []byte) error {
	_, err := t.write(p, channel.Held)
	return err
}

// Put has the program handed the octets before what comes on the connection.
func (t *Twin) Put(p []byte) error {
	_, err := t.pass(channel.TwinPut, p, 0)
	return err
}

func (t *Twin) write(p []byte, flags channel.Flags) (sent int, err error) {
	return t.pass(channel.TwinWrite, p, flags)
}

func (t *Twin) pass(kind channel.Kind, p []byte, flags channel.Flags) (sent int, err error) {
	for sent < len(p) {
		m := t.message(kind)
		m.Flags = flags
		m.Data = p[sent:min(len(p), sent+channel.DataMax)]
		if err := t.s.send(m, -1); err != nil {
			return sent, err
		}
		sent += len(m.Data)
	}
	return sent, nil
}

// PeekMore shows octets of the answer's head only, until that has been taken.
func (t *Twin) PeekMore(have int, p []byte) (int, error) {
	if t.flow != nil {
		return t.peekFlow(have, p)
	}
	for len(t.seen) <= have {
		if err := t.ask(channel.TwinPeek, len(t.seen)); err != nil {
			return 0, err
		}
		answer, err := t.await(channel.TwinOctets)
		if err != nil {
			return copy(p, t.seen), err
		}
		t.seen = append(t.seen, answer.Data...)
	}
	return copy(p, t.seen), nil
}

func (t *Twin) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case t.flow != nil:
		return t.readFlow(p)
	}
	if err := t.ask(channel.TwinRead, len(p)); err != nil {
		return 0, err
	}
	answer, err := t.await(channel.TwinOctets)
	if err != nil {
		return 0, t.unknown(err)
	}
	if answer.Flags&channel.Last != 0 {
		return 0, io.EOF
	}
	if answer.Flags&channel.Trailing != 0 {
		if t.trailer = append(t.trailer, answer.Data...); len(t.trailer) > http1.MaxHead {
			return 0, t.unknown(http1.ErrTooLarge)
		}
		return t.Read(p)
	}
	t.taken(len(answer.Data))
	return copy(p, answer.Data), nil
}

func (t *Twin) Discard(n int) (int, error) {
	switch {
	case n <= 0:
		return 0, nil
	case t.flow != nil:
		return t.discardFlow(n)
	}
	if err := t.ask(channel.TwinSkip, n); err != nil {
		return 0, err
	}
	if _, err := t.await(channel.TwinSkipped); err != nil {
		return 0, t.unknown(err)
	}
	t.taken(n)
	return n, nil
}

// unknown notes that nobody knows how many octets a question has taken before it was given up.
func (t *Twin) unknown(err error) error {
	if t.over == nil {
		t.over = err
	}
	return err
}

// taken forgets octets that have been peeked at.
func (t *Twin) taken(n int) {
	n = min(n, len(t.seen))
	clear(t.seen[:n])
	t.seen = t.seen[n:]
}

// Arm puts the twin, not a socket, in the place of the program's session.
func (t *Twin) Arm(m channel.Message, h channel.Handover) error {
	h.What, h.Twin = channel.Session, t.number
	m.Data = h.Encode()
	t.armed = true
	return t.s.send(m, -1)
}

// Trailer returns the answer's trailer section, with the line that ends it, as far as it has been read.
func (t *Twin) Trailer() []byte { return t.trailer }

// Close gives the twin up, unless it has been armed: then it is the stream's.
func (t *Twin) Close() error {
	t.s.mu.Lock()
	known := t.s.all[t.number] == t
	delete(t.s.all, t.number)
	t.s.mu.Unlock()
	clear(t.seen)
	t.seen = nil
	if t.flow != nil {
		t.flow.Close()
	}
	if !known || t.armed {
		return nil
	}
	return t.s.send(t.message(channel.TwinClose), -1)
}

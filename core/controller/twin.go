// The twin of a TLS session, on the core's side: the shim has it, messages tell what is to be done with it.
package controller

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
	"midstream/core/relay"
)

// twin is a dial.Over. One goroutine uses it at a time; the deadlines may be set by any.
type twin struct {
	s       *Stream
	number  int64
	replies chan channel.Message
	version string
	how     string // how the server was found to be as good as the old one
	asked   uint64 // questions
	seen    []byte // octets that have been peeked at, and are still to be taken
	over    error  // why the shim has given it up
	trailer []byte // the answer's trailer section, with the line that ends it, as far as it has been read
	armed   bool
	asks    atomic.Bool // the program's own function has still to judge the server

	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{} // closed when the deadline changes
}

// newTwin has the shim make a twin on the connection, and waits until it has shaken hands with a server that may take the
// old one's place.
func (s *Stream) newTwin(ctx context.Context, conn *dial.Conn) (*twin, error) {
	t := &twin{s: s, replies: make(chan channel.Message, 8), changed: make(chan struct{})}
	s.twinsMu.Lock()
	s.lastTwin++
	t.number = s.lastTwin
	if s.twins == nil {
		s.twins = map[int64]*twin{}
	}
	s.twins[t.number] = t
	s.twinsMu.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		t.Close()
		return nil, errClosed
	}
	m := t.message(channel.Twin)
	var sent error
	if err := conn.Fd(func(fd int) { sent = s.c.send(m, fd) }); err != nil || sent != nil {
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
	facts := texts(ready.Data, 3)
	t.version, t.how = facts[0], facts[2]
	s.c.log.Debug().Str("session", s.name()).Str("version", t.version).Str("judged", t.how).Msg("TLS with a new server")
	return t, nil
}

// closeTwins ends the waits for messages about twins: the shim forgets them with their stream, and says nothing more of them.
func (s *Stream) closeTwins() {
	s.twinsMu.Lock()
	defer s.twinsMu.Unlock()
	for _, t := range s.twins {
		t.deliver(channel.Message{Kind: channel.TwinFailed, Data: channel.Reason{Why: channel.WhyClosed}.Encode()})
	}
}

// showQuestion has the program read, if it sleeps: its own function has to judge a new server, in a call that reads. With s.mu.
func (s *Stream) showQuestion(m channel.Message) {
	s.twinsMu.Lock()
	if t := s.twins[m.B]; t != nil {
		t.asks.Store(true)
	}
	s.twinsMu.Unlock()
	s.c.send(s.message(channel.TwinShow), -1)
	s.nudge()
}

// nudge wakes a program that waits on a quiet pair: over TLS nothing else ever comes on one. With s.mu.
func (s *Stream) nudge() {
	for _, pair := range []*relay.Pair{s.parked, s.pair} {
		if pair != nil {
			pair.Core.Write([]byte{0})
		}
	}
}

func (t *twin) message(kind channel.Kind) channel.Message {
	m := t.s.message(kind)
	m.B = t.number
	return m
}

// deliver takes a message of the shim's. With s.mu.
func (t *twin) deliver(m channel.Message) {
	select {
	case t.replies <- m:
	default: // more than was asked for
	}
}

// ask sends a question; await takes no answer but to this one.
func (t *twin) ask(kind channel.Kind, n int) error {
	m := t.message(kind)
	t.asked++
	m.A, m.Exchange = int64(n), t.asked
	return t.s.c.send(m, -1)
}

// await returns the message of that kind that answers the last question.
func (t *twin) await(kind channel.Kind) (channel.Message, error) {
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
				reason, err := channel.ParseReason(m.Data)
				if t.over = reason; err != nil {
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

func (t *twin) SetReadDeadline(when time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline = when
	close(t.changed)
	t.changed = make(chan struct{})
	return nil
}

// SetWriteDeadline does nothing: a write never waits, what came of it shows when the answer is read.
func (t *twin) SetWriteDeadline(time.Time) error { return nil }

func (t *twin) Write(p []byte) (sent int, err error) { return t.write(p, 0) }

// writeLater has the octets sent when the twin takes the place of the program's session.
func (t *twin) writeLater(p []byte) error {
	_, err := t.write(p, channel.Held)
	return err
}

// put has the program handed the octets before what comes on the connection.
func (t *twin) put(p []byte) error {
	_, err := t.pass(channel.TwinPut, p, 0)
	return err
}

func (t *twin) write(p []byte, flags channel.Flags) (sent int, err error) {
	return t.pass(channel.TwinWrite, p, flags)
}

func (t *twin) pass(kind channel.Kind, p []byte, flags channel.Flags) (sent int, err error) {
	for sent < len(p) {
		m := t.message(kind)
		m.Flags = flags
		m.Data = p[sent:min(len(p), sent+channel.DataMax)]
		if err := t.s.c.send(m, -1); err != nil {
			return sent, err
		}
		sent += len(m.Data)
	}
	return sent, nil
}

// PeekMore shows octets of the answer's head only, until that has been taken.
func (t *twin) PeekMore(have int, p []byte) (int, error) {
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

func (t *twin) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
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

func (t *twin) Discard(n int) (int, error) {
	if n <= 0 {
		return 0, nil
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
func (t *twin) unknown(err error) error {
	if t.over == nil {
		t.over = err
	}
	return err
}

// taken forgets octets that have been peeked at.
func (t *twin) taken(n int) {
	n = min(n, len(t.seen))
	clear(t.seen[:n])
	t.seen = t.seen[n:]
}

// arm puts the twin, not a socket, in the place of the program's session.
func (t *twin) arm(m channel.Message, h channel.Handover) error {
	h.What, h.Twin = channel.Session, t.number
	m.Data = h.Encode()
	t.armed = true
	return t.s.c.send(m, -1)
}

// Trailer returns the answer's trailer section, with the line that ends it, as far as it has been read.
func (t *twin) Trailer() []byte { return t.trailer }

// Close gives the twin up, unless it has been armed: then it is the stream's.
func (t *twin) Close() error {
	t.s.twinsMu.Lock()
	known := t.s.twins[t.number] == t
	delete(t.s.twins, t.number)
	t.s.twinsMu.Unlock()
	clear(t.seen)
	t.seen = nil
	if !known || t.armed {
		return nil
	}
	return t.s.c.send(t.message(channel.TwinClose), -1)
}

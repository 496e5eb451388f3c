// The hand-over: the new connection is given to the shim, which puts it on the program's descriptor. Of the three verbs for a path this is
// the last: Probe (probe.go), Prove (prove.go), and Switch, by which whatever puts something on a descriptor does it.
package controller

import (
	"context"
	"errors"
	"time"

	"midstream/core/channel"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/reason"
	"midstream/core/relay"
	"midstream/core/resume"
	"midstream/core/twin"
)

var (
	errClosed = twin.ErrClosed
	errOver   = error(reason.ExchangeEnded)
)

// descriptor is what is on the program's descriptor, and how that changes: one arming at a time. With the stream's mu, but for arming.
type descriptor struct {
	arming  chan struct{}    // held from a message that arms the shim to its answer
	armings uint64           // number of the last Arm
	reply   *channel.Message // to it: Moved or Unmoved
	resumed time.Duration    // the last Resumed, -1 none yet
	moves   int              // how often the descriptor has been given another connection
	waiting []byte           // requests that the program had sent on the former one, without an answer, at that moment
	shut    bool             // the last time, the former one was shut down for reading
	bounded bool             // the connection there does not bring all of the response
	pair    *relay.Pair      // whose other end is there, nil if none is
}

var _ delivery.Stream = (*Stream)(nil)

// Switch implements delivery.Stream. The shim's refusal, where it is no resume.ErrAgain, is a *delivery.Unmoved.
func (s *Stream) Switch(ctx context.Context, conn *dial.Conn, exchange uint64, h channel.Handover, limit time.Duration) (channel.Position, error) {
	carried := s.ftp != nil && conn.Beside() != nil
	if carried {
		if err := s.ftp.Ready(ctx, transfer{s}); err != nil {
			return channel.Position{}, err
		}
	}
	if err := s.arm(conn, exchange, h); err != nil {
		return channel.Position{}, err
	}
	position, err := s.awaitReply(ctx, limit)
	if carried && err == nil {
		s.ftp.Moved(conn)
	}
	var refused *delivery.Unmoved
	if errors.As(err, &refused) && (refused.Retry() == reason.RetryAnew || h.When == channel.There && refused.Why == reason.Farther) {
		err = resume.ErrAgain
	}
	return position, err
}

// placePair is Switch for one end of a new pair; the core's end is the caller's.
func (s *Stream) placePair(ctx context.Context, exchange uint64, h channel.Handover, limit time.Duration) (*relay.Pair, channel.Position, error) {
	pair, err := relay.NewPair(s.opened.Domain)
	if err != nil {
		return nil, channel.Position{}, err
	}
	h.What = channel.Pair
	position, err := s.Switch(ctx, pair.Program, exchange, h, limit)
	pair.Program.Close()
	if err != nil {
		pair.Core.Close()
		return nil, channel.Position{}, err
	}
	return pair, position, nil
}

// SwitchToPair implements delivery.Stream.
func (s *Stream) SwitchToPair(ctx context.Context, exchange uint64, h channel.Handover, limit time.Duration) (relay.Put, error) {
	pair, position, err := s.placePair(ctx, exchange, h, limit)
	if err != nil {
		return relay.Put{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return relay.Put{Core: pair.Core, Position: position, Waiting: s.waiting, Shut: s.shut}, nil
}

// arm sends a socket to the shim: it goes onto the descriptor as h says, which holds for the exchange. Unless it
// fails, awaitReply has to follow: until then no other socket is armed.
func (s *Stream) arm(conn *dial.Conn, exchange uint64, h channel.Handover) (err error) {
	nothing := h.What == channel.Session && h.Left == 0
	if h.When == channel.Now && h.Former != channel.Keep && s.confirm != nil && !nothing {
		if err := s.confirm(); err != nil {
			return err
		}
	}
	s.arming <- struct{}{}
	defer func() {
		if err != nil {
			<-s.arming
		}
	}()
	s.mu.Lock()
	if h.Former == channel.Keep && (s.failed == nil || !s.failed.held) {
		s.mu.Unlock()
		return errOver // it has been recovered meanwhile
	}
	s.reply = nil
	s.resumed = -1
	s.armings++
	m := s.message(channel.Arm)
	m.Arming = s.armings
	s.mu.Unlock()
	if h.Sent == 0 {
		h.Sent = exchange
	}
	m.Exchange = exchange
	if t, ok := conn.Over().(*twin.Twin); ok {
		return t.Arm(m, h)
	}
	m.Data = h.Encode()
	var sent error
	if err := conn.Fd(func(fd int) { sent = s.c.send(m, fd) }); err != nil {
		return err
	}
	return sent
}

// shimLimit is how long the shim may take to answer when an arming is called off: its thread may have a thousand streams to look
// after, on a busy machine.
const shimLimit = 5 * time.Second

// awaitReply waits for Moved or Unmoved. With a time-out of its own (not 0) the arming is called off then; the
// shim's answer to that decides.
func (s *Stream) awaitReply(ctx context.Context, limit time.Duration) (channel.Position, error) {
	defer func() { <-s.arming }()
	var timer <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		timer = t.C
	}
	done, calledOff := ctx.Done(), false
	for {
		s.mu.Lock()
		reply, closed, left, changed := s.reply, s.closed, s.left, s.changed
		if s.bounded {
			left = reason.Reason{} // it needs the rest all the same
		}
		held := s.failed != nil && s.failed.held
		if reply != nil {
			s.reply = nil
		}
		s.mu.Unlock()
		switch {
		case reply != nil && reply.Kind == channel.Moved:
			return channel.ParsePosition(reply.Data)
		case reply != nil && left.Why != 0:
			return channel.Position{}, &delivery.Unmoved{Reason: left, At: reply.A}
		case reply != nil:
			why, err := reason.Parse(reply.Data)
			if err != nil {
				return channel.Position{}, err
			}
			return channel.Position{}, &delivery.Unmoved{Reason: why, At: reply.A}
		case closed:
			return channel.Position{}, errClosed
		case left.Why != 0 && !calledOff:
			// The arming may have been carried out already: its answer is waited for.
			s.callOff()
			calledOff, done, limit, timer = true, nil, 0, time.After(shimLimit)
		case held && limit > 0:
			// The old connection has ended: it will not deliver up to the offset.
			s.callOff()
			limit, timer = 0, time.After(shimLimit)
		}
		select {
		case <-changed:
		case <-timer:
			s.callOff()
			timer = time.After(shimLimit)
			if limit == 0 {
				return channel.Position{}, reason.ShimSilent
			}
			limit = 0
		case <-done:
			s.callOff()
			done, limit, timer = nil, 0, time.After(shimLimit)
		}
	}
}

// callOff calls the last arming off. The shim may look at messages only when the program calls it again: then this is known
// already.
func (s *Stream) callOff() {
	s.mu.Lock()
	m := s.message(channel.Disarm)
	m.Arming = s.armings
	s.mu.Unlock()
	s.c.shim.CallOff(s.slot, s.id, m.Arming)
	s.c.send(m, -1)
}

// ask for the socket's state; the shim answers at once. arming: it is asked before an arming, which the shim refuses if the
// process forks in between.
func (s *Stream) inquire(ctx context.Context, arming bool) (channel.SocketInfo, error) {
	s.mu.Lock()
	s.info = nil
	s.mu.Unlock()
	m := s.message(channel.Ask)
	if arming {
		m.A = 1
	}
	if err := s.c.send(m, -1); err != nil {
		return channel.SocketInfo{}, err
	}
	var info channel.SocketInfo
	err := s.await(ctx, func() (bool, error) {
		if s.info != nil {
			var err error
			info, err = channel.ParseInfo(s.info.Data)
			return true, err
		}
		if s.closed {
			return true, errClosed
		}
		return false, nil
	})
	return info, err
}

// await calls ready, with s.mu held, after every change of the stream until it reports true.
func (s *Stream) await(ctx context.Context, ready func() (bool, error)) error {
	for {
		s.mu.Lock()
		done, err := ready()
		changed := s.changed
		s.mu.Unlock()
		if done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Alone implements delivery.Stream.
func (s *Stream) Alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.exchanges) <= 1
}

// Later implements delivery.Stream.
func (s *Stream) Later(e *exchange.Exchange) (all []*exchange.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, later := range s.exchanges {
		if later.Number > e.Number {
			all = append(all, later)
		}
	}
	return all
}

// Secure implements delivery.Stream.
func (s *Stream) Secure() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tls != nil
}

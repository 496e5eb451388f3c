// A standby: the other network's answer to the name and an open connection to a server there, kept ready while a
// download runs, so that a recovery costs no more than one round trip.
package controller

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/resume"
)

const (
	longEnough   = time.Second // a download that has run for so long, or
	largeEnough  = 1 << 20     // has so many octets to come, is worth a standby
	maxStandbys  = 16          // of one process
	firstRenewal = time.Second // before a standby that has died is renewed, doubled up to lastRenewal
	lastRenewal  = time.Minute
)

// standby is an open connection on which nothing has been asked yet.
type standby struct {
	resume.Destination
	candidate candidate
	conn      *dial.Conn
	stopped   chan struct{} // closed when nobody looks at the connection any more
	// With the stream's mu.
	stirred chan struct{} // closed and replaced when the connection has been taken, or has ended, or the stream has moved
	taken   bool
	died    bool // the server has ended it
}

// look waits for the end of the connection. A server that sends something without having been asked is about to end it.
func (b *standby) look(s *Stream) {
	var octet [1]byte
	b.conn.Peek(octet[:])
	close(b.stopped)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !b.taken {
		b.taken, b.died = true, true
		if s.standby == b {
			s.standby = nil
		}
		b.conn.Reset()
		b.stir()
	}
}

// stir has the standby looked at anew. With the stream's mu.
func (b *standby) stir() {
	close(b.stirred)
	b.stirred = make(chan struct{})
}

// take returns the connection if it is still there. With the stream's mu, which it lets go for a moment.
func (s *Stream) take(b *standby) *dial.Conn {
	if b == nil || b.taken {
		return nil
	}
	b.taken = true
	s.standby = nil
	s.mu.Unlock()
	b.conn.SetReadDeadline(time.Unix(1, 0))
	<-b.stopped
	b.conn.SetReadDeadline(time.Time{})
	s.mu.Lock()
	b.stir()
	if n, err := b.conn.Buffered(); n != 0 || err != nil {
		b.conn.Reset()
		return nil
	}
	return b.conn
}

// takeAnyStandby returns a connection that is ready, and what candidate it leads to.
func (s *Stream) takeAnyStandby() (candidate, *dial.Conn) {
	usable := s.mayMove(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.standby
	if b == nil || !slices.Contains(usable, b.Interface) {
		return candidate{}, nil
	}
	return b.candidate, s.take(b)
}

// ready returns the standby for open, if it leads there.
func (s *Stream) ready(r resume.Destination) *dial.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.standby; b != nil && b.Same(r) && b.Interface != s.iface {
		return s.take(b)
	}
	return nil
}

// standbys are the candidates for a standby, the best first: another server over another interface is there whatever fails,
// then comes any over another interface, then another one over the stream's own.
func (s *Stream) standbys() (list []candidate) {
	if s.c.config.Failover.Standby == config.StandbyNever {
		return nil
	}
	own, _ := s.where()
	order := s.order()
	for _, iface := range order {
		if iface != own && (s.c.config.Failover.Standby == config.StandbyAlways || !s.c.metered(iface) && !s.c.dearer(iface, own)) {
			list = append(list, candidate{iface: iface, other: true}, candidate{iface: iface})
		}
	}
	if slices.Contains(order, own) {
		list = append(list, candidate{iface: own, other: true})
	}
	return list
}

// openStandby connects to the first of the candidates that can be connected to.
func (s *Stream) openStandby(e *exchange.Exchange, list []candidate) (*standby, error) {
	var failed error
	for _, c := range list {
		ctx, cancel := context.WithTimeout(context.Background(), attemptLimit)
		rt, avoid := s.destinationFor(c.iface, e), netip.AddrPort{}
		if c.other {
			_, avoid = s.where()
		}
		conn, err := s.connectTo(ctx, rt, avoid, c.other)
		cancel()
		if err == nil {
			return &standby{Destination: rt, candidate: c, conn: conn, stirred: make(chan struct{}), stopped: make(chan struct{})}, nil
		}
		if !errors.Is(err, dial.ErrNoCandidate) {
			s.c.log.Debug().Str("session", s.name()).Str("over", c.iface).Bool("other", c.other).Err(err).Msg("no standby")
			failed = err
		}
		if e.Over() {
			break
		}
	}
	return nil, failed
}

// keepStandby keeps one until the exchange is over.
func (s *Stream) keepStandby(e *exchange.Exchange) {
	defer func() {
		s.c.standbys.Add(-1)
		s.mu.Lock()
		if conn := s.take(s.standby); conn != nil {
			conn.Reset()
		}
		s.mu.Unlock()
	}()
	pause := firstRenewal
	for !e.Over() {
		news := s.c.networks.Changed()
		list := s.standbys()
		begun := time.Now()
		b, err := s.openStandby(e, list)
		if b == nil {
			limit := lastRenewal // there is none to be had
			if err != nil {
				limit, pause = pause, min(2*pause, lastRenewal)
			}
			if !s.unlessOver(e, news, nil, limit) {
				return
			}
			continue
		}
		s.mu.Lock()
		s.standby = b
		s.mu.Unlock()
		guard.Go(func() { b.look(s) })
		s.c.log.Debug().Str("session", s.name()).Str("over", b.Interface).Stringer("server", b.conn.Remote()).Msg("a connection stands by")
		s.publish(control.EventStandby, "a connection to "+b.conn.Remote().String()+" over "+b.Interface+" is ready",
			map[string]any{"interface": b.Interface, "server": b.conn.Remote().String()})
		for {
			s.mu.Lock()
			stirred := b.stirred
			s.mu.Unlock()
			news := s.c.networks.Changed()
			if !s.standbyStands(b, list) {
				break
			}
			if !s.unlessOver(e, news, stirred, time.Hour) {
				return
			}
		}
		s.mu.Lock()
		died := b.died
		s.mu.Unlock()
		if !died || time.Since(begun) > lastRenewal {
			pause = firstRenewal
		}
		if !died {
			// It has been taken, and will soon be in use, or another one is better.
			for wait := true; wait; wait = s.Busy() {
				if !s.unlessOver(e, nil, nil, settle) {
					return
				}
			}
			continue
		}
		if !s.unlessOver(e, nil, nil, pause) {
			return
		}
		pause = min(2*pause, lastRenewal)
	}
}

// standbyStands reports whether the standby is there, and none is better of which nothing was known then; otherwise it is given
// up. One that is needed is not.
func (s *Stream) standbyStands(b *standby, then []candidate) bool {
	now := s.standbys()
	at := slices.Index(now, b.candidate)
	good := at >= 0 && !slices.ContainsFunc(now[:at], func(c candidate) bool { return !slices.Contains(then, c) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.standby != b {
		return false
	}
	if s.recovering || good && !(b.Interface == s.iface && b.conn.Remote() == s.server) {
		return true
	}
	if conn := s.take(b); conn != nil {
		conn.Reset()
	}
	return false
}

// unlessOver waits for one of the channels, or limit; false when the exchange is over.
func (s *Stream) unlessOver(e *exchange.Exchange, a, b <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		s.mu.Lock()
		over, changed := e.Done() || s.closed || !s.guarded, s.changed
		s.mu.Unlock()
		if over {
			return false
		}
		select {
		case <-a:
			return true
		case <-b:
			return true
		case <-timer.C:
			return true
		case <-changed:
		}
	}
}

// connect makes a new connection to the destination's host, to any server of that name but avoid.
func (s *Stream) connect(ctx context.Context, r resume.Destination, avoid netip.AddrPort) (*dial.Conn, error) {
	return s.connectTo(ctx, r, avoid, false)
}

// connectTo is connect; alike: to an address of avoid's family only. One of the other may well be the same server's.
func (s *Stream) connectTo(ctx context.Context, r resume.Destination, avoid netip.AddrPort, alike bool) (*dial.Conn, error) {
	names := s.c.resolver(r.Interface)
	now := s.place().Addr()
	if avoid.IsValid() {
		names, now = &resume.Others{Names: names, Avoid: avoid.Addr().Unmap(), Alike: alike}, netip.Addr{}
		r.Avoid = append(slices.Clone(r.Avoid), avoid)
	}
	preferred := netip.AddrPortFrom(s.c.preferred(ctx, names, r.Interface, r.Host, now), r.Port)
	return s.dial(ctx, names, r, preferred)
}

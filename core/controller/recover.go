// Recoveries: what package recovery has to know of a stream that it continues, and may do to it.
package controller

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/recovery"
	"midstream/core/resume"
	"midstream/core/standby"
)

// need is about recoveries. With the stream's turn, but for inNeed.
type need struct {
	recoveries recovery.Recoveries
	confirm    func() error // if set, has the last word before the program is given another connection at once
	inNeed     atomic.Bool  // servers are asked because the connection has failed
}

// recover continues the stream elsewhere if that is needed. One at a time; while one runs, others are not needed.
func (s *Stream) recover(cause string) {
	s.mu.Lock()
	if s.recovering {
		s.change() // the one that runs looks at the state again
		s.mu.Unlock()
		return
	}
	s.recovering = true
	s.mu.Unlock()
	s.turn.Take(context.Background())
	s.recoveries.Run(recovered{s}, cause)
	s.turn.Give()
	s.mu.Lock()
	s.recovering = false
	again := s.failed.pending() && !s.closed
	idle := s.current() == nil
	s.flow.Restart(time.Now())
	s.mu.Unlock()
	switch {
	case again:
		// It failed anew after the recovery had looked for the last time.
		guard.Go(func() { s.recover(cause) })
	case idle:
		s.lookAtPath() // the response has come to its end meanwhile, and the connection may be of no use for the next
	}
}

// recovered is a stream as its recovery sees it.
type recovered struct{ *Stream }

var _ recovery.Stream = recovered{}

// State implements recovery.Stream.
func (s recovered) State() recovery.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return recovery.State{
		Exchange: s.current(), Movable: s.why().None(), Closed: s.closed,
		Held: s.failed.pending(), Told: s.failed != nil && s.failed.over, Released: s.failed.pending() && s.failed.hold.released, Kept: s.kept,
		Lost: s.pathLost() != "", Several: s.feeding.Several(), Flow: s.flow, Interface: s.iface, Server: s.server, Changed: s.changed,
	}
}

// Patience implements recovery.Stream.
func (s recovered) Patience() time.Duration { return s.c.config.Failover.Patience }

// Begins implements recovery.Stream.
func (s recovered) Begins(dead bool) {
	s.Migrating(true)
	s.forgetEvidence(dead)
}

// InNeed implements recovery.Stream.
func (s recovered) InNeed(cause string, confirm func() error) {
	s.publish(control.EventFailure, cause, map[string]any{"cause": cause})
	s.confirm = confirm
	s.inNeed.Store(true)
}

// Ends implements recovery.Stream.
func (s recovered) Ends() {
	s.confirm = nil
	s.inNeed.Store(false)
	s.Migrating(false)
}

// Alarmed implements recovery.Stream.
func (s recovered) Alarmed(since time.Time, spoke bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flow.Alarmed(time.Now(), since, spoke)
}

// Look implements recovery.Stream.
func (s recovered) Look() { s.c.networks.AskAll() }

// Standby implements recovery.Stream.
func (s recovered) Standby() (standby.Candidate, *dial.Conn) {
	return s.standby.TakeOver(s.MayMove(false))
}

// Ask implements recovery.Stream.
func (s recovered) Ask(ctx context.Context, c standby.Candidate, conn *dial.Conn, e *exchange.Exchange) (*resume.Rest, *delivery.Outcome, error) {
	return s.mover.Ask(ctx, c.Interface, c.Elsewhere, conn, e, true)
}

// Take implements recovery.Stream.
func (s recovered) Take(ctx context.Context, iface, cause string, e *exchange.Exchange, r *resume.Rest, done *delivery.Outcome) error {
	from := s.End()
	if done == nil {
		var err error
		if done, err = delivery.Rest(ctx, s, e, r, channel.Now, 0); err != nil {
			return err
		}
	}
	s.Record(ctx, from, iface, cause, done)
	return nil
}

var _ standby.Stream = (*Stream)(nil)

// Where implements standby.Stream.
func (s *Stream) Where() (iface string, server netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.iface, s.server
}

// Costs implements standby.Stream.
func (s *Stream) Costs(iface, own string) bool { return s.c.reach.Costs(iface, own) }

// Recovering implements standby.Stream.
func (s *Stream) Recovering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recovering
}

// Connect implements standby.Stream and recovery.Stream.
func (s *Stream) Connect(ctx context.Context, c standby.Candidate, e *exchange.Exchange, alike bool) (*dial.Conn, resume.Destination, error) {
	to, avoid := s.c.reach.DestinationOr(s.Place(), c.Interface, e.Asks()), netip.AddrPort{}
	if c.Elsewhere.URL != "" {
		var err error
		if _, to, err = s.Foreign(c.Interface, c.Elsewhere, e); err != nil {
			return nil, to, err
		}
	}
	if c.Other {
		_, avoid = s.Where()
	}
	conn, err := s.connect(ctx, to, avoid, c.Other && alike)
	return conn, to, err
}

// News implements standby.Stream and recovery.Stream.
func (s *Stream) News() <-chan struct{} { return s.c.networks.Changed() }

// UnlessOver implements standby.Stream and recovery.Stream.
func (s *Stream) UnlessOver(e *exchange.Exchange, a, b <-chan struct{}, limit time.Duration) bool {
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

// Ready implements standby.Stream.
func (s *Stream) Ready(iface string, server netip.AddrPort) {
	s.publish(control.EventStandby, "a connection to "+server.String()+" over "+iface+" is ready",
		map[string]any{"interface": iface, "server": server.String()})
}

// Log implements the streams of all packages: it is where they say what is done for this one.
func (s *Stream) Log() *zerolog.Logger {
	log := s.c.log.With().Str("session", s.name()).Logger()
	return &log
}

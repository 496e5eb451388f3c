// Failures become triggers: which streams are guarded, what counts as a failure, and where to go then.
package controller

import (
	"context"
	"slices"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/netif"
	"midstream/core/reason"
	"midstream/core/recovery"
	"midstream/core/relay"
)

// plight is what is known of a connection that may fail, or has. With the stream's mu.
type plight struct {
	failed     *failure
	guarded    bool // the shim holds the program when the connection fails
	guarding   channel.Guard
	recovering bool        // a recovery is under way
	leaving    bool        // an idle connection is being moved or dropped
	parked     *relay.Pair // whose other end is on the descriptor of a program that waits for a recovery
}

// failure is how the program's connection ended before the response did.
type failure struct {
	errno    syscall.Errno // 0: FIN
	received int64
	held     bool // the program waits at the gate
	parked   bool // the program waits on a quiet connection; the shim keeps the old one
	over     bool // the program has been told, or will be
	hold     holding
}

// pending reports whether there is one of which the program does not know yet.
func (f *failure) pending() bool { return f != nil && !f.over && (f.held || f.parked) }

// guard tells the shim whether the program is to be held when the stream's connection fails. With s.mu.
func (s *Stream) guard() {
	e := s.current()
	on, as := s.c.config.Failover.Enabled && e != nil && e.Asked() && !netif.InHost(s.iface) && s.why().None(), channel.GuardNone
	if on {
		as = e.Guard()
	}
	if as == s.guarding {
		return
	}
	s.guarded, s.guarding = on, as
	if on || e != nil && e.Asked() {
		// Without one, it would be the next exchange's that is put out: the program may have begun it already.
		s.c.shim.Guard(s.slot, s.id, as)
	}
	if on {
		s.c.sampler.Wake()
	}
}

// fail takes the message that the connection has ended. With s.mu.
func (s *Stream) fail(m channel.Message) {
	s.failed = &failure{errno: syscall.Errno(m.A), received: m.B, held: m.Flags&channel.Held != 0, hold: holding{since: time.Now()}}
	s.failed.over = !s.failed.held
	if !s.failed.held {
		s.c.log.Debug().Str("session", s.name()).Int64("received", m.B).Int64("errno", m.A).Bool("guarded", s.guarded).
			Msg("the connection has ended, as the program has seen")
		return
	}
	e := s.current()
	switch {
	case s.opened.Dialogue:
		s.ftp.Fail(true)
		return
	case m.A == 0 && e != nil && e.Whole(m.B):
		s.failed.over = true // it ends as it was meant to
		s.giveUp(0)
		return
	}
	if e == nil || !e.Asked() || !s.c.config.Failover.Enabled || !s.why().None() {
		s.giveUpHeld(reason.Immovable)
		return
	}
	s.c.log.Info().Str("session", s.name()).Int64("received", m.B).Int64("errno", m.A).Msg("the connection has ended early")
	failed := s.failed
	go func() {
		defer guard.Recover()
		s.waitParked(failed, e)
		s.recover(recovery.Ended)
	}()
}

// moved takes the message that another socket is on the descriptor. It reports whether somebody waits for it. With s.mu.
func (s *Stream) moved(m channel.Message) bool {
	restored := m.Exchange == 0
	if m.Flags&channel.Kept == 0 {
		if s.parked != nil {
			s.parked.Core.Close()
			s.parked = nil
		}
		if !restored {
			s.failed = nil
		}
	}
	s.flow.Moved = true
	return !restored
}

// lookAtPath leaves a path that is not there any more.
func (s *Stream) lookAtPath() {
	s.mu.Lock()
	why := s.pathLost()
	if s.feeding.Several() {
		why = "" // the others go on
	}
	guarded, idle := s.guarded && s.current() != nil, s.current() == nil && s.last != nil && s.why().None()
	iface, busy := s.iface, s.recovering || s.leaving
	s.leaving = s.leaving || why != "" && !guarded && idle && !busy && s.c.config.Failover.Enabled
	if why != "" {
		s.change() // whatever waits for the old connection
	}
	s.mu.Unlock()
	if why == "" {
		return
	}
	switch {
	case guarded && busy:
		guard.Go(func() { s.recover(recovery.PathLost) }) // which looks at the state again
	case guarded:
		s.c.log.Info().Str("session", s.name()).Str("interface", iface).Str("why", why).Msg("its network is lost")
		guard.Go(func() { s.recover(recovery.PathLost) })
	case idle && !busy && s.c.config.Failover.Enabled:
		guard.Go(func() {
			found := false
			defer func() {
				s.mu.Lock()
				s.leaving = false
				s.mu.Unlock()
				if !found {
					s.lookAtPath() // it was back for a moment; a loss that came meanwhile was told to nobody else
				}
			}()
			found = s.leaveIdle()
		})
	}
}

// pathLost says why nothing can be heard of the stream's connection any more, "" if something may. With s.mu.
func (s *Stream) pathLost() string {
	return s.c.networks.State().Lost(s.iface, s.local.Addr(), s.server.Addr())
}

// Order implements standby.Stream and recovery.Stream: the stream's own interface first, then the others as the manager ranks them; none
// that it is barred from.
func (s *Stream) Order() []string {
	own, _ := s.Where()
	ranked := slices.DeleteFunc(s.c.manager.Order(s.Need()), func(iface string) bool { return !s.Barred(iface).None() })
	networks := s.c.networks.State()
	var list []string
	for _, name := range ranked {
		i, ok := networks.Interface(name)
		switch {
		case !ok || i.Usable() != nil:
			// The manager may not have heard of it yet.
		case name == own:
			list = slices.Insert(list, 0, name)
		case networks.HasDefault(i.Index):
			list = append(list, name)
		}
	}
	return list
}

// leaveIdle moves a kept-alive connection whose network is lost, or ends it, so that the program's next request makes
// a new one. False: its network is not lost, after all.
func (s *Stream) leaveIdle() (found bool) {
	ctx, cancel := context.WithTimeout(context.Background(), s.c.config.Migration.Timeout)
	defer cancel()
	own, _ := s.Where()
	others := s.Order()
	for _, iface := range others {
		if iface == own {
			continue
		}
		if _, err := s.mover.Migrate(ctx, iface, recovery.PathLost); err == nil {
			return true
		}
	}
	if len(others) == 0 {
		return true // there is nowhere to go: the network may come back
	}
	if s.turn.Take(ctx) != nil {
		return true
	}
	defer s.turn.Give()
	s.mu.Lock()
	idle, last := s.current() == nil && s.last != nil && s.why().None(), s.last
	lost := s.pathLost() != ""
	s.mu.Unlock()
	if idle && lost {
		if err := s.drop(ctx, last); err == nil {
			s.c.log.Info().Str("session", s.name()).Msg("an idle connection was ended: its network is lost")
		}
	}
	return lost
}

// waitParked puts a quiet connection on the descriptor of a program that waits at the gate, which then waits as on a slow
// network, with its own time-outs. The shim keeps the old connection.
func (s *Stream) waitParked(f *failure, e *exchange.Exchange) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	defer s.turn.First()() // only one socket is armed at a time
	quiet := channel.Handover{When: channel.Now, Former: channel.Keep, Anywhere: true}
	s.mu.Lock()
	wanted := s.failed == f && f.held && !f.over && !f.parked && !s.closed
	begun := e.Answered()
	s.mu.Unlock()
	if !begun {
		quiet.Place = channel.InHead
	}
	if !wanted {
		return
	}
	pair, _, err := s.placePair(ctx, e.Number, quiet, 0)
	if err != nil {
		return // it waits at the gate, for as long as that waits
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == f {
		f.held, f.parked = false, true
		old := s.parked
		s.parked = pair
		if s.tls != nil {
			s.nudge() // a question may have come while it was asleep on the old connection
		}
		if old != nil {
			old.Core.Close()
		}
		return
	}
	pair.Core.Close()
}

// GiveUp implements recovery.Stream: it lets a program that waits see how its connection ended.
func (s *Stream) GiveUp(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.pending() {
		s.giveUpHeld(why)
	}
}

// giveUpHeld lets the program see how its connection ended. With s.mu.
func (s *Stream) giveUpHeld(why error) {
	s.failed.over = true
	if s.ftp != nil && !s.opened.Dialogue {
		s.ftp.Ends(transfer{s}) // what the program looks at next may be its control connection
	}
	s.c.log.Info().Str("session", s.name()).Str("why", why.Error()).Msg("the program is told of the failure")
	s.publish(control.EventRefused, "not recovered: "+why.Error(), map[string]any{"reason": why.Error()})
	s.giveUp(int64(s.failed.errno))
}

// drop ends an idle connection for the program, as a server does that closes it.
func (s *Stream) drop(ctx context.Context, last *exchange.Exchange) error {
	pair, _, err := s.placePair(ctx, last.Number, channel.Handover{Place: channel.AtEnd, When: channel.Now}, 0)
	if err == nil {
		pair.Core.Close()
	}
	return err
}

// giveUp lets the program see how its connection ended: errno, or 0 for an end of file.
func (s *Stream) giveUp(errno int64) {
	m := s.message(channel.GiveUp)
	m.A = errno
	s.c.send(m, -1)
}

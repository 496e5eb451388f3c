// Migrations: what package migration has to know of a stream that it moves, and may do to it.
package controller

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/migration"
	"midstream/core/reason"
	"midstream/core/turn"
)

// moved is a stream as its mover sees it.
type moved struct{ *Stream }

var _ migration.Stream = moved{}

// State implements migration.Stream.
func (s moved) State() migration.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state()
}

// state is State. With s.mu.
func (s moved) state() migration.State {
	return migration.State{
		Current: s.current(), Last: s.last, Why: s.why(), Interface: s.iface, Closed: s.closed, Left: s.left.Why != 0,
		Failed: s.failed != nil, Lost: s.pathLost() != "" && !s.feeding.Several(),
	}
}

// Await implements migration.Stream.
func (s moved) Await(ctx context.Context, ready func(migration.State) (bool, error)) error {
	return s.await(ctx, func() (bool, error) { return ready(s.state()) })
}

// Wake implements migration.Stream.
func (s moved) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change()
}

// Turn implements migration.Stream.
func (s moved) Turn() *turn.Turn { return s.turn }

// At implements migration.Stream.
func (s moved) At(ctx context.Context, to string) bool {
	s.mu.Lock()
	e, own, server := s.current(), s.iface, s.server.Addr().Unmap()
	if e == nil {
		e = s.last
	}
	well := s.why().None() && s.failed == nil && s.pathLost() == ""
	s.mu.Unlock()
	if own != to || !well || e == nil {
		return false
	}
	r := s.c.reach.DestinationOr(s.Place(), to, e.Asks())
	if !r.Untouched() || r.Tunnel != nil {
		return false
	}
	return s.c.reach.Preferred(ctx, s.c.reach.Names(to), to, r.Host, server) == server
}

// Refresh implements migration.Stream.
func (s moved) Refresh(ctx context.Context) { s.askQuiet(ctx) }

// Inquire implements migration.Stream.
func (s moved) Inquire(ctx context.Context) error {
	_, err := s.inquire(ctx, false)
	return err
}

// Unshared implements recovery.Stream and migration.Stream.
func (s *Stream) Unshared(ctx context.Context) error {
	info, err := s.inquire(ctx, true)
	if err != nil {
		return err
	}
	if info.PastHooks {
		return reason.ReadsPast
	}
	if pid, held := s.c.holders.Await(ctx, s.c.pid, info.Inode, info.Forked); held {
		return reason.HeldElsewhere.With(pid)
	}
	return nil
}

// Metered implements migration.Stream.
func (s moved) Metered(iface string) bool { return s.c.reach.Metered(iface) }

// KeepTail implements migration.Stream.
func (s moved) KeepTail(always bool) { s.c.shim.Keep(s.slot, s.id, always || s.ftp != nil) }

// A station's listener is parked between two titles: some octets farther, and for no longer than that.
const (
	parkLead  = 1 << 10
	parkLimit = 2 * time.Second
)

// Park implements migration.Stream: the core's end is kept open until the stream moves on.
func (s moved) Park(ctx context.Context, e *exchange.Exchange) error {
	h, limit := channel.Handover{When: channel.Now, Former: channel.Park}, time.Duration(0)
	if l := e.Live(); l != nil {
		if at, ok := l.Outside(e.Received(), parkLead); ok {
			h.At, h.When, limit = at, channel.There, parkLimit
		}
	}
	pair, _, err := s.placePair(ctx, e.Number, h, limit)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.pair
	s.pair = pair
	s.mu.Unlock()
	if old != nil {
		old.Core.Close()
	}
	return nil
}

// Abandon implements migration.Stream.
func (s moved) Abandon() {
	s.giveUp(int64(syscall.ECONNRESET)) // an orderly end might pass for that of the content
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pair != nil {
		s.pair.Reset()
		s.pair = nil
	}
}

// Migrating implements migration.Stream.
func (s *Stream) Migrating(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.migrating = on
}

// End implements migration.Stream.
func (s *Stream) End() control.End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return control.End{Interface: s.iface, Server: s.server.String()}
}

// Keep implements migration.Stream.
func (s moved) Keep(iface, trigger string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepWord(iface, trigger)
}

// Refused implements migration.Stream.
func (s moved) Refused(to string, err error) {
	s.c.log.Info().Str("session", s.name()).Str("to", to).Err(err).Msg("not moved")
	s.publish(control.EventRefused, "not moved to "+to+": "+err.Error(), map[string]any{"to": to, "reason": err.Error()})
}

// Record implements migration.Stream: the stall is noted as soon as it is known.
func (s *Stream) Record(ctx context.Context, from control.End, to, trigger string, o *delivery.Outcome) *control.Migration {
	m := control.Migration{
		At: control.Now(), Trigger: trigger, From: from,
		To:       control.End{Interface: to, Server: o.Conn.Remote().String()},
		Offset:   o.Offset,
		Delivery: o.How,
	}
	if o.Resumes {
		// The program may take its time before it reads on.
		waiting, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		s.await(waiting, func() (bool, error) { return s.resumed >= 0 || s.closed, nil })
		cancel()
	}
	s.mu.Lock()
	if s.resumed >= 0 {
		m.StallMS = control.Milliseconds(s.resumed)
	}
	s.iface, s.local, s.server, s.foreign = to, o.Conn.Local(), o.Conn.Remote(), o.Foreign
	s.keepWord(to, trigger)
	// A failure that is known by now is the new connection's: that of the old one was forgotten with the hand-over.
	if s.pair != nil {
		s.pair.Core.Close() // the program's end has been replaced
		s.pair = nil
	}
	s.remember(m)
	e := s.current()
	s.mu.Unlock()
	s.standby.Stir()
	if e != nil {
		e.Budget.HandedOver(m.Offset)
	}
	s.c.log.Info().Str("session", s.name()).Str("to", to).Str("server", m.To.Server).Int64("offset", m.Offset).
		Float64("stall_ms", m.StallMS).Msg("moved")
	s.publish(control.EventMigration, fmt.Sprintf("moved from %s to %s (%s) at octet %d", from.Interface, to, m.To.Server, m.Offset),
		map[string]any{"migration": m})
	return &m
}

// RenewAfter implements delivery.Stream.
func (s *Stream) RenewAfter(e *exchange.Exchange) { guard.Go(func() { s.mover.Renew(e) }) }

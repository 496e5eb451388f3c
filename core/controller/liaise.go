// The controller's side of the interface manager: what package liaison has to know of the process and its streams, and what a person
// asks of it.
package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/exchange"
	"midstream/core/lease"
	"midstream/core/liaison"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// process is the controller as its liaison sees it.
type process struct{ c *Controller }

var _ liaison.Process = process{}

// Streams implements liaison.Process.
func (p process) Streams(session string) []liaison.Stream {
	all := p.c.all(session)
	list := make([]liaison.Stream, len(all))
	for i, s := range all {
		list[i] = s
	}
	return list
}

// Tell implements liaison.Process.
func (p process) Tell(ctx context.Context, streams []liaison.Stream) {
	all := make([]*Stream, len(streams))
	for i, s := range streams {
		all[i] = s.(*Stream)
	}
	p.c.askQuiet(ctx, all)
}

// PreferServers implements liaison.Process.
func (p process) PreferServers(ctx context.Context) { p.c.preferServers(ctx) }

// ForgetWords implements liaison.Process.
func (p process) ForgetWords() { p.c.forgetWords() }

// Lost implements liaison.Process.
func (p process) Lost() {
	for _, s := range p.c.all("") {
		s.lookAtPath()
	}
}

// Publish implements liaison.Process.
func (p process) Publish(e control.Event) { p.c.Publish(e) }

// binder is a shim that binds new connections to interfaces.
type binder interface {
	Use(index uint32)
	Order(indices []uint32)
}

// Bind implements liaison.Process.
func (p process) Bind(index uint32) {
	if b, ok := p.c.shim.(binder); ok {
		b.Use(index)
	}
}

// Order implements liaison.Process.
func (p process) Order(indices []uint32) {
	if b, ok := p.c.shim.(binder); ok {
		b.Order(indices)
	}
}

var _ liaison.Stream = (*Stream)(nil)

// Carry implements liaison.Stream.
func (s *Stream) Carry(ctx context.Context, d manager.Decision) (m *control.Migration, err error) {
	// The daemon, a person and this process may come to the same decision at the same time.
	s.decided.Lock()
	defer s.decided.Unlock()
	if s.End().Interface != d.To {
		s.c.Publish(control.Event{At: control.Now(), Kind: control.EventTrigger, PID: s.c.pid, Session: d.Session,
			Text:   fmt.Sprintf("to move from %s to %s: %s", d.From, d.To, d.Cause),
			Fields: map[string]any{"from": d.From, "to": d.To, "trigger": d.Trigger, "cause": d.Cause}})
		limited, cancel := lease.With(ctx, s.c.config.Migration.Timeout)
		m, err = s.mover.Migrate(limited, d.To, d.Trigger)
		cancel()
	}
	var no *refusal.Refusal
	if errors.As(err, &no) {
		s.mu.Lock()
		if e := s.current(); e != nil {
			e.RefuseOver(d.To, no.Why.Error())
		}
		s.mu.Unlock()
	}
	return m, err
}

// Sample implements liaison.Stream.
func (s *Stream) Sample(ctx context.Context) (manager.Sample, error) {
	info, err := s.inquire(ctx, false)
	if err != nil {
		return manager.Sample{}, err
	}
	return manager.Sample{RTT: control.Milliseconds(s.roundTrip(info)), Retransmits: int64(info.Retransmits), Connection: info.Inode}, nil
}

// Refusals implements liaison.Stream.
func (s *Stream) Refusals() (not map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.current()
	if e == nil {
		return nil
	}
	return e.RefusedOver()
}

// roundTrip is what the path's RTT is by now. The kernel's own figure dates from the last request where nothing is sent
// but acknowledgements; the receiver's estimate is longer than the path if the sender pauses by itself.
func (s *Stream) roundTrip(info channel.SocketInfo) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guarded && s.flow.Even(info.ReceiveRTT) {
		return max(info.RTT, info.ReceiveRTT)
	}
	return info.RTT
}

// Busy implements liaison.Stream.
func (s *Stream) Busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.migrating || s.closed || s.left.Why != 0
}

// Need implements liaison.Stream.
func (s *Stream) Need() manager.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := manager.Stream{
		ID: s.name(), PID: s.c.pid, Command: s.owner.Command, Interface: s.iface, Server: s.server.String(),
		Length: -1, Why: s.why().Error(),
	}
	n.Movable = n.Why == ""
	n.Held = s.asked != "" && s.asked == s.iface
	e := s.current()
	n.Active = e != nil
	if e == nil {
		e = s.last
	}
	if e != nil {
		n.URL = e.URL(s.host())
		n.Length, n.Received = e.Length(), e.Received()
		if play := s.play(e); play != nil {
			n.Buffer = play.BufferS
		}
	}
	n.Host, n.Port = s.c.reach.Host(s.place(), e.Asks())
	if k := len(s.history); k > 0 {
		n.Moved = s.history[k-1].At.Time
	}
	return n
}

// excluded says why the configuration leaves the stream alone, if it does. With s.mu.
func (s *Stream) excluded(e *exchange.Exchange) reason.Reason {
	sessions := &s.c.config.Sessions
	if len(sessions.Include)+len(sessions.Exclude) == 0 {
		return reason.Reason{}
	}
	length := int64(-1)
	if e != nil {
		length = e.Length()
	}
	host, port := s.c.reach.Host(s.place(), e.Asks())
	return sessions.Excluded(s.owner.Command, host, port, length)
}

// pointless reports whether nothing could ever be done for a stream: there is nowhere to move it, and failures are not
// to be dealt with.
func (c *Controller) pointless() bool {
	return !c.config.Failover.Enabled && netif.AtMostOne()
}

// Manager returns the interface manager of this process.
func (c *Controller) Manager() manager.Manager { return c.manager }

var _ control.Extension = (*Controller)(nil)

// Call implements control.Extension.
func (c *Controller) Call(ctx context.Context, _ *control.Peer, method string, params json.RawMessage) (any, bool, error) {
	switch method {
	case control.MethodInterfaces:
		return c.manager.Interfaces(), true, control.Params(method, params, &struct{}{})
	case control.MethodFacts:
		return c.manager.Gather(), true, control.Params(method, params, &struct{}{})
	case control.MethodRelease:
		return control.Answer(method, params, func(p control.ReleaseParams) any { return c.release(p.Session) })
	case control.MethodHold:
		return control.Answer(method, params, func(p control.ReleaseParams) any { return c.hold(p.Session) })
	case control.MethodAggregate:
		return control.Answer(method, params, func(p control.AggregateParams) any { return c.aggregate(ctx, p) })
	case control.MethodUse:
		var p control.UseParams
		if err := control.Params(method, params, &p); err != nil {
			return nil, true, err
		}
		if p.PID == c.pid {
			if p.Interface != manager.Auto && p.Interface != "" {
				if i, ok := c.manager.Interface(p.Interface); ok && i.Never {
					return nil, true, fmt.Errorf("use %s: the configuration says never", p.Interface)
				}
				if _, err := netif.ByName(p.Interface); err != nil {
					return nil, true, err
				}
			}
			c.manager.UseFor(c.pid, p.Interface)
		}
		return c.liaison.UseNow(ctx), true, nil
	}
	return nil, false, nil
}

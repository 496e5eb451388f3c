// Silence: when a stream that flowed does not any more, judged by its own history.
package controller

import (
	"sync"
	"time"

	"midstream/core/channel"
	"midstream/core/guard"
)

const (
	tick  = 25 * time.Millisecond // between looks at the counters, while any stream is guarded
	awake = time.Second           // how long they are looked at after an exchange
)

// settledMin is how many changes have to be seen before a flow counts as even.
const settledMin = 8

// sampler looks at the streams' counters while any is guarded, and for a while after each exchange; otherwise it sleeps.
type sampler struct {
	mu      sync.Mutex
	running bool
	active  time.Time // when an exchange was seen last
}

// wake has the counters looked at.
func (p *sampler) wake(c *Controller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = time.Now()
	if !p.running {
		p.running = true
		p.attend(c)
		guard.Go(func() { p.run(c) })
	}
}

// attend tells the shim whether it has to tell of every exchange. With p.mu.
func (p *sampler) attend(c *Controller) { c.shim.Looks(p.running && !c.Watched()) }

func (p *sampler) run(c *Controller) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for now := range ticker.C {
		guarded, active := 0, false
		for _, s := range c.all("") {
			active = s.lookQuiet(now) || active
			if s.sample(now) {
				guarded++
			}
		}
		if p.pause(c, now, guarded, active) {
			return
		}
	}
}

// pause reports whether there is nothing left to look at; whoever guards a stream after that look has called wake.
func (p *sampler) pause(c *Controller, now time.Time, guarded int, active bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if active {
		p.active = now
	}
	if guarded > 0 || now.Sub(p.active) < awake {
		p.attend(c)
		return false
	}
	// The shim keeps an exchange to itself only if it finds, afterwards, that this is still said.
	c.shim.Looks(false)
	for _, s := range c.all("") {
		if exchange, over := c.shim.Quiet(s.slot, s.id); exchange > 0 && !over {
			p.active = now
			p.attend(c)
			return false
		}
	}
	p.running = false
	return true
}

// sample looks at one stream; false if it is not guarded.
func (s *Stream) sample(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.current()
	if !s.guarded || e == nil {
		return false
	}
	h := &s.flow
	if s.recovering || s.migrating || s.failed != nil {
		h.restart(now)
		return true
	}
	if e.response == nil {
		if h.exchange != e.number || h.head != len(e.answer) || e.request == nil || !h.waiting {
			*h = history{exchange: e.number, heard: now, begun: now, weighed: now, head: len(e.answer), waiting: true, standby: h.standby}
			return true
		}
	} else {
		s.flows(e, now)
	}
	least := s.c.config.Failover.SuspectAfter
	switch h.judge(now, least, s.slow) {
	case confirm:
		h.asked = now
		s.c.send(s.message(channel.Ask), -1)
	case look:
		s.probe(h.answerWithin(s.slow))
	case leavePath:
		s.c.log.Info().Str("session", s.name()).Dur("for", now.Sub(h.heard)).Int64("received", h.received).Msg("its path is dead")
		guard.Go(func() { s.recover(triggerSilent) })
	case leaveServer:
		s.c.log.Info().Str("session", s.name()).Dur("for", now.Sub(h.heard)).Int64("received", h.received).Msg("its server has fallen silent")
		guard.Go(func() { s.recover(triggerSilent) })
	}
	return true
}

// flows takes the counters of a stream whose response has begun. With s.mu.
func (s *Stream) flows(e *exchange, now time.Time) {
	h := &s.flow
	received := s.received(e)
	if h.exchange != e.number || h.waiting {
		*h = history{exchange: e.number, begun: now, received: received, heard: now, weighed: now, standby: h.standby}
	}
	if received != h.received {
		if h.changes > 0 {
			h.learn(now, now.Sub(h.heard))
		}
		h.received = received
		h.hears(now)
		h.changes++
	}
	if !h.standby && (now.Sub(h.begun) > longEnough || e.length()-received > largeEnough && now.Sub(h.begun) > 4*tick) {
		if s.c.standbys.Add(1) <= maxStandbys {
			h.standby = true
			go func() {
				defer guard.Recover()
				s.keepStandby(e)
				s.mu.Lock()
				s.flow.standby = false
				s.mu.Unlock()
			}()
		} else {
			s.c.standbys.Add(-1)
		}
	}
	if quiet := now.Sub(h.heard); quiet >= tick && quiet < time.Second && h.usual < s.c.config.Failover.SuspectAfter {
		s.c.paths.ask(s.iface)
	}
}

// heed takes the kernel's report of the socket. With s.mu.
func (s *Stream) heed(m channel.Message) {
	info, err := channel.ParseInfo(m.Data)
	if err != nil {
		return
	}
	h, now := &s.flow, time.Now()
	s.slow = 2*info.RTT + 4*info.RTTVar
	h.confirmed = now
	if info.Unread > 0 || info.OutOfOrder != h.outOfLine && !h.moved {
		// The program does not read, or the network mends a loss: either way octets come.
		h.hears(now)
	}
	h.outOfLine, h.moved = info.OutOfOrder, false
}

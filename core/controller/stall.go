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

	// A stream from which nothing has been heard for long is looked at less often: after so much of that time, so that what
	// is found is not much later for it, and for every look a sleeping process has to be woken.
	seldom      = 8
	longestLook = 30 * time.Second
	unreadFor   = 2 * time.Second // a program that has not read for so long is told of when it does (channel.Stirs)
)

// settledMin is how many changes have to be seen before a flow counts as even.
const settledMin = 8

// sampler looks at the streams' counters while any is guarded, and for a while after each exchange; otherwise it sleeps.
type sampler struct {
	mu      sync.Mutex
	running bool
	active  time.Time     // when an exchange was seen last
	kick    chan struct{} // holds one while there is reason to look at once
}

func (p *sampler) init() { p.kick = make(chan struct{}, 1) }

// wake has the counters looked at.
func (p *sampler) wake(c *Controller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	slept := now.Sub(p.active) >= awake
	p.active = now
	c.liaison.Livens()
	switch {
	case !p.running:
		p.running = true
		p.attend(c)
		guard.Go(func() { p.run(c) })
	case slept:
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
}

// attend tells the shim whether it has to tell of every exchange. With p.mu.
func (p *sampler) attend(c *Controller) { c.shim.Looks(p.running && !c.Watched()) }

func (p *sampler) run(c *Controller) {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.kick:
		}
		now := time.Now()
		guarded, active, next := false, false, longestLook
		for _, s := range c.all("") {
			active = s.lookQuiet(now) || active
			if on, soon := s.sample(now); on {
				guarded, next = true, min(next, soon)
			}
		}
		wait, over := p.pause(c, now, guarded, active, next)
		if over {
			return
		}
		timer.Reset(wait)
	}
}

// pause returns how long there is nothing to be looked at; over: until wake is called. Whoever guards a stream after the last look
// has called it.
func (p *sampler) pause(c *Controller, now time.Time, guarded, active bool, next time.Duration) (wait time.Duration, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if active {
		p.active = now
		c.liaison.Livens()
	}
	if time.Since(p.active) < awake {
		p.attend(c)
		return tick, false
	}
	if guarded && next < 2*tick {
		p.attend(c)
		return next, false
	}
	// The shim keeps an exchange to itself only if it finds, afterwards, that this is still said.
	c.shim.Looks(false)
	for _, s := range c.all("") {
		if exchange, over := c.shim.Quiet(s.slot, s.id); exchange > 0 && !over {
			p.active = now
			p.attend(c)
			return tick, false
		}
	}
	p.running = guarded
	return next, !guarded
}

// sample looks at one stream, and says when it is to be looked at again; false if it is not guarded.
func (s *Stream) sample(now time.Time) (guarded bool, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.current(); s.guarded && e != nil {
		s.judge(e, now)
		quiet := now.Sub(s.flow.heard)
		if s.flow.unread && quiet > unreadFor {
			return true, longestLook
		}
		return true, s.flow.pause(now, s.c.config.Failover.SuspectAfter, s.slow)
	}
	return false, 0
}

// judge does what the stream's flow calls for. With s.mu.
func (s *Stream) judge(e *exchange, now time.Time) {
	h := &s.flow
	if s.recovering || s.migrating || s.failed != nil {
		h.restart(now)
		return
	}
	if e.Response == nil {
		if h.exchange != e.number || h.head != len(e.answer) || e.Request == nil || !h.waiting {
			*h = history{exchange: e.number, heard: now, begun: now, weighed: now, head: len(e.answer), waiting: true, standby: h.standby}
			return
		}
	} else {
		s.flows(e, now)
	}
	if h.unread {
		return // the network has brought more than the program wants
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
	if !h.standby && (now.Sub(h.begun) > longEnough || e.Length()-received > largeEnough && now.Sub(h.begun) > 4*tick) {
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
		s.c.networks.Ask(s.iface)
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
	switch {
	case info.Unread > 0 && h.unread:
	case info.Unread > 0:
		// The program does not read: until it does, the network has nothing to answer for.
		h.hears(now)
		h.unread = true
	case info.OutOfOrder != h.outOfLine && !h.moved:
		h.hears(now) // the network mends a loss
	default:
		h.unread = false
	}
	h.outOfLine, h.moved = info.OutOfOrder, false
	if s.guarded && now.Sub(h.heard) > tick {
		guard.Go(func() { s.sample(now) }) // it may have been waited for
	}
}

// Silence: when a stream that flowed does not any more, judged by its own history.
package controller

import (
	"sync"
	"time"

	"midstream/core/channel"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/recovery"
	"midstream/core/silence"
	"midstream/core/standby"
)

const (
	awake     = time.Second     // how long the counters are looked at after an exchange
	unreadFor = 2 * time.Second // a program that has not read for so long is told of when it does (channel.Stirs)
)

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
	timer := time.NewTimer(silence.Tick)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.kick:
		}
		now := time.Now()
		guarded, active, next := false, false, silence.LongestLook
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
		return silence.Tick, false
	}
	if guarded && next < 2*silence.Tick {
		p.attend(c)
		return next, false
	}
	// The shim keeps an exchange to itself only if it finds, afterwards, that this is still said.
	c.shim.Looks(false)
	for _, s := range c.all("") {
		if exchange, over := c.shim.Quiet(s.slot, s.id); exchange > 0 && !over {
			p.active = now
			p.attend(c)
			return silence.Tick, false
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
		quiet := now.Sub(s.flow.Heard)
		if s.flow.Unread && quiet > unreadFor {
			return true, silence.LongestLook
		}
		return true, s.flow.Pause(now, s.c.config.Failover.SuspectAfter, s.slow)
	}
	return false, 0
}

// judge does what the stream's flow calls for. With s.mu.
func (s *Stream) judge(e *exchange.Exchange, now time.Time) {
	h := &s.flow
	if s.recovering || s.migrating || s.failed != nil {
		h.Restart(now)
		return
	}
	if !e.Answered() {
		if h.AwaitsHead(e.Number, e.HeadLength(), e.Asked(), now) {
			return
		}
	} else {
		s.flows(e, now)
	}
	if h.Unread {
		return // the network has brought more than the program wants
	}
	least := s.c.config.Failover.SuspectAfter
	switch h.Judge(now, least, s.slow) {
	case silence.Confirm:
		h.Asked = now
		s.c.send(s.message(channel.Ask), -1)
	case silence.Look:
		s.probeAndJudge(h.AnswerWithin(s.slow))
	case silence.LeavePath:
		s.c.log.Info().Str("session", s.name()).Dur("for", now.Sub(h.Heard)).Int64("received", h.Received).Msg("its path is dead")
		guard.Go(func() { s.recover(recovery.Silent) })
	case silence.LeaveServer:
		s.c.log.Info().Str("session", s.name()).Dur("for", now.Sub(h.Heard)).Int64("received", h.Received).Msg("its server has fallen silent")
		guard.Go(func() { s.recover(recovery.Silent) })
	}
}

// flows takes the counters of a stream whose response has begun. With s.mu.
func (s *Stream) flows(e *exchange.Exchange, now time.Time) {
	h := &s.flow
	received := e.Received()
	h.Has(e.Number, received, now)
	if !h.Standby && standby.Worth(now.Sub(h.Begun), e.Length()-received) && s.c.standbys.Take() {
		h.Standby = true
		guard.Go(func() {
			s.standby.Keep(e)
			s.mu.Lock()
			s.flow.Standby = false
			s.mu.Unlock()
		})
	}
	if quiet := now.Sub(h.Heard); quiet >= silence.Tick && quiet < time.Second && h.Usual < s.c.config.Failover.SuspectAfter {
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
	h.Told(info.Unread, info.OutOfOrder, now)
	if s.guarded && now.Sub(h.Heard) > silence.Tick {
		guard.Go(func() { s.sample(now) }) // it may have been waited for
	}
}

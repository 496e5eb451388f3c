// Silence: when a stream that flowed does not any more, judged by its own history.
package controller

import (
	"time"

	"midstream/core/channel"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/recovery"
	"midstream/core/sampler"
	"midstream/core/silence"
	"midstream/core/standby"
)

// unreadFor: a program that has not read for so long is told of when it does (channel.Stirs).
const unreadFor = 2 * time.Second

// pulse is how the stream has flowed. With its mu.
type pulse struct {
	flow  silence.Flow
	quiet quiet
	slow  time.Duration // what a silence must exceed by the connection's round-trip time
}

// sampled is a stream as the sampler sees it.
type sampled struct{ *Stream }

var (
	_ sampler.Stream  = sampled{}
	_ sampler.Process = process{}
)

// Each implements sampler.Process.
func (p process) Each(look func(sampler.Stream)) {
	for _, s := range p.c.all("") {
		look(sampled{s})
	}
}

// Livens implements sampler.Process.
func (p process) Livens() { p.c.liaison.Livens() }

// Watched implements sampler.Process.
func (p process) Watched() bool { return p.c.Watched() }

// Looks implements sampler.Process.
func (p process) Looks(on bool) { p.c.shim.Looks(on) }

// Stirs implements sampler.Stream.
func (s sampled) Stirs(now time.Time) bool { return s.lookQuiet(now) }

// Judge implements sampler.Stream.
func (s sampled) Judge(now time.Time) (guarded bool, next time.Duration) { return s.sample(now) }

// Untold implements sampler.Stream.
func (s sampled) Untold() bool {
	exchange, over := s.c.shim.Quiet(s.slot, s.id)
	return exchange > 0 && !over
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

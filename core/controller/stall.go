// Silence: when a stream that flowed does not any more, judged by its own history.
package controller

import (
	"math"
	"sync"
	"time"

	"midstream/core/channel"
	"midstream/core/guard"
)

const (
	tick        = 25 * time.Millisecond // between looks at the counters, while any stream is guarded
	forgotten   = 10 * time.Second      // in which half of a pause's weight is forgotten
	settled     = 500 * time.Millisecond
	settledMin  = 8               // changes seen before a history counts
	unsettled   = 5               // times suspect_after, without a history
	longestWait = 2 * time.Minute // before any suspicion
)

// history is what a stream's flow was like. Guarded by the stream's mutex.
type history struct {
	exchange  uint64
	begun     time.Time // when this flow was first looked at
	received  int64
	changes   int
	heard     time.Time     // when octets came last, to the program or to the kernel
	usual     time.Duration // the longest silence of late, its weight halved every `forgotten`
	weighed   time.Time
	asked     time.Time
	outOfLine int       // segments after a hole, as reported last
	confirmed time.Time // when the kernel said last that nothing is waiting to be read
	alarms    int       // suspicions of late
	alarm     time.Time
	standby   bool
	waiting   bool // for the response's head
	head      int  // octets of it
	moved     bool // another socket is on the descriptor: its counters start anew
}

// restart lets the clock of silence begin now.
func (h *history) restart() {
	h.heard = time.Now()
	h.confirmed = time.Time{}
}

// alarmed takes a suspicion that has been dealt with: one that was false is a pause as any other.
func (h *history) alarmed(since time.Time, spoke bool) {
	now := time.Now()
	h.alarm = now
	h.alarms++
	if spoke {
		h.learn(now, now.Sub(since))
	}
}

// learn takes a silence that ended by itself.
func (h *history) learn(now time.Time, silence time.Duration) {
	if since := now.Sub(h.weighed); since > 0 {
		h.usual = time.Duration(float64(h.usual) * math.Exp2(-float64(since)/float64(forgotten)))
	}
	h.weighed = now
	h.usual = max(h.usual, silence)
}

// limit is how long a silence has to last before it is suspect.
func (h *history) limit(least time.Duration, info time.Duration) time.Duration {
	limit := least
	switch {
	case h.changes < settledMin || h.heard.Sub(h.begun) < settled:
		limit = unsettled * least
	case h.usual <= least:
		limit = max(least, h.usual*5/4)
	default:
		limit = 2 * h.usual
	}
	limit = max(limit, info)
	return min(limit<<min(h.alarms, 6), longestWait)
}

// sampler looks at the streams' counters while any is guarded; otherwise it sleeps.
type sampler struct {
	mu      sync.Mutex
	running bool
}

func (p *sampler) wake(c *Controller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		p.running = true
		guard.Go(func() { p.run(c) })
	}
}

func (p *sampler) run(c *Controller) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for now := range ticker.C {
		guarded := 0
		for _, s := range c.all("") {
			if s.sample(now) {
				guarded++
			}
		}
		if guarded > 0 {
			continue
		}
		p.mu.Lock()
		// Whoever guards a stream after this look starts a new run.
		for _, s := range c.all("") {
			s.mu.Lock()
			if s.guarded {
				guarded++
			}
			s.mu.Unlock()
		}
		if guarded == 0 {
			p.running = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
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
		h.restart()
		return true
	}
	if e.response == nil {
		s.unanswered(e, now)
		return true
	}
	received := s.received(e)
	if h.exchange != e.number || h.waiting {
		standby := h.standby
		*h = history{exchange: e.number, begun: now, received: received, heard: now, weighed: now, standby: standby}
	}
	if received != h.received {
		if h.changes > 0 {
			h.learn(now, now.Sub(h.heard))
		}
		h.received, h.heard = received, now
		h.changes++
		if h.alarms > 0 && now.Sub(h.alarm) > forgotten {
			h.alarms = 0
		}
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
	quiet, limit := now.Sub(h.heard), h.limit(s.c.config.Failover.SuspectAfter, s.slow)
	if quiet >= min(limit/2, limit-3*tick) && now.Sub(h.asked) >= min(max(tick, limit/8), time.Second) {
		h.asked = now
		s.c.send(s.message(channel.Ask), -1)
	}
	if s.silent() {
		s.c.log.Info().Str("session", s.name()).Dur("for", quiet).Int64("received", received).Msg("it has fallen silent")
		guard.Go(func() { s.recover(triggerSilent) })
	}
	return true
}

// How long a server may think before the request is made elsewhere as well: at least so long, and so many round trips.
// Whoever answers first is heard, so that an answer that takes its time is only asked for twice.
const (
	thinking      = 4 // times suspect_after
	thinkingTrips = 2 // times 2 RTT and its variance; both are doubled each time that nobody has answered
)

// unanswered suspects a server that has not begun to answer. With s.mu.
func (s *Stream) unanswered(e *exchange, now time.Time) {
	h := &s.flow
	if h.exchange != e.number || h.head != len(e.answer) || e.request == nil {
		alarms := h.alarms
		if h.exchange != e.number {
			alarms = 0
		}
		*h = history{exchange: e.number, heard: now, begun: now, weighed: now, head: len(e.answer), waiting: true, alarms: alarms, standby: h.standby}
		return
	}
	limit := min(max(thinking*s.c.config.Failover.SuspectAfter, thinkingTrips*s.slow)<<min(h.alarms, 6), longestWait)
	quiet := now.Sub(h.heard)
	if quiet >= limit-3*tick && now.Sub(h.asked) >= 2*tick {
		h.asked = now
		s.c.send(s.message(channel.Ask), -1)
	}
	if quiet >= limit && h.confirmed.After(h.heard) && now.Sub(h.confirmed) < 4*tick {
		s.c.log.Info().Str("session", s.name()).Dur("for", quiet).Msg("it has not been answered")
		guard.Go(func() { s.recover(triggerSilent) })
	}
}

// silent reports whether the stream has been quiet for too long. With s.mu.
func (s *Stream) silent() bool {
	h := &s.flow
	now := time.Now()
	limit := h.limit(s.c.config.Failover.SuspectAfter, s.slow)
	return now.Sub(h.heard) >= limit && h.confirmed.After(h.heard) && now.Sub(h.confirmed) < max(3*tick, limit/4)
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
		h.heard = now
	}
	h.outOfLine, h.moved = info.OutOfOrder, false
}

// The rule that tells a silent server from a dead path. When a stream is suspiciously silent, a connection without a request is
// made to the same server over the same interface: if the server's host answers it, path and host are live, and the silence is
// the server's, which may have its reasons; if nobody answers, the path is dead, and left at once.
package controller

import (
	"context"
	"errors"
	"math"
	"syscall"
	"time"

	"midstream/core/dial"
	"midstream/core/guard"
)

const (
	forgotten   = 10 * time.Second // in which half of a pause's weight is forgotten
	longestWait = 2 * time.Minute  // before any suspicion

	steadyFor   = 1500 * time.Millisecond // a stream that has flowed for so long without
	steadyPause = 100 * time.Millisecond  // such a pause has no reason to fall silent
	burst       = 1100 * time.Millisecond // of any other, a server may be silent for so long: many pace themselves by the second

	// nginx, which counts whole seconds, sends up to two seconds' worth at once and then pauses for as long: so do others that
	// have sent no more than one burst, or whose pauses are known to be long.
	longPause = 500 * time.Millisecond

	probeLeast = 60 * time.Millisecond // for the answer to a probe, or twice the round trip and its variance
	probeAgain = time.Second           // between two probes in one silence, at least

	// Before the answer has begun nothing is urgent, and a mistake would repeat a request: a server is looked for only after
	// so many times suspect_after, and its SYN is sent again at least once (RFC 6298: after a second).
	thinking      = 4
	probeThinking = 1300 * time.Millisecond
)

// verdict is what a probe has found out about the path.
type verdict int

const (
	unknown verdict = iota
	live
	dead
)

// action is what a silence calls for.
type action int

const (
	wait        action = iota
	confirm            // ask the kernel whether anything waits to be read
	look               // make a probe
	leaveServer        // ask for the rest elsewhere
	leavePath          // the same, in haste
)

// history is what a stream's flow was like. Guarded by the stream's mutex.
type history struct {
	exchange  uint64
	begun     time.Time // when this flow was first looked at
	paused    time.Time // when a pause of steadyPause or more ended last
	received  int64
	changes   int
	heard     time.Time     // when octets came last, to the program or to the kernel
	usual     time.Duration // the longest silence of late, its weight halved every `forgotten`
	weighed   time.Time
	outOfLine int       // segments after a hole, as reported last
	asked     time.Time // when the kernel was asked last
	confirmed time.Time // when it said last that nothing is waiting to be read
	alarms    int       // suspicions of late that were wrong
	alarm     time.Time
	standby   bool
	waiting   bool // for the response's head
	head      int  // octets of it
	moved     bool // another socket is on the descriptor: its counters start anew
	unread    bool // the kernel has octets for the program, which has not read any since

	probed  time.Time // when the last probe of this silence was begun, zero if there was none
	probing bool      // it is under way
	verdict verdict   // of the last one
}

// hears takes octets that have come.
func (h *history) hears(now time.Time) {
	h.heard, h.unread = now, false
	h.probed, h.verdict = time.Time{}, unknown
}

// restart lets the clock of silence begin now.
func (h *history) restart(now time.Time) {
	h.hears(now)
	h.confirmed = time.Time{}
}

// alarmed takes a suspicion that has been dealt with: one that was wrong is a pause as any other, and makes the next slower.
func (h *history) alarmed(now, since time.Time, spoke bool) {
	if spoke {
		h.alarm = now
		h.alarms++
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
	if silence >= steadyPause {
		h.paused = now
	}
	if h.alarms > 0 && now.Sub(h.alarm) > forgotten {
		h.alarms = 0
	}
}

// suspect is how long a silence has to last before the path is suspected. least is suspect_after; trips is what a silence must
// exceed by the connection's round-trip time.
func (h *history) suspect(least, trips time.Duration) time.Duration {
	limit := max(least, h.usual*5/4, trips)
	if h.waiting {
		limit = max(thinking*least, 2*trips)
	}
	return min(limit<<min(h.alarms, 6), longestWait)
}

// patience is how long a server may be silent whose host is live.
func (h *history) patience(least, trips time.Duration) time.Duration {
	limit := h.suspect(least, trips)
	steady := !h.begun.IsZero() && h.heard.Sub(h.begun) >= steadyFor && h.heard.Sub(h.paused) >= steadyFor
	switch {
	case h.changes < settledMin, h.usual > longPause:
		limit = max(limit, 2*burst, h.usual*9/4)
	case !steady, h.usual > least:
		limit = max(limit, burst, h.usual*3/2)
	}
	return limit
}

// answerWithin is how long the answer to a probe is waited for.
func (h *history) answerWithin(trips time.Duration) time.Duration {
	if h.waiting {
		return max(probeThinking, 2*trips)
	}
	return max(probeLeast, trips)
}

// judge says what the silence calls for now.
func (h *history) judge(now time.Time, least, trips time.Duration) action {
	quiet := now.Sub(h.heard)
	due, soon := h.due(now, quiet, least, trips)
	if due == wait && !soon || h.confirmed.After(h.heard) && now.Sub(h.confirmed) < max(3*tick, quiet/4) {
		return due
	}
	if now.Sub(h.asked) < tick {
		return wait
	}
	return confirm
}

// due is what a silence calls for that the kernel has confirmed; soon: it may call for something soon.
func (h *history) due(now time.Time, quiet, least, trips time.Duration) (due action, soon bool) {
	suspect, begin := h.suspect(least, trips), h.begins(least, trips)
	switch {
	case h.probing:
	case h.probed.IsZero() && quiet >= begin:
		return look, true
	case h.probed.IsZero():
	case h.verdict == dead:
		if quiet >= suspect {
			return leavePath, true
		}
	case !h.waiting && quiet >= h.patience(least, trips):
		return leaveServer, true
	case now.Sub(h.probed) >= max(probeAgain, h.probed.Sub(h.heard)):
		return look, true // the path may have died meanwhile
	}
	return wait, quiet >= begin/2
}

// begins is after how long a silence is looked into: a probe begins so early that its answer is there, or overdue, by the time that
// the path is suspected.
func (h *history) begins(least, trips time.Duration) time.Duration {
	suspect := h.suspect(least, trips)
	if h.waiting {
		return suspect
	}
	return max(suspect-h.answerWithin(trips), suspect/2, min(h.usual*11/10, suspect))
}

// pause is how long the silence is not looked at again, if nothing happens: not beyond when it calls for something that it does not
// call for now.
func (h *history) pause(now time.Time, least, trips time.Duration) time.Duration {
	quiet, due := now.Sub(h.heard), time.Duration(0)
	switch {
	case h.probing:
	case h.probed.IsZero():
		due = h.begins(least, trips)
	case h.verdict == dead:
		due = h.suspect(least, trips)
	case !h.waiting:
		due = h.patience(least, trips)
	}
	pause := min(max(quiet/seldom, tick), longestLook)
	if due > quiet {
		return min(pause, due-quiet)
	}
	return pause
}

// probe looks for the server's host over the stream's interface, and has the stream judged anew. With s.mu.
func (s *Stream) probe(limit time.Duration) {
	h := &s.flow
	h.probed, h.probing = time.Now(), true
	number, heard := h.exchange, h.heard
	guard.Go(func() {
		v := s.lookForServer(context.Background(), limit)
		s.mu.Lock()
		h.probing = false
		if h.exchange == number && h.heard == heard {
			h.verdict = v
		}
		s.mu.Unlock()
		s.sample(time.Now())
	})
}

// lookForServer makes a connection to the server in use, over the interface in use, and ends it without a word.
func (s *Stream) lookForServer(ctx context.Context, limit time.Duration) verdict {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	iface, server := s.where()
	conn, err := dial.Race(ctx, dial.Candidates(server), server, dial.Options{Device: iface})
	if err == nil {
		conn.Close()
	}
	v := verdictOf(ctx, err)
	s.c.log.Debug().Str("session", s.name()).Str("over", iface).Bool("live", v == live).Bool("dead", v == dead).Err(err).Msg("looked for the server")
	return v
}

// verdictOf says what an attempt to connect has shown of the path.
func verdictOf(ctx context.Context, err error) verdict {
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return live
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.ENODEV):
		return dead
	}
	return unknown
}

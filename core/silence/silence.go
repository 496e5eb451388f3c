// Package silence has the rule that tells a silent server from a dead path. When a stream is suspiciously silent, a connection
// without a request is made to the same server over the same interface: if the server's host answers it, path and host are live, and
// the silence is the server's, which may have its reasons; if nobody answers, the path is dead, and left at once. The rule knows no
// clock and no stream: it is told of both.
package silence

import (
	"context"
	"errors"
	"math"
	"syscall"
	"time"
)

const (
	// Tick is the time between two looks at the counters of streams.
	Tick = 25 * time.Millisecond

	// A stream from which nothing has been heard for long is looked at less often: after so much of that time, so that what
	// is found is not much later for it, and for every look a sleeping process has to be woken.
	seldom      = 8
	LongestLook = 30 * time.Second

	// settledMin is how many changes have to be seen before a flow counts as even.
	settledMin = 8

	forgotten   = 10 * time.Second // in which half of a pause's weight is forgotten
	longestWait = 2 * time.Minute  // before any suspicion

	steadyFor   = 1500 * time.Millisecond // a stream that has flowed for so long without
	steadyPause = 100 * time.Millisecond  // such a pause has no reason to fall silent
	Burst       = 1100 * time.Millisecond // of any other, a server may be silent for so long: many pace themselves by the second

	// nginx, which counts whole seconds, sends up to two seconds' worth at once and then pauses for as long: so do others that
	// have sent no more than one burst, or whose pauses are known to be long.
	longPause = 500 * time.Millisecond

	probeLeast = 60 * time.Millisecond // for the answer to a probe, or twice the round trip and its variance
	probeAgain = time.Second           // between two probes in one silence, at least

	// Before the answer has begun nothing is urgent, and a mistake would repeat a request: a server is looked for only after
	// so many times suspect_after, and its SYN is sent again at least once (RFC 6298: after a second).
	Thinking      = 4
	ProbeThinking = 1300 * time.Millisecond
)

// Verdict is what a probe has found out about the path.
type Verdict int

const (
	Unknown Verdict = iota
	Live
	Dead
)

// Action is what a silence calls for.
type Action int

const (
	Wait        Action = iota
	Confirm            // ask the kernel whether anything waits to be read
	Look               // make a probe
	LeaveServer        // ask for the rest elsewhere
	LeavePath          // the same, in haste
)

// Flow is what a stream's flow was like. Standby is its owner's: one is kept for the stream.
type Flow struct {
	Exchange  uint64
	Begun     time.Time // when this flow was first looked at
	Paused    time.Time // when a pause of steadyPause or more ended last
	Received  int64
	Changes   int
	Heard     time.Time     // when octets came last, to the program or to the kernel
	Usual     time.Duration // the longest silence of late, its weight halved every `forgotten`
	Weighed   time.Time
	OutOfLine int       // segments after a hole, as reported last
	Asked     time.Time // when the kernel was asked last
	Confirmed time.Time // when it said last that nothing is waiting to be read
	Alarms    int       // suspicions of late that were wrong
	Alarm     time.Time
	Standby   bool
	Waiting   bool // for the response's head
	Head      int  // octets of it
	Moved     bool // another socket is on the descriptor: its counters start anew
	Unread    bool // the kernel has octets for the program, which has not read any since

	Probed  time.Time // when the last probe of this silence was begun, zero if there was none
	Probing bool      // it is under way
	Verdict Verdict   // of the last one
}

// Hears takes octets that have come.
func (h *Flow) Hears(now time.Time) {
	h.Heard, h.Unread = now, false
	h.Probed, h.Verdict = time.Time{}, Unknown
}

// Restart lets the clock of silence begin now.
func (h *Flow) Restart(now time.Time) {
	h.Hears(now)
	h.Confirmed = time.Time{}
}

// Alarmed takes a suspicion that has been dealt with: one that was wrong is a pause as any other, and makes the next slower.
func (h *Flow) Alarmed(now, since time.Time, spoke bool) {
	if spoke {
		h.Alarm = now
		h.Alarms++
		h.Learn(now, now.Sub(since))
	}
}

// Learn takes a silence that ended by itself.
func (h *Flow) Learn(now time.Time, silence time.Duration) {
	if since := now.Sub(h.Weighed); since > 0 {
		h.Usual = time.Duration(float64(h.Usual) * math.Exp2(-float64(since)/float64(forgotten)))
	}
	h.Weighed = now
	h.Usual = max(h.Usual, silence)
	if silence >= steadyPause {
		h.Paused = now
	}
	if h.Alarms > 0 && now.Sub(h.Alarm) > forgotten {
		h.Alarms = 0
	}
}

// Suspect is how long a silence has to last before the path is suspected. least is suspect_after; trips is what a silence must
// exceed by the connection's round-trip time.
func (h *Flow) Suspect(least, trips time.Duration) time.Duration {
	limit := max(least, h.Usual*5/4, trips)
	if h.Waiting {
		limit = max(Thinking*least, 2*trips)
	}
	return min(limit<<min(h.Alarms, 6), longestWait)
}

// Patience is how long a server may be silent whose host is live.
func (h *Flow) Patience(least, trips time.Duration) time.Duration {
	limit := h.Suspect(least, trips)
	steady := !h.Begun.IsZero() && h.Heard.Sub(h.Begun) >= steadyFor && h.Heard.Sub(h.Paused) >= steadyFor
	switch {
	case h.Changes < settledMin, h.Usual > longPause:
		limit = max(limit, 2*Burst, h.Usual*9/4)
	case !steady, h.Usual > least:
		limit = max(limit, Burst, h.Usual*3/2)
	}
	return limit
}

// AnswerWithin is how long the answer to a probe is waited for.
func (h *Flow) AnswerWithin(trips time.Duration) time.Duration {
	if h.Waiting {
		return max(ProbeThinking, 2*trips)
	}
	return max(probeLeast, trips)
}

// Judge says what the silence calls for now.
func (h *Flow) Judge(now time.Time, least, trips time.Duration) Action {
	quiet := now.Sub(h.Heard)
	due, soon := h.due(now, quiet, least, trips)
	if due == Wait && !soon || h.Confirmed.After(h.Heard) && now.Sub(h.Confirmed) < max(3*Tick, quiet/4) {
		return due
	}
	if now.Sub(h.Asked) < Tick {
		return Wait
	}
	return Confirm
}

// due is what a silence calls for that the kernel has confirmed; soon: it may call for something soon.
func (h *Flow) due(now time.Time, quiet, least, trips time.Duration) (due Action, soon bool) {
	suspect, begin := h.Suspect(least, trips), h.begins(least, trips)
	switch {
	case h.Probing:
	case h.Probed.IsZero() && quiet >= begin:
		return Look, true
	case h.Probed.IsZero():
	case h.Verdict == Dead:
		if quiet >= suspect {
			return LeavePath, true
		}
	case !h.Waiting && quiet >= h.Patience(least, trips):
		return LeaveServer, true
	case now.Sub(h.Probed) >= max(probeAgain, h.Probed.Sub(h.Heard)):
		return Look, true // the path may have died meanwhile
	}
	return Wait, quiet >= begin/2
}

// begins is after how long a silence is looked into: a probe begins so early that its answer is there, or overdue, by the time that
// the path is suspected.
func (h *Flow) begins(least, trips time.Duration) time.Duration {
	suspect := h.Suspect(least, trips)
	if h.Waiting {
		return suspect
	}
	return max(suspect-h.AnswerWithin(trips), suspect/2, min(h.Usual*11/10, suspect))
}

// Pause is how long the silence is not looked at again, if nothing happens: not beyond when it calls for something that it does not
// call for now.
func (h *Flow) Pause(now time.Time, least, trips time.Duration) time.Duration {
	quiet, due := now.Sub(h.Heard), time.Duration(0)
	switch {
	case h.Probing:
	case h.Probed.IsZero():
		due = h.begins(least, trips)
	case h.Verdict == Dead:
		due = h.Suspect(least, trips)
	case !h.Waiting:
		due = h.Patience(least, trips)
	}
	pause := min(max(quiet/seldom, Tick), LongestLook)
	if due > quiet {
		return min(pause, due-quiet)
	}
	return pause
}

// VerdictOf says what an attempt to connect has shown of the path.
func VerdictOf(ctx context.Context, err error) Verdict {
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return Live
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.ENODEV):
		return Dead
	}
	return Unknown
}

// AwaitsHead takes that the response's head, of which the program has had head octets, has not ended. asked: its request is complete.
// It reports whether something has come, or could not have come yet.
func (h *Flow) AwaitsHead(exchange uint64, head int, asked bool, now time.Time) bool {
	if h.Exchange == exchange && h.Head == head && asked && h.Waiting {
		return false
	}
	*h = Flow{Exchange: exchange, Heard: now, Begun: now, Weighed: now, Head: head, Waiting: true, Standby: h.Standby}
	return true
}

// Has takes how much of the response's content the program has received.
func (h *Flow) Has(exchange uint64, received int64, now time.Time) {
	if h.Exchange != exchange || h.Waiting {
		*h = Flow{Exchange: exchange, Begun: now, Received: received, Heard: now, Weighed: now, Standby: h.Standby}
	}
	if received == h.Received {
		return
	}
	if h.Changes > 0 {
		h.Learn(now, now.Sub(h.Heard))
	}
	h.Received = received
	h.Hears(now)
	h.Changes++
}

// Told takes the kernel's report of the socket: octets that the program has not read, and segments after a hole.
func (h *Flow) Told(unread, outOfOrder int, now time.Time) {
	h.Confirmed = now
	switch {
	case unread > 0 && h.Unread:
	case unread > 0:
		// The program does not read: until it does, the network has nothing to answer for.
		h.Hears(now)
		h.Unread = true
	case outOfOrder != h.OutOfLine && !h.Moved:
		h.Hears(now) // the network mends a loss
	default:
		h.Unread = false
	}
	h.OutOfLine, h.Moved = outOfOrder, false
}

// Even reports whether octets come so regularly that they say something of the path's round trip, for which the kernel has an estimate.
func (h *Flow) Even(estimate time.Duration) bool {
	return h.Changes >= settledMin && h.Usual <= max(2*Tick, estimate/2)
}

// Stands reports whether what was found still holds: nothing has come since.
func (h *Flow) Stands(exchange uint64, waiting bool, received int64, head int) bool {
	return h.Waiting == waiting && h.Exchange == exchange && received == h.Received && (h.Head == 0 || h.Head == head)
}

// Probes notes that a probe is begun now; what it returns is to be called with its verdict.
func (h *Flow) Probes(now time.Time) (found func(Verdict)) {
	h.Probed, h.Probing = now, true
	exchange, heard := h.Exchange, h.Heard
	return func(v Verdict) {
		h.Probing = false
		if h.Exchange == exchange && h.Heard == heard {
			h.Verdict = v
		}
	}
}

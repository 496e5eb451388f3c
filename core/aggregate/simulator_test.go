// A simulator of networks for tests of the rules: packets, queues that drop at their tail, TCP senders with CUBIC, HyStart
// and SACK. Time is counted, not waited for, so results are the same on any machine.
package aggregate

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	segment   = 1448                   // octets of content in a full packet; rates of links are those of content
	queueTime = 50 * time.Millisecond  // a queue drops what would wait longer
	leastRTO  = 200 * time.Millisecond // as Linux has it
	firstCwnd = 10                     // packets, RFC 6928
	headSize  = 250                    // octets of an answer's head
)

// world runs events in the order of their time.
type world struct {
	now    time.Duration
	events []event // a heap
	order  uint32
	random *rand.Rand
}

type eventKind uint8

const (
	packetArrives eventKind = iota // at the client
	ackArrives                     // at the server
	requestArrives
	retransmissionTimer
	connected
	clientTimer
	connectAgain
)

type event struct {
	at    time.Duration
	order uint32
	kind  eventKind
	conn  *simConn
	a, b  int
}

func (w *world) push(e event) {
	w.order++
	e.order = w.order
	w.events = append(w.events, e)
	for i := len(w.events) - 1; i > 0; {
		up := (i - 1) / 2
		if !w.events[i].before(&w.events[up]) {
			break
		}
		w.events[i], w.events[up] = w.events[up], w.events[i]
		i = up
	}
}

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.order < f.order }

func (w *world) pop() (event, bool) {
	if len(w.events) == 0 {
		return event{}, false
	}
	first, n := w.events[0], len(w.events)-1
	w.events[0] = w.events[n]
	w.events = w.events[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if w.events[c].before(&w.events[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		w.events[i], w.events[least] = w.events[least], w.events[i]
		i = least
	}
	return first, true
}

// link is a network's narrowest place and its delay. Only what comes to the client queues.
type link struct {
	rtt  time.Duration
	rate func(at time.Duration) float64 // octets a second; 0: everything is lost, in both directions
	loss float64                        // of packets to the client
	free time.Duration                  // when the last packet of the queue has left
}

func megabits(n float64) float64 { return n * 1e6 / 8 }

func steady(mbit float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return megabits(mbit) }
}

// send puts a packet into the queue and returns when it arrives; ok is false where it is lost.
func (l *link) send(w *world, octets int) (at time.Duration, ok bool) {
	rate := l.rate(w.now)
	if rate == 0 || l.loss > 0 && w.random.Float64() < l.loss {
		return 0, false
	}
	room := max(queueTime, time.Duration(10*segment/rate*float64(time.Second)))
	if l.free > w.now+room {
		return 0, false
	}
	// Some packets take longer than others, so that runs with other seeds differ.
	l.free = max(l.free, w.now) + time.Duration(float64(octets)/rate*float64(time.Second)*(0.9+0.2*w.random.Float64()))
	return l.free + l.rtt/2, true
}

// simConn is a TCP connection of the client's to a server behind the link. The server answers requests in their order.
type simConn struct {
	w       *world
	l       *link
	deliver func(octets int) // octets arrive in order at the client; of heads and content
	closed  bool             // by the client: events that are still to come mean nothing

	// The server.
	toSend                 int // octets of answers not yet in packets
	sizes                  []int32
	state                  []uint8 // of each packet
	sentAt                 []time.Duration
	base                   int // packets before are acknowledged
	highest                int // the highest packet acknowledged, + 1
	lost                   int // packets marked lost and not sent again
	pipe                   int // packets under way
	cwnd                   float64
	ssthresh               float64
	recover                int // packets sent before the present reduction; no further reduction until they are acknowledged
	recovering             bool
	srtt, rttvar, leastRTT time.Duration
	rto                    time.Duration
	rtoAt                  time.Duration
	rtoPending             bool
	probed                 bool // since the last acknowledgement
	lastSent               time.Duration
	limited                bool // by cwnd, when last looked at
	roundEnd               int
	roundRTT               time.Duration
	roundCount             int
	lastRound              time.Duration
	epoch                  time.Duration
	wMax, k                float64
	origin, est            float64

	// The client.
	next     int // packets before it have been delivered
	arrived  []bool
	connects time.Duration
}

const (
	outstanding uint8 = iota
	acknowledged
	markedLost
	sentAgain
)

// connect begins a connection; up is called when it is there.
func (w *world) connect(l *link, deliver func(int)) *simConn {
	c := &simConn{w: w, l: l, deliver: deliver, cwnd: firstCwnd, ssthresh: math.MaxFloat64, rto: time.Second, leastRTT: time.Hour}
	w.syn(c)
	return c
}

// syn is lost while the link is down, and sent again.
func (w *world) syn(c *simConn) {
	if c.l.rate(w.now) > 0 {
		w.push(event{at: w.now + c.l.rtt, kind: connected, conn: c})
	} else {
		w.push(event{at: w.now + time.Second, kind: connectAgain, conn: c})
	}
}

// request sends a request for so many octets of content.
func (c *simConn) request(octets int) {
	if c.l.rate(c.w.now) > 0 {
		c.w.push(event{at: c.w.now + c.l.rtt/2, kind: requestArrives, conn: c, a: octets + headSize})
	}
}

func (c *simConn) handle(e event) {
	if c.closed {
		return
	}
	switch e.kind {
	case connectAgain:
		c.w.syn(c)
	case requestArrives:
		if c.l.rate(c.w.now) == 0 {
			return
		}
		if idle := c.w.now - c.lastSent; c.pipe == 0 && c.toSend == 0 && c.base > 0 {
			for ; idle > c.rto && c.cwnd > firstCwnd; idle -= c.rto { // RFC 2861
				c.ssthresh = max(c.ssthresh, 3*c.cwnd/4)
				c.cwnd = max(c.cwnd/2, firstCwnd)
			}
			c.epoch = 0
		}
		c.toSend += e.a
		c.transmit()
	case packetArrives:
		if c.l.rate(c.w.now) == 0 {
			return
		}
		for len(c.arrived) <= e.a {
			c.arrived = append(c.arrived, false)
		}
		c.arrived[e.a] = true
		octets := 0
		for c.next < len(c.arrived) && c.arrived[c.next] {
			octets += int(c.sizes[c.next])
			c.next++
		}
		c.w.push(event{at: c.w.now + c.l.rtt/2, kind: ackArrives, conn: c, a: c.next, b: e.a})
		if octets > 0 {
			c.deliver(octets)
		}
	case ackArrives:
		if c.l.rate(c.w.now) > 0 {
			c.acked(e.a, e.b)
			c.transmit()
		}
	case retransmissionTimer:
		c.rtoPending = false
		switch {
		case c.base == len(c.sizes):
		case c.w.now < c.due():
			c.arm()
		case !c.probed:
			// The loss of the last packets shows by a probe (RFC 8985, TLP).
			c.probed = true
			if last := len(c.sizes) - 1; c.state[last] == outstanding || c.state[last] == sentAgain {
				c.pipe--
				c.state[last] = sentAgain
				c.emit(last)
			}
			c.arm()
		default:
			c.timeout()
		}
	}
}

func (c *simConn) arm() {
	if !c.rtoPending {
		c.rtoPending = true
		c.w.push(event{at: max(c.due(), c.w.now), kind: retransmissionTimer, conn: c})
	}
}

// due is when the next timer fires: the probe's, or else that of the time-out.
func (c *simConn) due() time.Duration {
	if !c.probed && !c.recovering && c.srtt > 0 {
		return min(c.rtoAt, c.rtoAt-c.rto+2*c.srtt)
	}
	c.probed = true
	return c.rtoAt
}

func (c *simConn) timeout() {
	for i := c.base; i < len(c.sizes); i++ {
		if c.state[i] == outstanding || c.state[i] == sentAgain {
			c.state[i] = markedLost
			c.lost++
		}
	}
	c.pipe = 0
	c.ssthresh = max(c.cwnd*0.7, 2)
	c.cwnd = 1
	c.recovering, c.recover, c.epoch = true, len(c.sizes), 0
	c.rto = min(2*c.rto, 2*time.Minute)
	c.rtoAt = c.w.now + c.rto
	c.transmit()
	c.arm()
}

// emit sends the packet i.
func (c *simConn) emit(i int) {
	c.sentAt[i], c.lastSent = c.w.now, c.w.now
	c.pipe++
	if at, ok := c.l.send(c.w, int(c.sizes[i])); ok {
		c.w.push(event{at: at, kind: packetArrives, conn: c, a: i})
	}
	if c.pipe == 1 {
		c.rtoAt = c.w.now + c.rto
	}
	c.arm()
}

func (c *simConn) transmit() {
	for i := c.base; c.lost > 0 && c.pipe < int(c.cwnd) && i < c.highestSent(); i++ {
		if c.state[i] == markedLost {
			c.state[i] = sentAgain
			c.lost--
			c.emit(i)
		}
	}
	for c.pipe < int(c.cwnd) && c.toSend > 0 && c.lost == 0 {
		n := min(c.toSend, segment)
		c.toSend -= n
		c.sizes = append(c.sizes, int32(n))
		c.state = append(c.state, outstanding)
		c.sentAt = append(c.sentAt, 0)
		c.emit(len(c.sizes) - 1)
	}
	c.limited = c.pipe >= int(c.cwnd)
}

func (c *simConn) highestSent() int { return len(c.sizes) }

// acked takes an acknowledgement of all before cumulative, and of one packet.
func (c *simConn) acked(cumulative, one int) {
	news := 0
	take := func(i int) {
		switch c.state[i] {
		case acknowledged:
			return
		case markedLost:
			c.lost--
		default:
			c.pipe--
		}
		if c.state[i] == outstanding && i == one {
			c.sampled(c.w.now - c.sentAt[i])
		}
		c.state[i] = acknowledged
		news++
	}
	if one >= c.base {
		take(one)
		c.highest = max(c.highest, one+1)
	}
	for ; c.base < cumulative; c.base++ {
		take(c.base)
	}
	c.highest = max(c.highest, c.base)
	if news == 0 {
		return
	}
	c.rtoAt, c.probed = c.w.now+c.rto, false
	if c.recovering && c.base >= c.recover {
		c.recovering = false
	}
	// What was sent before something that has arrived, by three packets or a quarter of a round trip, is lost (RFC 8985).
	reorder := c.leastRTT / 4
	for i := c.base; i < c.highest-3; i++ {
		gone := c.state[i] == outstanding || c.state[i] == sentAgain && c.sentAt[i]+c.srtt+reorder < c.sentAt[one]
		if c.state[i] == sentAgain && c.w.now-c.sentAt[i] > c.srtt+2*c.rttvar+reorder+20*time.Millisecond {
			gone = true
		}
		if gone {
			c.state[i] = markedLost
			c.lost++
			c.pipe--
		}
	}
	switch {
	case c.lost > 0 && !c.recovering:
		c.reduce()
	case c.recovering && c.cwnd >= c.ssthresh:
	case c.cwnd < c.ssthresh:
		if c.limited {
			c.cwnd = min(c.cwnd+float64(news), max(c.ssthresh, c.cwnd))
		}
	case c.limited:
		c.cubic(news)
	}
}

// sampled takes a round trip's time; HyStart (RFC 9406 without its ++) ends slow start where it grows.
func (c *simConn) sampled(rtt time.Duration) {
	if c.srtt == 0 {
		c.srtt, c.rttvar = rtt, rtt/2
	} else {
		c.rttvar = (3*c.rttvar + max(c.srtt-rtt, rtt-c.srtt)) / 4
		c.srtt = (7*c.srtt + rtt) / 8
	}
	c.leastRTT = min(c.leastRTT, rtt)
	c.rto = c.srtt + max(4*c.rttvar, leastRTO)
	if c.base >= c.roundEnd {
		c.roundEnd, c.lastRound, c.roundRTT, c.roundCount = len(c.sizes), c.roundRTT, time.Hour, 0
	}
	c.roundCount++
	c.roundRTT = min(c.roundRTT, rtt)
	if c.cwnd < c.ssthresh && c.cwnd >= 16 && c.roundCount == 8 {
		if c.roundRTT >= c.leastRTT+min(max(c.leastRTT/8, 4*time.Millisecond), 16*time.Millisecond) {
			c.ssthresh = c.cwnd
		}
	}
}

func (c *simConn) reduce() {
	c.epoch = 0
	if c.cwnd < c.wMax {
		c.wMax = c.cwnd * 0.85
	} else {
		c.wMax = c.cwnd
	}
	c.ssthresh = max(c.cwnd*0.7, 2)
	c.cwnd = c.ssthresh
	c.recovering, c.recover = true, len(c.sizes)
}

// cubic is RFC 9438's growth.
func (c *simConn) cubic(news int) {
	if c.epoch == 0 {
		c.epoch = c.w.now
		c.k, c.origin = 0, c.cwnd
		if c.cwnd < c.wMax {
			c.k, c.origin = math.Cbrt((c.wMax-c.cwnd)/0.4), c.wMax
		}
		c.est = c.cwnd
	}
	t := (c.w.now - c.epoch + c.srtt).Seconds() - c.k
	target := min(c.origin+0.4*t*t*t, 1.5*c.cwnd)
	c.est += 0.529 * float64(news) / c.cwnd
	if c.est > target {
		target = c.est
	}
	if target > c.cwnd {
		c.cwnd += (target - c.cwnd) / c.cwnd * float64(news)
	} else {
		c.cwnd += 0.01 * float64(news) / c.cwnd
	}
}

// How far ahead of the program a new server is asked for the rest of an exchange.
package resume

import "time"

// slack is what is added to the look-ahead: time for the answer's head to be checked and the hand-over to be
// prepared, in which the old connection goes on delivering.
const slack = 3 * time.Millisecond

// initialWindow is how many octets a server sends in the first round trip: ten segments (RFC 6928) that are not quite full.
const initialWindow = int64(14 << 10)

// longestRamp bounds for how long a new connection is left to itself to get up to speed.
const longestRamp = time.Second

// LookAhead says how far ahead a server is to be asked.
type LookAhead struct {
	Rate   float64       // of the old connection, octets a second
	RTT    time.Duration // of the new one
	Wait   time.Duration // until the answer's first octet, as far as is known: rtt at least
	Factor float64       // migration.look_ahead
	Left   int64         // octets still to come, or relay.Unknown
	// Room makes room in the receive buffer for so many octets, and returns for how many there is room.
	Room func(int64) int64
}

// Octets returns how many octets the program is going to receive from the old connection until the new one can take its
// place.
//
// It is the time up to the answer's first octet, a round trip, times the configured factor; and then the time in which the
// new connection becomes as fast as the old one. In slow start it delivers a burst in each round trip, twice as large as
// the last one (RFC 5681, section 3.1): a program that has been handed it waits from one burst to the next, while it still
// has another connection that delivers all the time. What comes meanwhile waits in the receive buffer. Where that has no
// room for it, or too little is left of the content, the hand-over comes a few bursts earlier.
func (l LookAhead) Octets() int64 {
	answered := int64(l.Rate * (l.Wait.Seconds()*l.Factor + slack.Seconds()))
	flight := int64(l.Rate * l.RTT.Seconds()) // what is under way on a connection that is as fast
	bursts := 0
	for bursts < int(longestRamp/max(l.RTT, 1)) && initialWindow<<bursts < flight {
		bursts++
	}
	if bursts == 0 {
		return answered
	}
	for room := l.Room(initialWindow<<bursts + flight); bursts > 0; bursts-- {
		ahead, buffered := answered+int64(bursts)*flight, initialWindow<<bursts
		if buffered <= room && (l.Left < 0 || ahead+buffered < l.Left) {
			return ahead
		}
	}
	return answered
}

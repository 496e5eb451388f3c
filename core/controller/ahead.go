// How far ahead of the program a new server is asked for the rest of an exchange.
package controller

import "time"

// slack is what is added to the look-ahead: time for the answer's head to be checked and the hand-over to be
// prepared, in which the old connection goes on delivering.
const slack = 3 * time.Millisecond

// initialWindow is how many octets a server sends in the first round trip: ten segments (RFC 6928) that are not quite full.
const initialWindow = int64(14 << 10)

// longestRamp bounds for how long a new connection is left to itself to get up to speed.
const longestRamp = time.Second

// lookAhead says how far ahead a server is to be asked.
type lookAhead struct {
	rate   float64       // of the old connection, octets a second
	rtt    time.Duration // of the new one
	wait   time.Duration // until the answer's first octet, as far as is known: rtt at least
	factor float64       // migration.look_ahead
	left   int64         // octets still to come, or relay.Unknown
	// room makes room in the receive buffer for so many octets, and returns for how many there is room.
	room func(int64) int64
}

// octets returns how many octets the program is going to receive from the old connection until the new one can take its
// place.
//
// It is the time up to the answer's first octet, a round trip, times the configured factor; and then the time in which the
// new connection becomes as fast as the old one. In slow start it delivers a burst in each round trip, twice as large as
// the last one (RFC 5681, section 3.1): a program that has been handed it waits from one burst to the next, while it still
// has another connection that delivers all the time. What comes meanwhile waits in the receive buffer. Where that has no
// room for it, or too little is left of the content, the hand-over comes a few bursts earlier.
func (l lookAhead) octets() int64 {
	answered := int64(l.rate * (l.wait.Seconds()*l.factor + slack.Seconds()))
	flight := int64(l.rate * l.rtt.Seconds()) // what is under way on a connection that is as fast
	bursts := 0
	for bursts < int(longestRamp/max(l.rtt, 1)) && initialWindow<<bursts < flight {
		bursts++
	}
	if bursts == 0 {
		return answered
	}
	for room := l.room(initialWindow<<bursts + flight); bursts > 0; bursts-- {
		ahead, buffered := answered+int64(bursts)*flight, initialWindow<<bursts
		if buffered <= room && (l.left < 0 || ahead+buffered < l.left) {
			return ahead
		}
	}
	return answered
}

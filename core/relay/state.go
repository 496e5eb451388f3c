// The states of a relay.
package relay

import (
	"fmt"
	"slices"
	"sync"
)

// State is what a relay is doing.
type State int

const (
	// Placed: the program's end of the pair is on the descriptor; nothing has come through it.
	Placed State = iota
	// Feeding: the rest of the response in progress is handed on, in the framing that the program has begun to read.
	Feeding
	// Passing: later responses are passed on untouched, or the next request is waited for with its connection open.
	Passing
	// Waiting: as Passing, without a connection; the program's next request makes one.
	Waiting
	// Returning: the connection itself is to take the pair's place once the program has read the response that has been handed on.
	Returning
	// CutThrough: the connection has taken the pair's place in the middle of a response, for so many octets. When the program has read
	// them, another relay is Placed, and goes on Feeding.
	CutThrough
	// Direct: the connection has taken the pair's place for good.
	Direct
	// Finishing: the program's end has been ended as a server does; the program still has to read up to there.
	Finishing
	// Over: the stream has moved on, or is closed, or its end was reset.
	Over
)

var stateNames = [...]string{"placed", "feeding", "passing", "waiting", "returning", "cut through", "direct", "finishing", "over"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateNames[s]
}

// transitions are all there are. From CutThrough, Direct and Over there is no way on: the relay has done its work.
var transitions = map[State][]State{
	Placed:    {Feeding, Passing, Over},
	Feeding:   {Passing, Waiting, Returning, CutThrough, Direct, Finishing, Over},
	Passing:   {Waiting, Returning, Finishing, Over},
	Waiting:   {Passing, Finishing, Over},
	Returning: {Passing, Direct, Over},
	Finishing: {Over},
}

// machine is the state of one relay. The zero value is in the state Placed.
type machine struct {
	// entered, if set, is told of each state; it is set before anything happens.
	entered func(State)

	mu    sync.Mutex
	state State
}

// to goes on to the next state. It reports whether there is such a transition; without one the state stays. To stay is none.
func (m *machine) to(next State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next == m.state {
		return true
	}
	if !slices.Contains(transitions[m.state], next) {
		return false
	}
	if m.state = next; m.entered != nil {
		m.entered(next)
	}
	return true
}

// now returns the present state.
func (m *machine) now() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

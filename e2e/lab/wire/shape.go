// The arithmetic of a link: when a frame that arrives now is through, and whether there is room for it.

package wire

import (
	"math/rand/v2"
	"time"
)

// DefaultQueue is how much time's worth of frames waits before a link whose Shape does not say.
const DefaultQueue = 60 * time.Millisecond

// Shape describes one direction of a link. The zero Shape carries everything at once.
type Shape struct {
	Rate  int64         // bit/s of Ethernet frames; 0 is unlimited
	Delay time.Duration // propagation, one way
	Queue time.Duration // how long a frame may wait for its turn before it is dropped; 0 is DefaultQueue
	Loss  float64       // share of frames lost, 0 to 1
	Seed  uint64        // of the losses
}

// meter applies a Shape to a sequence of frames. It is a drop-tail queue kept as a single number:
// the time at which the link has finished sending what it accepted so far.
type meter struct {
	shape Shape
	free  time.Duration
	dice  *rand.Rand
}

func newMeter(s Shape) *meter {
	if s.Queue == 0 {
		s.Queue = DefaultQueue
	}
	return &meter{shape: s, dice: rand.New(rand.NewPCG(s.Seed, 1))}
}

// admit returns when a frame of so many octets, arriving at now, is to leave at the far end, or false if it is lost.
func (m *meter) admit(now time.Duration, octets int) (time.Duration, bool) {
	if m.shape.Loss > 0 && m.dice.Float64() < m.shape.Loss {
		return 0, false
	}
	if m.shape.Rate == 0 {
		return now + m.shape.Delay, true
	}
	if m.free < now {
		m.free = now
	}
	if m.free-now > m.shape.Queue {
		return 0, false
	}
	m.free += time.Duration(int64(octets) * 8 * int64(time.Second) / m.shape.Rate)
	return m.free + m.shape.Delay, true
}

// Hysteresis: how long an interface has been usable, and whether it flaps.
package manager

import "time"

// flapWindow is how long a loss is remembered; maxPenalty bounds how often the time that an interface has to stay is doubled.
const (
	flapWindow = 2 * time.Minute
	maxPenalty = 4
)

// stability is one interface's.
type stability struct {
	usable bool
	since  time.Time // of usable
	first  bool      // it has been usable since the engine has known of any interface
	losses []time.Time
}

func (s *stability) update(usable bool, now time.Time) {
	if s.usable == usable {
		return
	}
	if s.usable {
		s.losses = append(s.losses, now)
		if len(s.losses) > maxPenalty {
			s.losses = s.losses[1:]
		}
	}
	s.usable, s.since, s.first = usable, now, false
}

// flaps is how often it has been lost lately.
func (s *stability) flaps(now time.Time) int {
	n := 0
	for _, at := range s.losses {
		if now.Sub(at) < flapWindow {
			n++
		}
	}
	return n
}

// settles is when it may be used for better: after dwell, after twice as much for each further loss lately.
func (s *stability) settles(dwell time.Duration, now time.Time) time.Time {
	if s.first {
		return s.since
	}
	return s.since.Add(dwell << max(s.flaps(now)-1, 0))
}

// When a download is fed from several paths, and when from one again.
package aggregate

import "time"

const (
	// leastLeft is how much must be left for several paths to pay, in octets: connections have to be made, and grow.
	leastLeft = 4 << 20
	// leastAge is how old an exchange has to be for its rate to be known.
	leastAge = 300 * time.Millisecond
	// absent is for how long a path has to have had no connection to be no path any more.
	absent = 5 * time.Second
	// fedFor is for how long the program has to have had enough to need one path only.
	fedFor = 2 * time.Second
	// Several paths have to bring leastGain times as much as the one before; where they do not in as many times proveIn as
	// maxVain, one after the other, they are of no use.
	proveIn   = 3 * time.Second
	leastGain = 1.1
	maxVain   = 2
)

// Facts are what is known of an exchange that several paths could feed.
type Facts struct {
	Movable bool
	Left    int64         // octets still to come, negative where that is not known
	Age     time.Duration // since its answer began
	Waits   bool          // the program waits for the network: it takes what comes at once
}

// Worth says why several paths, where there are several, are not worth it now, "" if they are. asked: the user wants them where they are
// possible at all.
func Worth(f Facts, asked bool) (why string) {
	switch {
	case !f.Movable:
		return "the exchange cannot be moved"
	case f.Left < 0:
		return "it is not known how long it is"
	case f.Left == 0:
		return "nothing is left"
	case asked:
		return ""
	case f.Left < leastLeft:
		return "too little is left"
	case f.Age < leastAge:
		return "it is too young"
	case !f.Waits:
		return "the program takes less than the network brings"
	}
	return ""
}

// Reason says why a download is to be fed by one path again.
type Reason int

const (
	// Stay with several.
	Stay Reason = iota
	// OnePath: no other is ready, nor is going to be.
	OnePath
	// Fed: the program has had enough for some time from the first path alone.
	Fed
	// NoGain: together they bring hardly more than one did.
	NoGain
)

func (r Reason) String() string {
	return [...]string{"several paths feed it", "one path is left", "one path is enough", "several paths bring no more than one"}[r]
}

// Leave says whether one path would do, and is to be asked a few times a second. before is the rate of the one path before, in octets
// a second; 0 where it is not known, or nothing is to be gained.
func (s *Scheduler) Leave(now time.Duration, before float64) Reason {
	left, ready, away := 0, 0, 0
	for _, p := range s.paths {
		switch {
		case p.out:
			continue
		case p.ready:
			p.there = now
			ready++
		case now-p.there > absent && !s.needs:
			away++
		}
		left++
	}
	if !s.enough {
		s.wanted = now
	}
	switch {
	case left <= 1, ready == 1 && left-away == 1:
		return OnePath
	case now-s.wanted >= fedFor && !s.needs:
		return Fed
	case now-s.judged >= proveIn:
		rate := float64(s.next-s.counted) / (now - s.judged).Seconds()
		s.judged, s.counted = now, s.next
		if s.vain++; rate >= leastGain*before {
			s.vain = 0
		}
	}
	if before > 0 && s.vain >= maxVain {
		return NoGain
	}
	return Stay
}

// Best is the path that goes on alone, best: of those that are ready, the free before those that cost, then the fastest; -1 if
// none is.
func (s *Scheduler) Best() int {
	best := -1
	for i, p := range s.paths {
		if !p.ready || p.silent || p.unfit {
			continue
		}
		if best >= 0 {
			o := s.paths[best]
			if o.rules.Need != p.rules.Need && p.rules.Need || o.rules.Need == p.rules.Need && p.rate() <= o.rate() {
				continue
			}
		}
		best = i
	}
	return best
}

// Unfit tells that a path cannot go on alone: its server does not answer all that is left as one, of a length that it says. It is
// Finish no more.
func (s *Scheduler) Unfit(number int) {
	p := s.paths[number]
	p.unfit = true
	if s.finish == p {
		s.finish, s.ended = nil, false
	}
}

// Together has all paths asked again after Finish. It returns the path that has been asked for all that is left: that connection has to
// be given up, and counts as Lost. -1 if there is none.
func (s *Scheduler) Together(now time.Duration) (asked int) {
	p, ended := s.finish, s.ended
	s.finish, s.ended = nil, false
	if p == nil || !ended {
		return -1
	}
	s.lose(p)
	return p.n
}

// Finishing reports whether this path goes on alone.
func (s *Scheduler) Finishing(number int) bool { return s.finish == s.paths[number] }

// Finish asks nobody but this path from now on, and it for all that is left: the last order for it goes up to the end. What others
// were asked for and do not bring is asked of the others then.
func (s *Scheduler) Finish(number int) { s.finish = s.paths[number] }

// Finished tells that the answer to that last order has begun, and that its octets are taken elsewhere: what is to be fetched ends
// before them.
func (s *Scheduler) Finished(now time.Duration, number int) {
	p := s.paths[number]
	if last := len(p.queue) - 1; s.ended && last >= 0 {
		s.end = p.queue[last].first
	}
	s.lose(p)
}

// Ending reports whether the last order for this path goes up to the end, as Finish says.
func (s *Scheduler) Ending(number int) bool { return s.ended && s.finish == s.paths[number] }

// What each path is asked for next.
package aggregate

import (
	"math"
	"time"
)

// Plan returns what is to be done now, valid until the next call, and how long from now it is to be called again at the latest,
// if nothing is told before.
func (s *Scheduler) Plan(now time.Duration) (orders []Order, again time.Duration) {
	s.orders = s.orders[:0]
	s.fed(now)
	for _, p := range s.paths {
		p.refused = false
		if len(p.queue) > 0 {
			if p.queue[0].begun {
				p.meter.add(now, 0, p.rtt)
			}
			p.silent = now-p.heard > p.limit()
		}
		s.drop(now, p)
	}
	s.look(now)
	for s.rescue(now) {
		s.look(now)
	}
	for {
		var first *path
		for i, p := range s.paths {
			if s.wants(p) && (first == nil || s.views[i].finish < s.views[first.n].finish) {
				first = p
			}
		}
		if first == nil {
			break
		}
		if !s.assign(now, first) {
			first.refused = true
			continue
		}
		s.look(now)
	}
	again = time.Hour
	for _, p := range s.paths {
		if len(p.queue) > 0 {
			again = min(again, max(p.heard+p.limit()-now, 5*time.Millisecond))
		}
		if p.rules.Cap > 0 {
			again = min(again, 20*time.Millisecond)
		}
	}
	return s.orders, again
}

// fed finds out whether the program has enough.
func (s *Scheduler) fed(now time.Duration) {
	less := int64(low)
	s.much = Enough
	if s.needs {
		// What costs begins as late as it can, and brings no more than it must: it needs some round trips, and what the first
		// path has been asked for comes at that one's pace, which may fall meanwhile.
		lead := time.Duration(0)
		for _, p := range s.paths {
			if p.ready && p.rules.Need {
				lead = max(lead, 3*p.rtt)
			}
		}
		if p := s.alone(); p != nil {
			lead = max(lead, time.Duration(float64(p.left)/p.rate()*float64(time.Second)))
		}
		less = min(max(int64(s.pace*(lead*3/2+patience).Seconds()), 2*LeastBlock), Enough)
		s.much = min(less*3/2, Enough)
	}
	switch waiting := s.next - s.taken; {
	case waiting >= s.much && s.taken == s.first && now-s.begun < firstAlone: // it is the old connection that feeds it, still
	case waiting >= s.much:
		s.enough = true
	case waiting < less:
		s.enough = false
	}
}

// look makes the views.
func (s *Scheduler) look(now time.Duration) {
	alone := s.alone()
	hole, _ := s.hole()
	supply := hole - s.taken // what the program can take before it is at an octet that nobody has been asked for
	for i, p := range s.paths {
		v := &s.views[i]
		missing := supply < s.much && now-s.begun > firstAlone
		*v = view{usable: p.ready && !p.silent && (!s.enough || p == alone) && (!p.rules.Need || p == alone || missing) && s.allowed(now, p)}
		if s.finish != nil {
			v.usable = (p == s.finish) != s.ended && p.ready && !p.silent
		}
		if !p.ready && len(p.queue) == 0 {
			continue
		}
		v.rate = p.rate()
		v.of = v.rate
		if span := max(lately, 2*p.rtt); len(p.queue) > 0 && p.queue[0].begun && p.meter.busy > 2*span {
			if of := max(p.meter.over(span, span), 1024); of < v.rate/3 {
				v.of = of
			}
		}
		v.free = p.rtt.Seconds()
		if len(p.queue) > 0 {
			v.free = max(v.free, s.latency(now, p)+float64(p.left)/v.rate)
		}
		over, least, most := BlockTime, float64(LeastBlock), float64(MostBlock)
		if p.brief {
			over, most = briefTime, mostBrief
		}
		if s.needs {
			over *= 2 // there is no hurry, and where blocks are rescued, octets are paid for that come in any case
		}
		if p.rules.Need {
			over *= 2
		}
		switch {
		case p.meter.octets == 0:
			least = firstBlock
		case !p.ahead:
			over += 2 * p.rtt // each costs a round trip
		}
		v.block = min(max(v.rate*over.Seconds(), least), most)
		if p.rules.Need && s.pace > 0 {
			v.block = min(v.block, max(s.pace*over.Seconds(), LeastBlock))
		}
		v.finish = v.free + v.block/v.rate
	}
}

// latency is how many seconds pass until octets can come of what the path is asked for.
func (s *Scheduler) latency(now time.Duration, p *path) float64 {
	if b := p.queue[0]; !b.begun {
		return max(0, b.asked+p.rtt-now).Seconds()
	}
	return 0
}

// alone is the path that is asked while the program has enough, silent or not: there is time.
func (s *Scheduler) alone() *path {
	var best *path
	for _, p := range s.paths {
		if p.ready && (best == nil || best.rules.Need && !p.rules.Need) {
			best = p
		}
	}
	return best
}

// wants reports whether the path is to be asked for more now.
func (s *Scheduler) wants(p *path) bool {
	v := &s.views[p.n]
	if !v.usable || p.refused || len(p.queue) > 0 && !p.ahead {
		return false
	}
	ahead := v.rate*(3*p.rtt/2+aheadTime).Seconds() + min(aheadOctets, v.rate*max(aheadMost, 2*p.rtt).Seconds())
	return len(p.queue) == 0 || float64(p.left) < ahead
}

// allowed reports whether what the user has said lets the path be asked for more now.
func (s *Scheduler) allowed(now time.Duration, p *path) bool {
	if p.rules.Share > 0 && p.asked > 0 && s.others(p) && float64(p.asked)+LeastBlock > p.rules.Share*(float64(s.asked)+LeastBlock) {
		return false
	}
	if p.rules.Cap > 0 {
		p.capped = min(p.capped+p.rules.Cap*(now-p.counted).Seconds(), max(LeastBlock, p.rules.Cap*BlockTime.Seconds()))
		p.counted = now
		return p.capped > 0
	}
	return true
}

// others reports whether another path is ready.
func (s *Scheduler) others(p *path) bool {
	for _, o := range s.paths {
		if o != p && o.ready && !o.silent {
			return true
		}
	}
	return false
}

// gaps calls f for each range that nobody has been asked for, in order, until it returns false.
func (s *Scheduler) gaps(f func(a, z int64) bool) {
	at := s.next
	for _, b := range s.blocks {
		if b.first > at && !f(at, b.first) {
			return
		}
		at = max(at, b.end)
	}
	if at < s.end {
		f(at, s.end)
	}
}

// hole returns the first of these ranges, empty at the end if there is none.
func (s *Scheduler) hole() (from, to int64) {
	from, to = s.end, s.end
	s.gaps(func(a, z int64) bool { from, to = a, z; return false })
	return from, to
}

// together is how many seconds from now all usable paths end, at the best, that share so many octets.
func (s *Scheduler) together(octets float64) float64 {
	// Paths join in the order of their freedom, until the next would begin after the end.
	end := math.Inf(1)
	limit := -1.0
	for {
		sum, weighted, next := 0.0, 0.0, math.Inf(1)
		for i := range s.views {
			if v := &s.views[i]; v.usable && v.free <= limit {
				sum += v.rate
				weighted += v.rate * v.free
			} else if v.usable {
				next = min(next, v.free)
			}
		}
		if sum > 0 {
			end = (octets + weighted) / sum
		}
		if next >= end || math.IsInf(next, 1) {
			return end
		}
		limit = next
	}
}

// assign gives the path its next block; false if there is none for it now.
func (s *Scheduler) assign(now time.Duration, p *path) bool {
	var unasked int64
	s.gaps(func(a, z int64) bool { unasked += z - a; return true })
	if unasked == 0 {
		return false
	}
	v := &s.views[p.n]
	octets := v.block
	if s.finish != nil {
		return s.rest(now, p)
	}
	first := true
	for i := range s.views {
		if o := &s.views[i]; i != p.n && o.usable && o.finish < v.finish {
			first = false
		}
	}
	// All end together: what would be later gets less, or nothing.
	if share := v.rate * (s.together(float64(unasked)) - v.free); share < octets {
		if share < sliver && !first {
			return false
		}
		octets = max(share, sliver)
	}
	octets = min(octets, float64(unasked))
	// What faster ones can fetch before this would be complete is left to them.
	finish := v.free + octets/v.rate
	skip := 0.0
	for i := range s.views {
		o := &s.views[i]
		if i == p.n || !o.usable || o.free+min(o.block, octets)/o.rate >= finish {
			continue
		}
		skip += o.rate * max(0, finish+s.margin(p)-o.free)
	}
	skip = min(skip, float64(unasked)-octets)
	if skip < sliver {
		skip = 0
	}
	memory := s.memory()
	length := int64(octets)
	var from, to int64 = -1, -1
	left := int64(skip)
	s.gaps(func(a, z int64) bool {
		if z-a <= left {
			left -= z - a
			return true
		}
		at := a + left
		left = 0
		if z-at < sliver && z < s.end && at > a {
			return true // not worth a request of its own
		}
		from, to = at, min(at+length, z)
		if z-to < length/4 {
			to = z
		}
		return false
	})
	if from < 0 {
		return false
	}
	if from, to = s.within(memory, from, to, length); from == to {
		return false
	}
	s.ask(now, p, from, to, false)
	return true
}

// within returns what of a range there is room for, or in its place the first octets that are missing, at most length, if the program waits
// for these, or soon will: whatever else is held, they are asked for.
func (s *Scheduler) within(memory, from, to, length int64) (first, end int64) {
	room := memory - s.used()
	if to-from <= room {
		return from, to
	}
	if hole, end := s.hole(); hole == s.next && s.next-s.taken < memory/4 {
		return hole, min(hole+length, end)
	}
	if room >= LeastBlock {
		return from, from + room
	}
	return from, from
}

// rest gives the path that goes on alone what is still to be asked for, the last of it up to the end; the others, what is missing then.
func (s *Scheduler) rest(now time.Duration, p *path) bool {
	from, to := s.hole()
	if from == to {
		return false
	}
	switch {
	case p != s.finish:
		to = min(to, from+LeastBlock*8)
	case to == s.end:
		s.ended = true
	default:
		to = min(to, from+MostBlock)
		if from, to = s.within(MostMemory, from, to, LeastBlock); from == to {
			return false
		}
	}
	s.ask(now, p, from, to, false)
	return true
}

// used is how many octets are held, or may come to be held: gaps in between cost nothing.
func (s *Scheduler) used() int64 {
	n := s.next - s.taken
	for _, b := range s.blocks {
		n += max(0, b.end-max(b.first, s.next))
	}
	return n
}

// margin is how many seconds before the program is there a block of p's is to be complete: losses cost a path a round trip, and
// estimates are none the better for a long one.
func (s *Scheduler) margin(p *path) float64 {
	return (max(p.rtt, min(p.pause, gone)) * 5 / 4).Seconds()
}

func (s *Scheduler) ask(now time.Duration, p *path, from, to int64, rescue bool) {
	s.ids++
	b := &block{id: s.ids, path: p, first: from, end: to, asked: now, idle: len(p.queue) == 0}
	if b.idle {
		p.heard = now + p.rtt
	}
	i := len(s.blocks)
	for i > 0 && s.blocks[i-1].first > from {
		i--
	}
	s.blocks = append(s.blocks, nil)
	copy(s.blocks[i+1:], s.blocks[i:])
	s.blocks[i] = b
	p.queue = append(p.queue, b)
	p.left += to - from
	p.asked += to - from
	p.capped -= float64(to - from)
	s.asked += to - from
	s.orders = append(s.orders, Order{Kind: Ask, Path: p.n, Block: b.id, First: from, End: to, Rescue: rescue})
}

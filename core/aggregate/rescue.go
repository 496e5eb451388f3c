// Asking another path for what comes too late, and giving up connections that bring nothing.
package aggregate

import (
	"math"
	"time"
)

// rescue asks another path for octets that their owner brings too late. It reports whether it has.
func (s *Scheduler) rescue(now time.Duration) bool {
	need, at := 0.0, s.next // when the program is at the octet at
	held := s.held()
	for _, b := range s.blocks {
		if b.rest() == 0 || b.end <= at {
			at = max(at, b.end)
			continue
		}
		if b.first > at {
			return false // what nobody has been asked for yet comes first
		}
		p := b.path
		if s.ended && p == s.finish && b.end == s.end && (!p.silent || max(b.at(), at)-s.taken > LeastMemory) {
			return false // all that is left is nobody else's
		}
		begins, eta := math.Inf(1), math.Inf(1) // when the owner is at the first octet that is missing, and has them all
		if !p.silent {
			eta = s.latency(now, p)
			for _, o := range p.queue {
				begins = eta
				eta += float64(o.rest()) / s.views[p.n].of
				if o == b {
					break
				}
			}
		}
		from, to := s.own(b, max(b.at(), at))
		at = max(at, b.end)
		if from >= to {
			need = max(need, min(eta, need+0.2))
			continue
		}
		eta -= float64(b.end-to) / s.views[p.n].of
		full := s.full(p)
		if held && from == s.next && now-s.advanced > min(p.limit(), patience*5/4) {
			// The program waits already, and for as long as it takes to find out what was lost.
			begins, eta = math.Inf(1), max(eta, p.rtt.Seconds())
		}
		late := p.limit().Seconds()
		if s.starves(p, eta) || begins > need+late || eta > max(need, full)+late {
			if from != s.next && s.used() > MostMemory {
				return false // what is asked for twice is held twice
			}
			if q, first, end := s.rescuer(b, from, to, need, eta); q != nil {
				s.ask(now, q, first, end, true)
				return true
			}
		}
		if math.IsInf(eta, 1) {
			return false // nothing later is needed before
		}
		need = max(need, eta)
		if need > 2 {
			return false
		}
	}
	return false
}

// starves reports whether a program that has taken its time so far will have to wait, because the first octets that are missing
// come more slowly than it takes them, within eta seconds.
func (s *Scheduler) starves(owner *path, eta float64) bool {
	waiting, rate := float64(s.next-s.taken), s.views[owner.n].of
	return waiting > LeastBlock && s.pace > rate && waiting/(s.pace-rate) < eta
}

// full is how many seconds from now the usable paths but this have to stop for want of memory, if next does not move.
func (s *Scheduler) full(owner *path) float64 {
	sum, free := 0.0, math.Inf(1)
	for i := range s.views {
		if v := &s.views[i]; v.usable && i != owner.n {
			sum += v.rate
			free = min(free, v.free)
		}
	}
	return free + float64(max(0, s.memory()-s.used()))/sum
}

// held reports whether octets are there that come after one that is missing.
func (s *Scheduler) held() bool {
	for _, b := range s.blocks {
		if b.at() > s.next {
			return true
		}
	}
	return false
}

// own returns which octets of a block, from an octet on, its owner alone is to bring: others have been asked for what comes before and
// behind.
func (s *Scheduler) own(b *block, from int64) (first, end int64) {
	first, end = from, b.end
	for changed := true; changed; {
		changed = false
		for _, o := range s.blocks {
			switch {
			case o.id <= b.id || o.path.silent && o.rest() > 0:
			case o.first <= first && first < o.end:
				first, changed = o.end, true
			case o.first < end && o.end >= end:
				end, changed = o.first, true
			}
		}
	}
	return first, end
}

// rescuer returns who brings octets of the block, of which its owner alone brings those from up to to, sooner than it, which is there after
// eta seconds, and which: the owner goes on meanwhile. The program is there after need.
func (s *Scheduler) rescuer(b *block, from, to int64, need, eta float64) (best *path, first, end int64) {
	soonest := eta
	for i, q := range s.paths {
		v := &s.views[i]
		if q == b.path || !v.usable || len(q.queue) > 0 && !q.ahead {
			continue
		}
		// One thing at a time: an owner that was silent for a moment only has then been helped in vain for no more than that.
		if urgent := from == s.next && need < 0.05; !urgent && !s.wants(q) {
			continue
		}
		at, z := from, to
		if r := s.views[b.path.n].of; !math.IsInf(eta, 1) && r == s.views[b.path.n].rate {
			// Both end at the same time.
			begins := eta - float64(to-from)/r // when the owner is at from
			x := (v.free - begins + float64(to-from)/v.rate) / (1/r + 1/v.rate)
			at = from + int64(max(0, x))
			at = max(from, min(at, to-sliver))
		} else if piece := max(2*LeastBlock, int64(v.rate*rescueTime.Seconds())); z-at > piece*5/4 {
			z = at + piece
		}
		t := v.free + 1.3*float64(z-at)/v.rate + 0.03
		if t < soonest && need < t+0.05 {
			best, soonest, first, end = q, t, at, z
		}
	}
	return best, first, end
}

// drop gives a connection up that brings nothing, or only what is there already.
func (s *Scheduler) drop(now time.Duration, p *path) {
	if len(p.queue) == 0 {
		return
	}
	if now-p.heard > max(gone, 4*p.rtt, 3*p.limit()) {
		s.lose(p)
		s.orders = append(s.orders, Order{Kind: Drop, Path: p.n})
		return
	}
	var useless int64
	for _, b := range p.queue {
		n := s.present(b, b.at(), b.end)
		if n < b.rest() {
			break
		}
		useless += n
	}
	if useless > 2*LeastBlock && float64(useless)/p.rate() > 6*p.rtt.Seconds()+0.2 {
		s.lose(p)
		s.orders = append(s.orders, Order{Kind: Drop, Path: p.n})
	}
}

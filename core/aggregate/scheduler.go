// The rules: which path is asked for which octets, and when.
package aggregate

import (
	"math"
	"time"
)

const (
	// BlockTime is how long a path needs for a block, at its rate. Shorter blocks cost requests; longer ones wait longer where
	// a path dies, and more of them has to be held.
	BlockTime = 180 * time.Millisecond
	// LeastBlock and MostBlock bound a block, in octets. At the end of the content they are shorter, but for very short ones.
	LeastBlock, MostBlock = 32 << 10, 1 << 20
	// briefTime and mostBrief are those of a path whose connections bring one answer each, or two: each begins with a round trip for
	// the request and slow start.
	briefTime, mostBrief = time.Second, 3 << 20
	sliver               = 16 << 10
	// firstBlock is the least for a connection of which nothing is known: it is asked nothing more before it has brought this.
	firstBlock = 40 << 10

	// Ahead is what is to be outstanding on a connection when the next range is asked for, beside the round trip that the request
	// needs: a connection that has nothing to send falls back to slow start.
	aheadTime, aheadMost = 20 * time.Millisecond, 80 * time.Millisecond
	aheadOctets          = 48 << 10

	// Enough is how many octets wait for the program when it has enough: the first path alone is asked then, until fewer than
	// low wait. That is back-pressure, and what keeps a network that costs unused while a player is fed.
	Enough, low = 512 << 10, 192 << 10
	// LeastMemory and MostMemory bound what is asked for and not yet taken by the program, in octets.
	LeastMemory, MostMemory = 1 << 20, 8 << 20
	// needMemory is the least where a path costs: what the first one brings in its good times need not be paid for in its bad ones.
	needMemory = 4 << 20

	// firstAlone is how long what costs nothing is given to show whether it is enough.
	firstAlone = time.Second

	// patience is for how long the octets that are missing next, and with them the program, may be waited for before somebody
	// else is asked for them.
	patience = 80 * time.Millisecond
	// lately is the time over which it shows that a path is not any more as fast as it was.
	lately = 150 * time.Millisecond
	// longPause is what counts as a pause at most: a path that often makes longer ones is as good as one that is gone.
	longPause = 300 * time.Millisecond
	// rescueTime is how long who is asked for what another does not bring needs for a piece of it.
	rescueTime = 100 * time.Millisecond
	// gone is the silence after which a connection is given up.
	gone = time.Second
)

// PathRules are what the user has said about a path.
type PathRules struct {
	// Need: it costs, and is used only for what the others leave missing.
	Need bool
	// Cap is the most that it is to carry, in octets a second; 0 for no bound.
	Cap float64
	// Share is the most that it is to carry of all octets of the stream, from 0 to 1; 0 for no bound.
	Share float64
}

// Order is something to be done now.
type Order struct {
	Kind OrderKind
	Path int
	// Block names what is asked for, octets First up to End (exclusive).
	Block      int
	First, End int64
	// Rescue: another path has been asked for these octets already.
	Rescue bool
}

// OrderKind says what is to be done.
type OrderKind int

const (
	// Ask the path for a range, behind what it has been asked for already.
	Ask OrderKind = iota
	// Drop the path's connection, and open another: what is to come on it is of no use, or nothing comes any more. It has nothing
	// outstanding from now on, and is asked nothing until Ready.
	Drop
)

// Scheduler decides which path is asked for which octets. Used by one goroutine at a time.
type Scheduler struct {
	first, end int64 // what is to be fetched
	taken      int64 // by the program
	next       int64 // the first octet that is missing
	paths      []*path
	blocks     []*block // what has been asked for and not delivered in order, by their first octet
	ids        int
	repeated   int64 // octets fetched twice
	asked      int64

	begun    time.Duration
	advanced time.Duration // when next moved last

	pace, recent float64       // octets a second that the program takes; octets since
	paced        time.Duration // then
	enough       bool          // the program has
	much         int64         // octets that are enough
	wanted       time.Duration // when it had not enough last
	needs        bool          // a path is for need only
	judged       time.Duration // when what several paths bring was compared last with what one did,
	counted      int64         // next then,
	vain         int           // and how often in a row it was no more

	finish *path // that brings the rest alone
	ended  bool  // it has been asked for all of it

	orders []Order // of this plan
	views  []view
}

// block is a range that a path has been asked for, or what has come of it.
type block struct {
	id         int
	path       *path
	first, end int64
	got        int64
	asked      time.Duration
	idle       bool // asked when nothing else was outstanding
	begun      bool // octets have come
}

func (b *block) at() int64   { return b.first + b.got }
func (b *block) rest() int64 { return b.end - b.first - b.got }

type path struct {
	n       int
	rules   PathRules
	ready   bool
	ahead   bool // may be asked while something is outstanding
	meter   meter
	prior   float64 // rate, before anything is measured
	known   float64 // rate of the connection before, 0 if there was none
	rtt     time.Duration
	heard   time.Duration // when octets came last, or would have come at the earliest
	pause   time.Duration // the usual longest one
	queue   []*block      // outstanding, in the order asked
	left    int64         // octets of them
	octets  int64         // that have come
	asked   int64         // octets asked for
	capped  float64       // of Cap: octets that may be asked for
	counted time.Duration // when capped was brought up to date
	refused bool          // nothing for it in this plan
	silent  bool
	unfit   bool          // to go on alone
	answers int           // complete, of this connection
	brief   bool          // connections end after an answer or two
	there   time.Duration // when it was ready last, as far as has been looked
	out     bool          // for good
}

// view is what a path could do, for one plan. Times in seconds from now.
type view struct {
	usable bool
	rate   float64
	free   float64 // when the first octet of what is asked for now would come
	block  float64
	finish float64 // when its next block would be complete
	of     float64 // rate, or that of late where it has fallen much
}

// NewScheduler begins with octets first up to end (exclusive), of which nothing is there.
func NewScheduler(now time.Duration, first, end int64) *Scheduler {
	return &Scheduler{first: first, taken: first, next: first, end: end, advanced: now, begun: now, wanted: now, paced: now,
		judged: now, counted: first}
}

// AddPath adds a path, which is asked nothing until Ready. The first one added that costs nothing is the first path: the one that
// goes on alone while the program has enough.
func (s *Scheduler) AddPath(rules PathRules) (number int) {
	s.paths = append(s.paths, &path{n: len(s.paths), rules: rules})
	s.views = append(s.views, view{})
	s.needs = s.needs || rules.Need
	return len(s.paths) - 1
}

// Ready tells that a path's connection is there, with nothing asked. rtt is its handshake's, or what is known; rate is what is known
// of its rate, 0 for nothing.
func (s *Scheduler) Ready(now time.Duration, number int, rtt time.Duration, rate float64) {
	p := s.paths[number]
	p.ready, p.ahead, p.silent, p.rtt, p.pause = true, false, false, max(rtt, time.Millisecond), 0
	p.meter, p.answers = meter{}, 0
	if p.prior = rate; rate == 0 && p.brief && p.known > 0 {
		p.prior = p.known // what it has to be asked for is as long as that
	} else if rate == 0 {
		// A new connection brings its first block within two round trips and a half: ten packets, then twenty (RFC 6928).
		p.prior = firstBlock / (p.rtt * 3 / 2).Seconds()
		if p.known > 0 {
			p.prior = min(p.prior, p.known)
		}
	}
	p.heard = now
}

// Ahead tells whether the path may be asked for more while something is outstanding: not before its connection has begun to
// answer, and will persist (RFC 9112 §9.3.2), nor where its server loses requests.
func (s *Scheduler) Ahead(number int, may bool) { s.paths[number].ahead = may }

// Lost tells that a path's connection is gone: what is outstanding there will not come.
func (s *Scheduler) Lost(now time.Duration, number int) { s.lose(s.paths[number]) }

func (s *Scheduler) lose(p *path) {
	for _, b := range p.queue {
		s.unask(b)
	}
	if r, ok := p.meter.rate(p.rtt); ok && p.meter.busy > p.rtt {
		p.known = r
	}
	p.queue, p.left, p.ready, p.silent = p.queue[:0], 0, false, false
	if s.finish == p && (s.ended || !p.brief) {
		s.finish, s.ended = nil, false // the end of a brief path's connection is what was to be expected
	}
	s.tidy()
}

// Closing tells that a path's connection ends after what it is bringing now, the first of what it has been asked for.
func (s *Scheduler) Closing(now time.Duration, number int) {
	p := s.paths[number]
	p.ready, p.brief = false, p.answers <= 1
	for len(p.queue) > 1 {
		last := len(p.queue) - 1
		s.unask(p.queue[last])
		p.queue = p.queue[:last]
	}
	s.tidy()
}

// Shorter tells that the answer to the first of what a path has been asked for ends before what it was asked for.
func (s *Scheduler) Shorter(now time.Duration, number int, end int64) {
	if p := s.paths[number]; len(p.queue) > 0 && p.queue[0].at() < end && end < p.queue[0].end {
		if p == s.finish && s.ended && p.queue[0].end == s.end {
			s.Unfit(number)
		}
		over := p.queue[0].end - end
		p.queue[0].end = end
		p.left -= over
		p.asked -= over
		s.asked -= over
	}
}

// unask takes back what is missing of a block.
func (s *Scheduler) unask(b *block) {
	p := b.path
	p.left -= b.rest()
	p.asked -= b.rest()
	s.asked -= b.rest()
	b.end = b.at()
}

// Out tells that a path is not to be used any more, as Lost.
func (s *Scheduler) Out(now time.Duration, number int) {
	s.lose(s.paths[number])
	s.paths[number].out = true
}

// Forget tells that of a path nothing is to be kept that has not been delivered: what it has sent is not to be trusted. Blocks of
// which octets go are returned: octets from the one that the program takes next on.
func (s *Scheduler) Forget(now time.Duration, number int) (blocks []int) {
	p := s.paths[number]
	s.lose(p)
	for _, b := range s.blocks {
		if b.path == p && b.at() > s.taken {
			b.got = max(0, s.taken-b.first)
			b.end = b.at()
			blocks = append(blocks, b.id)
		}
	}
	s.next = s.taken
	s.advance()
	s.tidy()
	return blocks
}

// Got tells that so many octets of a block have come, in order.
func (s *Scheduler) Got(now time.Duration, number int, octets int64) {
	p := s.paths[number]
	if len(p.queue) == 0 || octets == 0 {
		return
	}
	b := p.queue[0]
	octets = min(octets, b.rest())
	if !b.begun {
		b.begun = true
		if b.idle {
			p.meter.begin(now)
			if sample := now - b.asked; p.meter.octets == 0 {
				p.rtt = max(sample, time.Millisecond)
			} else {
				p.rtt = max((3*p.rtt+sample)/4, time.Millisecond)
			}
			p.heard = now
		}
	}
	// The usual pause is the longest of late; it is forgotten within some ten seconds.
	gap := max(0, now-p.heard)
	p.pause = max(gap, time.Duration(float64(p.pause)*math.Exp(-gap.Seconds()/10)))
	p.heard, p.silent = now, false
	if gap > p.rtt*5/4+patience/4 {
		p.meter.grown = true
	}
	p.meter.add(now, octets, p.rtt)
	p.octets += octets
	p.left -= octets
	old := b.at()
	b.got += octets
	s.repeated += s.present(b, old, b.at())
	if b.rest() == 0 {
		p.answers++
		p.queue = append(p.queue[:0], p.queue[1:]...)
		if len(p.queue) > 0 {
			// What has been asked for too late for the server to go on at once says nothing of the path.
			if can := p.queue[0].asked + p.rtt; can > now {
				p.meter.begin(can)
				p.heard = can
			}
		}
	}
	before := s.next
	s.advance()
	if s.next > before {
		s.advanced = now
	}
	if b.rest() == 0 {
		s.tidy()
	}
}

// present returns how many octets from a up to z were there already, without b.
func (s *Scheduler) present(b *block, a, z int64) (n int64) {
	if at := min(z, s.next); at > a {
		n, a = at-a, at
	}
	for _, o := range s.blocks {
		if from, to := max(a, o.first), min(z, o.at()); o != b && to > from {
			n, a = n+to-from, to
		}
	}
	return n
}

// advance moves next on over what is there.
func (s *Scheduler) advance() {
	for _, b := range s.blocks {
		if b.first > s.next {
			return
		}
		s.next = max(s.next, b.at())
	}
}

// tidy forgets blocks that nothing more is to come of, and that have been taken.
func (s *Scheduler) tidy() {
	kept := s.blocks[:0]
	for _, b := range s.blocks {
		if b.rest() > 0 || b.at() > max(s.taken, b.first) {
			kept = append(kept, b)
		}
	}
	clear(s.blocks[len(kept):])
	s.blocks = kept
}

// Taken tells that the program has taken so many octets.
func (s *Scheduler) Taken(now time.Duration, octets int64) {
	s.taken += octets
	s.tidy()
	// A mean over a second or so.
	d := (now - s.paced).Seconds()
	s.recent += float64(octets)
	if d > 0.1 {
		s.pace += (s.recent/d - s.pace) * min(d, 1)
		s.paced, s.recent = now, 0
	}
}

// Next returns the first octet that is missing.
func (s *Scheduler) Next() int64 { return s.next }

// Repeated returns how many octets have been fetched twice.
func (s *Scheduler) Repeated() int64 { return s.repeated }

// Rate returns what is known of a path's rate, in octets a second, its round trip, and how many octets are outstanding.
func (s *Scheduler) Rate(number int) (rate float64, rtt time.Duration, outstanding int64) {
	p := s.paths[number]
	return p.rate(), p.rtt, p.left
}

func (p *path) rate() float64 {
	r, _ := p.meter.rate(p.rtt)
	if p.meter.busy < p.rtt {
		r = max(r, p.prior) // what has come is part of a burst
	}
	if p.rules.Cap > 0 {
		r = min(r, p.rules.Cap)
	}
	return max(r, 1024)
}

// Patience is for how long the path may be silent that has something to bring.
func (s *Scheduler) Patience(number int) time.Duration { return s.paths[number].limit() }

// Fed reports whether the program has enough for now.
func (s *Scheduler) Fed() bool { return s.enough }

// Octets returns how many octets of content the path has brought, those that were there already included.
func (s *Scheduler) Octets(number int) int64 { return s.paths[number].octets }

// limit is for how long a path may be silent that has something to bring.
func (p *path) limit() time.Duration { return max(patience, p.rtt*5/4, min(p.pause*8/5, longPause)) }

// memory is how many octets may be asked for that the program has not taken.
func (s *Scheduler) memory() int64 {
	sum, rtt, block := 0.0, time.Duration(0), BlockTime
	for i := range s.paths {
		if s.views[i].usable {
			sum += s.views[i].rate
		}
	}
	for i, p := range s.paths {
		if v := &s.views[i]; v.usable && v.rate > sum/20 {
			rtt = max(rtt, p.rtt)
			if p.brief {
				block = briefTime
			}
		}
	}
	least := float64(LeastMemory)
	if s.needs {
		least = needMemory
	}
	return int64(min(max(2*sum*(block+rtt).Seconds(), least), MostMemory))
}

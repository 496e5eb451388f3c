package aggregate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// run is one simulated download.
type run struct {
	*world
	s      *Scheduler
	links  []*link
	conns  []*simConn
	heads  []int // octets of a head still to come, of each path
	queues [][]pending
	size   int64
	reads  float64 // octets a second that the program takes; 0: all at once
	taken  int64
	credit time.Duration // until when the program has been served
	drops  int

	wake    time.Duration
	last    time.Duration // when the program got octets last
	got     int64         // by the program, all in all
	longest time.Duration
	stalled time.Duration // of a player: without octets
	starved time.Duration // of that, after its first second
	never   bool          // nobody is asked ahead
	brief   bool          // a connection brings one answer
	nexts   []*simConn    // the connections that are made meanwhile
	there   map[*simConn]bool
	peak    int64
	ended   time.Duration
	of      []int64 // octets each path has brought
	asked   int
	player  *player
}

// player plays what it has been given, at rate, and reads no more than it needs.
type player struct{ rate float64 }

type pending struct {
	id   int
	head int
	left int64
}

func (r *run) connect(i int) {
	w := r.world
	var c *simConn
	c = w.connect(r.links[i], func(octets int) {
		if r.conns[i] == c {
			r.deliver(i, int64(octets))
		}
	})
	r.conns[i] = c
}

// next makes the connection that follows the one which is ending.
func (r *run) next(i int) {
	w := r.world
	var c *simConn
	c = w.connect(r.links[i], func(octets int) {
		if r.conns[i] == c {
			r.deliver(i, int64(octets))
		}
	})
	r.nexts[i] = c
}

func (r *run) deliver(i int, octets int64) {
	for octets > 0 {
		p := &r.queues[i][0]
		n := min(int64(p.head), octets)
		p.head -= int(n)
		octets -= n
		switch {
		case p.head == 0 && r.brief && r.nexts[i] == nil:
			r.s.Closing(r.now, i)
			r.next(i)
		case p.head == 0 && !r.brief:
			r.s.Ahead(i, !r.never)
		}
		n = min(p.left, octets)
		if n > 0 {
			p.left -= n
			octets -= n
			r.of[i] += n
			r.s.Got(r.now, i, n)
		}
		if p.head == 0 && p.left == 0 {
			r.queues[i] = r.queues[i][1:]
			if r.brief {
				r.s.Lost(r.now, i)
				r.conns[i], r.nexts[i] = r.nexts[i], nil
				if r.there[r.conns[i]] {
					r.s.Ready(r.now, i, r.links[i].rtt, 0)
				}
			}
		}
	}
	r.peak = max(r.peak, r.s.heldOctets())
	r.program()
	r.plan()
}

// program takes what is there.
func (r *run) program() {
	waiting := r.s.Next() - r.taken
	n := waiting
	if r.player != nil {
		due := int64(r.player.rate*(r.now-r.stalled).Seconds()) - r.taken
		n = min(waiting, max(due, 0))
		if due > waiting {
			d := time.Duration(float64(due-waiting) / r.player.rate * float64(time.Second))
			r.stalled += d
			if r.now > time.Second {
				r.starved += d
			}
		}
	}
	if n > 0 {
		if r.now-r.last > r.longest && r.taken > 0 {
			r.longest = r.now - r.last
		}
		r.last = r.now
		r.taken += n
		r.s.Taken(r.now, n)
		if r.taken == r.size {
			r.ended = r.now
		}
	}
}

func (r *run) plan() {
	orders, again := r.s.Plan(r.now)
	for _, o := range orders {
		switch o.Kind {
		case Ask:
			r.asked++
			r.queues[o.Path] = append(r.queues[o.Path], pending{o.Block, headSize, o.End - o.First})
			r.conns[o.Path].request(int(o.End - o.First))
		case Drop:
			r.drops++
			r.conns[o.Path].closed = true
			r.queues[o.Path] = nil
			r.connect(o.Path)
		}
	}
	if at := r.now + again; r.wake == 0 || at < r.wake {
		r.wake = at
		r.push(event{at: at, kind: clientTimer})
	}
}

// simulate downloads size octets.
func simulate(seed uint64, size int64, links []*link, rules []PathRules, set func(*run)) *run {
	r := &run{world: &world{random: rand.New(rand.NewPCG(seed, 1))}, links: links, size: size}
	r.s = NewScheduler(0, 0, size)
	r.nexts, r.there = make([]*simConn, len(links)), map[*simConn]bool{}
	r.conns, r.queues, r.of = make([]*simConn, len(links)), make([][]pending, len(links)), make([]int64, len(links))
	if set != nil {
		set(r)
	}
	for i := range links {
		var rule PathRules
		if rules != nil {
			rule = rules[i]
		}
		r.s.AddPath(rule)
		r.connect(i)
	}
	r.push(event{at: 5 * time.Millisecond, kind: clientTimer, a: 1})
	for r.ended == 0 {
		e, ok := r.pop()
		if !ok || e.at > 10*time.Minute {
			break
		}
		r.now = e.at
		switch e.kind {
		case connected:
			r.there[e.conn] = true
			for i, c := range r.conns {
				if c == e.conn && r.links[i].rate(r.now) > 0 {
					r.s.Ready(r.now, i, r.links[i].rtt, 0)
					r.plan()
				}
			}
		case clientTimer:
			if e.a == 1 && r.player != nil {
				r.program()
				r.plan()
				r.push(event{at: r.now + 20*time.Millisecond, kind: clientTimer, a: 1})
			} else if e.at == r.wake {
				r.wake = 0
				r.plan()
			}
		default:
			e.conn.handle(e)
		}
	}
	return r
}

// heldOctets is how many octets have come and not been taken.
func (s *Scheduler) heldOctets() int64 {
	n := s.next - s.taken
	for _, b := range s.blocks {
		if at := max(b.first, s.next); b.at() > at {
			n += b.at() - at
		}
	}
	return n
}

// floor is how long so many octets take over all links without any delay.
func floor(size int64, links []*link) float64 {
	octets := 0.0
	for t := time.Duration(0); t < 10*time.Minute; t += time.Millisecond {
		for _, l := range links {
			octets += l.rate(t) / 1000
		}
		if octets >= float64(size) {
			return t.Seconds()
		}
	}
	return math.Inf(1)
}

const ms = time.Millisecond

func until(at time.Duration, before, after float64) func(time.Duration) float64 {
	return func(t time.Duration) float64 {
		if t < at {
			return megabits(before)
		}
		return megabits(after)
	}
}

func byTurns(period time.Duration, a, b float64) func(time.Duration) float64 {
	return func(t time.Duration) float64 {
		if t/period%2 == 0 {
			return megabits(a)
		}
		return megabits(b)
	}
}

// outcome says how a run went.
func (r *run) outcome() string {
	return fmt.Sprintf("%.2f s, longest pause %.3f s, fetched twice %.2f %%, held %.1f MB, %d requests, %d connections given up, octets %v",
		r.ended.Seconds(), r.longest.Seconds(), 100*r.twice(), float64(r.peak)/1e6, r.asked, r.drops, r.of)
}

func (r *run) twice() float64 { return float64(r.s.Repeated()) / float64(r.size) }

const size = 100 << 20

// The worlds that decide. Links have rates in Mbit/s of content; floor is what no scheme can be below.
func TestSeveralPathsTogether(t *testing.T) {
	two := func(a, b link) func() []*link {
		return func() []*link { x, y := a, b; return []*link{&x, &y} }
	}
	first := link{rtt: 20 * ms, rate: steady(40)}
	for _, w := range []struct {
		name         string
		size         int64
		links        func() []*link
		total, pause float64 // at most, in seconds
		held         float64 // at most, in MB
	}{
		{"two alike", size, two(first, first), 10.7, .1, 4},
		{"4 at 200 ms", size, two(first, link{rtt: 200 * ms, rate: steady(4)}), 19.7, .13, 4},
		{"40 at 200 ms", size, two(first, link{rtt: 200 * ms, rate: steady(40)}), 15.2, .16, 4},
		{"20 at 100 ms", size, two(first, link{rtt: 100 * ms, rate: steady(20)}), 14.8, .16, 4},
		{"the second loses 1 %", size, two(first, link{rtt: 20 * ms, rate: steady(40), loss: .01}), 18.4, .18, 4},
		{"the second changes between 40 and 4", size, two(first, link{rtt: 20 * ms, rate: byTurns(2*time.Second, 40, 4)}), 15, .22, 4},
		{"the second falls to 1", size, two(first, link{rtt: 20 * ms, rate: until(4*time.Second, 40, 1)}), 17.1, .2, 4},
		{"the second dies", size, two(first, link{rtt: 20 * ms, rate: until(4*time.Second, 40, 0)}), 17.3, .35, 4},
		{"the first dies", size, two(link{rtt: 20 * ms, rate: until(4*time.Second, 40, 0)}, first), 17.3, .35, 4},
		{"three", size, func() []*link {
			return []*link{{rtt: 20 * ms, rate: steady(40)}, {rtt: 20 * ms, rate: steady(20)}, {rtt: 20 * ms, rate: steady(10)}}
		}, 12.3, .1, 4},
		{"fast", 300 << 20, two(link{rtt: 10 * ms, rate: steady(300)}, link{rtt: 10 * ms, rate: steady(300)}), 4.35, .05, 8},
		{"a small file", 5 << 20, two(first, first), .75, .1, 4},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			seeds := uint64(3)
			if testing.Short() {
				seeds = 1
			}
			for seed := range seeds {
				links := w.links()
				r := simulate(seed, w.size, links, nil, nil)
				t.Logf("floor %.2f s: %s", floor(w.size, links), r.outcome())
				if r.ended == 0 || r.ended.Seconds() > w.total || r.longest.Seconds() > w.pause || r.twice() > .025 || float64(r.peak) > w.held*(1<<20) {
					t.Errorf("seed %d: %s", seed, r.outcome())
				}
			}
		})
	}
}

func TestSeveralPathsAreNoSlowerThanTheBest(t *testing.T) {
	for name, second := range map[string]link{
		"hardly anything":  {rtt: 600 * ms, rate: steady(.1)},
		"slow and far":     {rtt: 300 * ms, rate: steady(1)},
		"half is lost":     {rtt: 50 * ms, rate: steady(40), loss: .5},
		"nothing":          {rtt: 50 * ms, rate: until(100*ms, 40, 0)},
		"now and then":     {rtt: 50 * ms, rate: byTurns(700*ms, 20, 0)},
		"good for a while": {rtt: 20 * ms, rate: until(700*ms, 40, .2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				// A hundredth of what 100 MB take.
				alone := simulate(seed, 40<<20, []*link{{rtt: 20 * ms, rate: steady(40)}}, nil, nil)
				for i, links := range [][]*link{{{rtt: 20 * ms, rate: steady(40)}, nil}, {nil, {rtt: 20 * ms, rate: steady(40)}}} {
					second := second
					links[1-i] = &second
					r := simulate(seed, 40<<20, links, nil, nil)
					t.Logf("alone %.2f s: %s", alone.ended.Seconds(), r.outcome())
					if r.ended == 0 || r.ended-alone.ended > 200*ms || r.twice() > .025 {
						t.Errorf("seed %d: alone %.2f s: %s", seed, alone.ended.Seconds(), r.outcome())
					}
				}
			}
		})
	}
}

// Servers that end each connection after one answer: each block costs a round trip and slow start.
func TestSeveralPathsOfBriefConnections(t *testing.T) {
	for seed := range uint64(3) {
		links := []*link{{rtt: 20 * ms, rate: steady(40)}, {rtt: 20 * ms, rate: steady(40)}}
		r := simulate(seed, size, links, nil, func(r *run) { r.brief = true })
		t.Logf("floor %.2f s: %s", floor(size, links), r.outcome())
		if r.ended == 0 || r.ended.Seconds() > 13 || r.twice() > .06 || r.peak > 8<<20 {
			t.Errorf("seed %d: %s", seed, r.outcome())
		}
	}
}

// A player takes what it plays. What costs is used for what the first network leaves missing, and for no more.
func TestPlayerPaysForWhatIsMissing(t *testing.T) {
	const size, octets = 75 << 20, 6 // Mbit/s
	for seed := range uint64(8) {
		first := func() *link { return &link{rtt: 30 * ms, rate: byTurns(10*time.Second, 8, 2)} }
		alone := simulate(seed, size, []*link{first()}, nil, func(r *run) { r.player = &player{rate: megabits(octets)} })
		r := simulate(seed, size, []*link{first(), {rtt: 50 * ms, rate: steady(20)}}, []PathRules{{}, {Need: true}}, func(r *run) { r.player = &player{rate: megabits(octets)} })
		// The least that has to be paid for: a first network that is as fast as its link at any time, and whatever comes sooner
		// than it is played is kept, as much as may be.
		kept, missing := 0.0, 0.0
		for at := time.Duration(0); at < r.ended; at += ms {
			kept += (first().rate(at) - megabits(octets)) / 1000
			missing += max(0, -kept)
			kept = min(max(kept, 0), needMemory)
		}
		t.Logf("alone starved for %.1f s; %.2f s, paid for %.2f times what was missing: %s", alone.starved.Seconds(), r.starved.Seconds(), float64(r.of[1])/missing, r.outcome())
		if r.ended == 0 || r.starved > 50*ms || float64(r.of[1]) > 1.15*missing || alone.starved < 10*time.Second {
			t.Errorf("seed %d: starved for %v (alone %v), paid for %d octets, %.0f were missing: %s", seed, r.starved, alone.starved, r.of[1], missing, r.outcome())
		}
	}
}

func TestPlayerIsFedByTheFirstPathWhereThatIsEnough(t *testing.T) {
	r := simulate(1, 20<<20, []*link{{rtt: 30 * ms, rate: steady(8)}, {rtt: 10 * ms, rate: steady(40)}}, nil, func(r *run) { r.player = &player{rate: megabits(6)} })
	if r.ended == 0 || r.starved > 50*ms || r.of[1] > 3<<20 {
		t.Error(r.starved, r.outcome())
	}
}

func TestCapsAndSharesHold(t *testing.T) {
	links := func() []*link { return []*link{{rtt: 20 * ms, rate: steady(40)}, {rtt: 20 * ms, rate: steady(40)}} }
	r := simulate(1, size, links(), []PathRules{{}, {Cap: megabits(8)}}, nil)
	if r.ended == 0 || float64(r.of[1]) > 1.05*megabits(8)*r.ended.Seconds() || r.ended.Seconds() > 18 {
		t.Errorf("a cap of 8 Mbit/s: %s", r.outcome())
	}
	r = simulate(1, size, links(), []PathRules{{}, {Share: .2}}, nil)
	if r.ended == 0 || float64(r.of[1]) > .21*size || float64(r.of[1]) < .15*size {
		t.Errorf("a share of a fifth: %s", r.outcome())
	}
}

func TestServersThatAreAskedOneAtATime(t *testing.T) {
	r := simulate(1, size, []*link{{rtt: 20 * ms, rate: steady(40)}, {rtt: 50 * ms, rate: steady(40)}}, nil, func(r *run) { r.never = true })
	t.Log(r.outcome())
	if r.ended == 0 || r.ended.Seconds() > 15 || r.longest > 200*ms {
		t.Error(r.outcome())
	}
}

func TestAnyWorldEnds(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for n := range 100 {
		var links []*link
		var rules []PathRules
		for i := range 1 + random.IntN(4) {
			high, low := .5+60*random.Float64(), 60*random.Float64()*float64(random.IntN(3)/2)
			l := &link{rtt: time.Duration(1+random.IntN(300)) * ms, rate: byTurns(time.Duration(300+random.IntN(4000))*ms, high, low)}
			if random.IntN(4) == 0 {
				l.loss = .05 * random.Float64()
			}
			if i == 0 {
				l.rate = steady(high) // somebody lives
			}
			rule := PathRules{Need: random.IntN(5) == 0}
			if random.IntN(5) == 0 {
				rule.Cap = megabits(1 + 20*random.Float64())
			}
			links, rules = append(links, l), append(rules, rule)
		}
		r := simulate(uint64(n), int64(1+random.IntN(8<<20)), links, rules, func(r *run) {
			r.never = random.IntN(4) == 0
			if random.IntN(4) == 0 {
				r.player = &player{rate: megabits(.5 + 10*random.Float64())}
			}
		})
		if r.ended == 0 || r.peak > MostMemory+MostBlock {
			t.Errorf("world %d: %s", n, r.outcome())
		}
	}
}

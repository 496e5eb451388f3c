package aggregate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// began makes a scheduler with so many paths that are ready, and may be asked ahead.
func began(end int64, paths int) *Scheduler {
	s := NewScheduler(0, 0, end)
	for range paths {
		n := s.AddPath(PathRules{})
		s.Ready(0, n, 20*ms, 1e6)
		s.Ahead(n, true)
	}
	return s
}

func orders(s *Scheduler, now time.Duration) []Order {
	list, _ := s.Plan(now)
	return slices.Clone(list)
}

func TestFirstBlocksLieSideBySide(t *testing.T) {
	s := began(10<<20, 2)
	list := orders(s, 0)
	if len(list) != 2 || list[0].First != 0 || list[1].First != list[0].End || list[0].Path == list[1].Path {
		t.Fatal(list)
	}
	if again := orders(s, ms); len(again) != 0 {
		t.Error("asked again with nothing delivered:", again)
	}
}

func TestLostBlocksAreAskedForAgain(t *testing.T) {
	s := began(10<<20, 2)
	list := orders(s, 0)
	s.Got(30*ms, list[0].Path, 1000)
	s.Lost(40*ms, list[0].Path)
	if s.Next() != 1000 {
		t.Fatal(s.Next())
	}
	now := 40 * ms
	for s.Next() < list[0].End {
		// The other one brings all it is asked for.
		other := list[1].Path
		for _, o := range orders(s, now) {
			if o.Path != other || o.Kind != Ask {
				t.Fatal(o)
			}
		}
		_, _, left := s.Rate(other)
		s.Got(now, other, left)
		s.Taken(now, s.Next()-s.taken)
		if now += 10 * ms; now > time.Minute {
			t.Fatal("what was lost has not been asked for again")
		}
	}
}

func TestSilenceIsRescued(t *testing.T) {
	s := began(10<<20, 2)
	list := orders(s, 0)
	for now := 20 * ms; now < 400*ms; now += 2 * ms {
		s.Got(now, list[1].Path, 2000)
		for _, o := range orders(s, now) {
			if o.Rescue {
				if o.Path != list[1].Path || o.First != list[0].First || o.End > list[0].End {
					t.Error(o)
				}
				if now > 250*ms {
					t.Errorf("only after %v", now)
				}
				return
			}
		}
	}
	t.Error("nobody was asked for what a silent path does not bring")
}

func TestSilentConnectionsAreGivenUp(t *testing.T) {
	s := began(10<<20, 1)
	orders(s, 0)
	for now := 20 * ms; now < 5*time.Second; now += 20 * ms {
		for _, o := range orders(s, now) {
			if o.Kind == Drop {
				if now < gone {
					t.Errorf("after %v", now)
				}
				s.Ready(now, 0, 20*ms, 0)
				if list := orders(s, now); len(list) != 1 || list[0].First != 0 {
					t.Error(list)
				}
				return
			}
		}
	}
	t.Error("a connection that brings nothing was kept")
}

func TestForgottenOctetsAreFetchedAgain(t *testing.T) {
	s := began(10<<20, 2)
	list := orders(s, 0)
	s.Got(30*ms, list[0].Path, 5000)
	s.Got(30*ms, list[1].Path, 5000)
	s.Taken(30*ms, 2000)
	forgotten := s.Forget(40*ms, list[0].Path)
	s.Out(40*ms, list[0].Path)
	if len(forgotten) != 1 || forgotten[0] != list[0].Block || s.Next() != 2000 {
		t.Fatal(forgotten, s.Next())
	}
	s.Got(50*ms, list[1].Path, list[1].End-list[1].First-5000)
	again := orders(s, 50*ms)
	if len(again) == 0 || again[0].Path != list[1].Path || again[0].First != 2000 {
		t.Error(again)
	}
	if s.Leave(50*ms, 0) != OnePath {
		t.Error("one path is left")
	}
}

// A network that has been silent for long is no reason to go on in parts over the other.
func TestAPathIsAwayForLong(t *testing.T) {
	s := NewScheduler(0, 0, 100<<20)
	for i := range 2 {
		s.AddPath(PathRules{})
		s.Ready(0, i, 20*ms, 5e6)
	}
	s.Lost(0, 1)
	if r := s.Leave(absent-ms, 0); r != Stay {
		t.Error(r)
	}
	if r := s.Leave(absent+ms, 0); r != OnePath {
		t.Error(r)
	}
	s.Ready(absent+2*ms, 1, 20*ms, 5e6)
	if r := s.Leave(absent+3*ms, 0); r != Stay {
		t.Error(r)
	}
	s.Lost(absent+4*ms, 0)
	s.Lost(absent+4*ms, 1)
	if r := s.Leave(3*absent, 0); r != Stay {
		t.Error(r)
	}
}

func TestOnePathFinishes(t *testing.T) {
	s := began(50<<20, 2)
	list := orders(s, 0)
	s.Finish(list[0].Path)
	now := 20 * ms
	for {
		s.Got(now, list[1].Path, 1<<20)
		s.Got(now, list[0].Path, 10000)
		s.Taken(now, s.Next()-s.taken)
		for _, o := range orders(s, now) {
			if o.Path != list[0].Path {
				t.Fatal("somebody else is asked", o)
			}
			if o.End == 50<<20 {
				if more := orders(s, now); len(more) > 0 {
					t.Error("asked for more than all", more)
				}
				return
			}
		}
		if now += 10 * ms; now > time.Minute {
			t.Fatal("it is never asked for the end")
		}
	}
}

// Whatever happens, no octet is missing at the end, and none that is there is asked for again but for a rescue.
func TestEveryOctetIsAskedFor(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		end := 1 + random.Int64N(6<<20)
		s, mute := began(end, 1+random.IntN(4)), -1
		for now := time.Duration(0); s.Next() < end; now += time.Duration(1+random.IntN(30)) * ms {
			if now > 30*time.Minute {
				t.Fatalf("seed %d: stuck at %d of %d", seed, s.Next(), end)
			}
			for _, o := range orders(s, now) {
				if o.Kind == Drop || random.IntN(50) == 0 {
					if o.Kind == Ask {
						s.Lost(now, o.Path)
					}
					s.Ready(now, o.Path, 20*ms, 0)
					s.Ahead(o.Path, random.IntN(3) > 0)
				} else if o.First < 0 || o.First >= o.End || o.End > end {
					t.Fatalf("seed %d: %+v", seed, o)
				}
			}
			if random.IntN(20) == 0 {
				mute = random.IntN(2 * len(s.paths))
			}
			for n := range s.paths {
				if _, _, left := s.Rate(n); n != mute && left > 0 && random.IntN(4) > 0 {
					s.Got(now, n, 1+random.Int64N(min(left, 200<<10)))
				}
			}
			if random.IntN(20) == 0 {
				s.Forget(now, random.IntN(len(s.paths)))
				for n := range s.paths {
					if !s.paths[n].ready {
						s.Ready(now, n, 20*ms, 0)
					}
				}
			}
			switch n := random.IntN(len(s.paths)); random.IntN(30) {
			case 0:
				s.Finish(n)
			case 1:
				if n = s.Together(now); n >= 0 {
					s.Ready(now, n, 20*ms, 0)
				}
			case 2:
				s.Unfit(n)
			}
			if n := s.Next() - s.taken; n > 0 && random.IntN(3) > 0 {
				s.Taken(now, 1+random.Int64N(n))
			}
			left := int64(0)
			for _, p := range s.paths {
				n := int64(0)
				for _, b := range p.queue {
					n += b.rest()
				}
				if n != p.left {
					t.Fatalf("seed %d: %d octets outstanding, counted %d", seed, n, p.left)
				}
				left += n
			}
			if s.Next() < s.taken {
				t.Fatalf("seed %d: %d taken of %d", seed, s.taken, s.Next())
			}
		}
	}
}

func TestRateOfAPath(t *testing.T) {
	var m meter
	if _, ok := m.rate(20 * ms); ok {
		t.Error("a rate of nothing")
	}
	m.begin(time.Second)
	for now := time.Second; now < 3*time.Second; now += ms {
		m.add(now, 5000, 20*ms)
	}
	if rate, _ := m.rate(20 * ms); rate < 4.9e6 || rate > 5.1e6 {
		t.Errorf("%.0f", rate)
	}
	// What passes while nothing is asked for does not count; what passes in the middle of an answer does.
	m.begin(10 * time.Second)
	if rate, _ := m.rate(20 * ms); rate < 4.9e6 {
		t.Errorf("%.0f after a time without a request", rate)
	}
	for now := 10 * time.Second; now < 10*time.Second+rateOver+20*ms; now += 10 * ms {
		m.add(now, 5000, 20*ms)
	}
	if rate, _ := m.rate(20 * ms); rate < 4e5 || rate > 6e5 {
		t.Errorf("%.0f after it has fallen", rate)
	}
}

func TestWhenSeveralPathsAreWorthIt(t *testing.T) {
	good := Facts{Movable: true, Left: 100 << 20, Age: time.Second, Waits: true}
	if why := Worth(good, false); why != "" {
		t.Error(why)
	}
	for name, f := range map[string]Facts{
		"it cannot be moved":    {Left: good.Left, Age: good.Age, Waits: true},
		"its length is unknown": {Movable: true, Left: -1, Age: good.Age, Waits: true},
		"it is over":            {Movable: true, Age: good.Age, Waits: true},
	} {
		if Worth(f, true) == "" {
			t.Error(name)
		}
	}
	for name, f := range map[string]Facts{
		"it is short":            {Movable: true, Left: 1 << 20, Age: good.Age, Waits: true},
		"it has just begun":      {Movable: true, Left: good.Left, Waits: true},
		"the program has enough": {Movable: true, Left: good.Left, Age: good.Age},
	} {
		if Worth(f, false) == "" {
			t.Error(name)
		}
		if Worth(f, true) != "" {
			t.Error("asked for: " + name)
		}
	}
}

func TestWhenOnePathWouldDo(t *testing.T) {
	s := began(100<<20, 2)
	list := orders(s, 0)
	if r := s.Leave(0, 1e6); r != Stay {
		t.Error(r)
	}
	// The program takes nothing more, and the first path has brought enough.
	now := 30 * ms
	s.Got(now, list[0].Path, 50000)
	s.Taken(now, 1)
	for s.Next() < Enough {
		s.Got(now, list[0].Path, 50000)
		s.Got(now, list[1].Path, 50000)
		orders(s, now)
		now += 10 * ms
	}
	if r := s.Leave(now, 0); r != Stay {
		t.Error(r)
	}
	if r := s.Leave(now+fedFor, 0); r != Fed {
		t.Error(r)
	}
	if s.Best() < 0 {
		t.Error("nobody is best")
	}
	// That begins to be fed, with what the old connection brings still being read, is no reason.
	s = began(100<<20, 2)
	list = orders(s, 0)
	for now = 30 * ms; s.Next() < Enough; now += 10 * ms {
		s.Got(now, list[0].Path, 50000)
		s.Got(now, list[1].Path, 50000)
		orders(s, now)
	}
	if s.Fed() {
		t.Error("the program has enough before it has taken anything")
	}
	// Both together bring no more than one did.
	s = began(100<<20, 2)
	orders(s, 0)
	s.Got(proveIn, 0, 100000)
	if r := s.Leave(proveIn, 1e6); r != Stay {
		t.Error("at once:", r)
	}
	if r := s.Leave(2*proveIn, 1e6); r != NoGain {
		t.Error(r)
	}
}

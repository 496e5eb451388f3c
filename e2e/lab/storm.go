// A storm of migrations: several triggers at once, each at a random moment, of a random session, to a random network.

package lab

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
)

// Storm is what has come of the triggers so far.
type Storm struct {
	Moved atomic.Int64

	mu      sync.Mutex
	refused map[string]int
	movers  sync.WaitGroup
}

// Storm begins to move the sessions of the program with that control socket, which has to be there, from so many control connections, one at a
// time or now and then (one trigger of `all`) all of them together. It ends when enough, asked before every trigger
// and by several goroutines at once, returns true, or with the program.
func (l *Lab) Storm(socket string, seed uint64, movers, all int, enough func(moved int64) bool) *Storm {
	l.t.Helper()
	s := &Storm{refused: map[string]int{}}
	for i := range movers {
		c, err := l.ControlSocket(socket)
		if err != nil {
			l.t.Fatalf("lab: control socket: %v", err)
		}
		s.movers.Go(func() {
			defer c.Close()
			s.blow(c, rand.New(rand.NewPCG(seed, uint64(i))), all, enough)
		})
	}
	return s
}

func (s *Storm) blow(c *Control, random *rand.Rand, all int, enough func(int64) bool) {
	for !enough(s.Moved.Load()) {
		to := c.lab.networks[random.IntN(len(c.lab.networks))].Name
		var results []Moved
		if random.IntN(all) == 0 {
			results, _ = c.Migrate(to)
		} else if sessions, err := c.Sessions(); err != nil {
			return // the program has ended: what it says is for the test to look at
		} else if len(sessions) > 0 {
			results, _ = c.MigrateSession(sessions[random.IntN(len(sessions))].ID, to)
		}
		for _, r := range results {
			switch {
			case r.OK && r.Migration != nil:
				s.Moved.Add(1)
			case !r.OK:
				s.mu.Lock()
				s.refused[r.Reason]++
				s.mu.Unlock()
			}
		}
	}
}

// Wait waits until the storm is over.
func (s *Storm) Wait() { s.movers.Wait() }

// Refused is how many triggers were refused so far.
func (s *Storm) Refused() (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.refused {
		times += n
	}
	return times
}

// legitimate are reasons for refusing a trigger at a random moment: the download has ended, or is between its requests.
var legitimate = []string{
	"the program has closed it", "its connection has ended", "no request has been sent", "no such session", "the stream changed during the migration",
	"the exchange has ended meanwhile", "it has been asked for too often", "the program has ended its TLS session", "its TLS session cannot be continued",
}

// Illegitimate are the refusals that a random moment does not explain, with how often there were.
func (s *Storm) Illegitimate() (reasons []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
next:
	for reason, times := range s.refused {
		for _, l := range legitimate {
			if strings.Contains(reason, l) {
				continue next
			}
		}
		reasons = append(reasons, fmt.Sprintf("%d times: %s", times, reason))
	}
	return reasons
}

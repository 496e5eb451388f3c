// Downloads moved at random octets, some thousand times, every octet compared.

package migration

import (
	"flag"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"midstream/e2e/lab"
)

var (
	randomMoves = flag.Int64("moves", 3000, "how many migrations the randomised test makes")
	randomSeed  = flag.Uint64("seed", 0, "of the randomised test; 0: another one each time")
)

// reasons with which a random trigger may be refused: the download ended, or was between its requests.
var expected = []string{
	"the program has closed it", "its connection has ended", "no request has been sent", "no such session", "the stream changed during the migration",
	"the exchange has ended meanwhile",
}

func TestDownloadsMovedAtRandomOctetsAreIntact(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 100000
	}
	t.Logf("seed %d", seed)
	s := newSite(t, "wlan0", "wwan0", "eth0")
	s.LogLevel = "info"
	s.file("film.mkv", 700_001)
	s.paced(3 << 20)
	j := s.job(true, s.CC("churn"), "16", strconv.FormatUint(seed, 10), filepath.Join(s.root, "film.mkv"), host, "80", "/film.mkv")
	in, err := j.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	j.awaitReceived(1)
	path := filepath.Join(j.runtime, strconv.Itoa(j.Pid())+".sock")
	var moved atomic.Int64
	var refused sync.Map
	deadline := time.Now().Add(60 * time.Second)
	var movers sync.WaitGroup
	for i := range 4 {
		movers.Add(1)
		go func() {
			defer movers.Done()
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			c, err := s.ControlSocket(path)
			if err != nil {
				t.Errorf("control socket: %v", err)
				return
			}
			defer c.Close()
			for moved.Load() < *randomMoves && time.Now().Before(deadline) {
				sessions, err := c.Sessions()
				if err != nil {
					return // the program has ended: what it says is looked at below
				}
				if len(sessions) == 0 {
					continue
				}
				session := sessions[random.IntN(len(sessions))]
				to := []string{"wlan0", "wwan0", "eth0"}[random.IntN(3)]
				var results []lab.Moved
				if random.IntN(200) == 0 {
					results, err = c.Migrate(to)
				} else {
					results, err = c.MigrateSession(session.ID, to)
				}
				for _, r := range results {
					if r.OK {
						moved.Add(1)
					} else {
						count, _ := refused.LoadOrStore(r.Reason, new(atomic.Int64))
						count.(*atomic.Int64).Add(1)
					}
				}
			}
		}()
	}
	movers.Wait()
	in.Close()
	if r := j.Wait(); r.Status != 0 {
		t.Errorf("%v", r)
	} else {
		t.Logf("%d migrations during %s", moved.Load(), strings.TrimSpace(r.Stdout))
	}
	if moved.Load() < min(1000, *randomMoves) {
		t.Errorf("%d migrations only", moved.Load())
	}
	refused.Range(func(reason, count any) bool {
		t.Logf("refused %d times: %s", count.(*atomic.Int64).Load(), reason)
		for _, e := range expected {
			if strings.Contains(reason.(string), e) {
				return true
			}
		}
		t.Errorf("refused: %s", reason)
		return true
	})
}

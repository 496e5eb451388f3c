// Downloads moved at random octets, some thousand times, every octet compared.

package migration

import (
	"flag"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

var (
	randomMoves = flag.Int64("moves", 1200, "how many migrations the randomised test makes")
	randomSeed  = flag.Uint64("seed", 0, "of the randomised test; 0: another one each time")
)

func TestDownloadsMovedAtRandomOctetsAreIntact(t *testing.T) {
	for _, c := range []struct {
		name     string
		framings []string
		share    int64 // of the migrations
	}{
		{"length", []string{"length"}, 2},
		{"chunked", []string{"chunked"}, 3},
		{"close", []string{"close"}, 1},
		{"any", []string{"length", "chunked", "close"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) { movedAtRandom(t, c.framings, max(*randomMoves*c.share/8, 100)) })
	}
}

// movedAtRandom has servers of these framings, of which each answer takes one, and programs of every way of waiting.
func movedAtRandom(t *testing.T, framings []string, moves int64) {
	seed := *randomSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 100000
	}
	t.Logf("seed %d", seed)
	s := newSite(t, "wlan0", "wwan0", "eth0")
	s.LogLevel = "info"
	s.file("film.mkv", 300_001)
	for _, n := range s.Networks() {
		s.web[n.Name] = n.Paced(s.root, lab.ServerOptions{LimitRate: 3 << 20, Framings: framings})
	}
	j := s.job(true, s.CC("churn"), "16", strconv.FormatUint(seed, 10), filepath.Join(s.root, "film.mkv"), host, "80", "/film.mkv")
	in, err := j.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	j.awaitReceived(1)
	deadline := time.Now().Add(time.Minute + time.Duration(moves)*10*time.Millisecond)
	storm := s.Storm(filepath.Join(j.runtime, strconv.Itoa(j.Pid())+".sock"), seed, 4, 200, func(moved int64) bool { return moved >= moves || time.Now().After(deadline) })
	storm.Wait()
	in.Close()
	if r := j.Wait(); r.Status != 0 || r.Stderr != "" {
		t.Errorf("%v", r)
	} else {
		t.Logf("%d migrations during %s; %d triggers refused", storm.Moved.Load(), strings.TrimSpace(r.Stdout), storm.Refused())
	}
	if moved := storm.Moved.Load(); moved < min(1000, moves) {
		t.Errorf("%d migrations only", moved)
	}
	for _, reason := range storm.Illegitimate() {
		t.Errorf("refused %s", reason)
	}
}

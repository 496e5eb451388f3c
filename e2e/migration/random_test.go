// Downloads moved at random octets, some thousand times, every octet compared.

package migration

import (
	"flag"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	randomMoves = flag.Int64("moves", 3000, "how many migrations the randomised test makes")
	randomSeed  = flag.Uint64("seed", 0, "of the randomised test; 0: another one each time")
)

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
	deadline := time.Now().Add(time.Minute + time.Duration(*randomMoves)*10*time.Millisecond)
	storm := s.Storm(filepath.Join(j.runtime, strconv.Itoa(j.Pid())+".sock"), seed, 4, 200, func(moved int64) bool { return moved >= *randomMoves || time.Now().After(deadline) })
	storm.Wait()
	in.Close()
	if r := j.Wait(); r.Status != 0 {
		t.Errorf("%v", r)
	} else {
		t.Logf("%d migrations during %s, %d triggers refused", storm.Moved.Load(), strings.TrimSpace(r.Stdout), storm.Refused())
	}
	if moved := storm.Moved.Load(); moved < min(1000, *randomMoves) {
		t.Errorf("%d migrations only", moved)
	}
	for _, reason := range storm.Illegitimate() {
		t.Errorf("refused %s", reason)
	}
}

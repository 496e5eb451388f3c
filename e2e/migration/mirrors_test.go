// Mirrors whose servers are of different makes: the same content under other entity tags.

package migration

import (
	"testing"
	"time"

	"midstream/e2e/lab"
)

// Both networks are equally fast, so that a new server which has fallen behind the old one stays there: it has to be asked far
// enough ahead, for the octets that are compared as well.
func TestMirrorsThatAreEquallyFastAreProvedByOneRequest(t *testing.T) {
	s := raiseOver(t, lab.Link{Rate: 30_000_000, Delay: 20 * time.Millisecond}, []string{"wlan0", "wwan0"},
		func(n *lab.Network) []string { return []string{n.Content()} })
	sum := s.file("film.mkv", 16<<20)
	s.web["wlan0"] = s.Network("wlan0").Nginx(s.root, lab.ServerOptions{})
	s.web["wwan0"] = s.Network("wwan0").Apache(s.root, lab.ServerOptions{})
	j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	const moves = 4
	for i := range moves {
		j.awaitReceived(int64(i+1) << 21)
		j.mustMigrate([]string{"wwan0", "wlan0"}[i%2])
	}
	if r := j.succeeds("out", sum); r.Stderr != "" {
		t.Errorf("%v", r)
	}
	asked := 0
	for _, web := range s.web {
		asked += len(web.Requests())
	}
	// The first request, one to each move, and the one that finds out that Apache's entity tag is another. On a machine that stands
	// still for a moment, a server may be asked once more.
	if asked > 2*moves+2 {
		t.Errorf("the servers were asked %d times", asked)
	}
}

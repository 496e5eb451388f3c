// Calls that never return to Midstream's hooks.

package attack

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// A blocked read that a handler leaves by siglongjmp, or in which a thread is cancelled, holds nothing up.
func TestReadsThatAreLeftForGood(t *testing.T) {
	for _, way := range []string{"jump", "peek", "cancel"} {
		t.Run(way, func(t *testing.T) {
			s := newSite(t)
			all, path := s.film(300_000)
			silent := make(chan struct{})
			t.Cleanup(func() { close(silent) })
			s.serve("wlan0", part(all, 100_000, func(net.Conn) { <-silent }))
			s.serve("wwan0", right(all))
			// Nothing but the test moves it.
			s.Configure("[failover]\nenabled = false\n")
			p := s.Midstream(s.CC("left"), way, "100000", path, host, "80", "/film.mkv")
			in, err := p.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p.Start()
			s.Await("the reads to be left", waitLimit, func() bool {
				out, _ := p.Output()
				return strings.HasPrefix(out, "left")
			})
			c := s.control(p)
			if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
				t.Errorf("%+v, %v", moved, err)
			}
			fmt.Fprintln(in)
			s.succeeds(p, "left\ncomplete")
		})
	}
}

// Calls that never return to Midstream's hooks.

package attack

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A blocked read that a handler leaves by siglongjmp, or in which a thread is cancelled, holds nothing up. Nor is a signal
// lost that is to end one.
func TestReadsThatAreLeftForGood(t *testing.T) {
	for _, way := range []string{"jump", "poll", "peek", "cancel", "interrupt", "mixed"} {
		t.Run(way, func(t *testing.T) {
			s := newSite(t)
			size, first := 300_000, 100_000
			if way == "interrupt" || way == "mixed" {
				size, first = 81_000_000, 80_000_000 // for so fast a download nothing of Midstream's but the hooks runs
			}
			all, path := s.film(int64(size))
			silent := make(chan struct{})
			t.Cleanup(func() { close(silent) })
			s.serve("wlan0", part(all, first, func(net.Conn) { <-silent }))
			s.serve("wwan0", right(all))
			// Nothing but the test moves it.
			s.Configure("[failover]\nenabled = false\n")
			p := s.Midstream(s.CC("left"), way, fmt.Sprint(first), path, host, "80", "/film.mkv")
			in, err := p.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p.Start()
			s.Await("the reads to be left", waitLimit, func() bool {
				out, _ := p.Output()
				select {
				case <-p.Ended():
					t.Fatalf("%v", p.Wait())
				default:
				}
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

// wget leaves a connect() that takes too long by siglongjmp, and goes on with the name's next address.
func TestAConnectThatIsLeftForGood(t *testing.T) {
	s := &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir()}
	all, _ := s.film(300_000)
	s.Configure("[failover]\nenabled = false\n")
	s.Network("wlan0").DNS(map[string][]string{host: {"10.77.1.99", s.Network("wlan0").Content()}}) // nobody has the first one
	s.Network("wwan0").DNS(map[string][]string{host: {s.Network("wwan0").Content()}})
	goOn, last := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(goOn) })
	s.serve("wlan0", part(all, 100_000, func(net.Conn) { <-goOn }))
	s.serve("wwan0", held(all, last))
	out := filepath.Join(t.TempDir(), "out")
	p := s.Midstream("wget", "-q", "--timeout=2", "--tries=2", "--prefer-family=IPv4", "-O", out, "http://"+host+"/film.mkv").Start()
	c := s.control(p)
	s.received(c, 100_000)
	if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
		t.Errorf("%+v, %v", moved, err)
	}
	close(last)
	if r := p.Wait(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, all) {
		t.Errorf("%d octets, %v", len(got), err)
	}
}

// A connection that breaks before the core has come into the process is continued as a later one is, or ends as natively.
func TestAConnectionThatBreaksAtOnce(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		t.Run(fmt.Sprintf("failover %v", enabled), func(t *testing.T) {
			s := newSite(t)
			all, _ := s.film(300_000)
			s.Configure(fmt.Sprintf("[failover]\nenabled = %v\n", enabled))
			s.serve("wlan0", part(all, 100_000, func(net.Conn) {}))
			s.serve("wwan0", right(all))
			out := filepath.Join(t.TempDir(), "out")
			native, under := s.Both(nil, "curl", "-sS", "-w", "%{http_code}", "-o", out, "http://"+host+"/film.mkv")
			if native.Status == 0 {
				t.Fatalf("%v", native)
			}
			if !enabled {
				lab.Compare(t, native, under)
			} else if got, err := os.ReadFile(out); under.Status != 0 || under.Stdout != "200" || !bytes.Equal(got, all) {
				t.Errorf("%v; %d octets, %v", under, len(got), err)
			}
		})
	}
}

// Where a download goes when one server of several fails: to another, and there at once.

package failover

import (
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const second = "203.0.113.81" // another server than common, in every network too

// newPair raises networks that lead to the same two servers, each of which is one process in each network.
func newPair(t *testing.T, networks ...string) (s *site, servers map[string][]*lab.Server) {
	var options []lab.Option
	for _, name := range networks {
		options = append(options, lab.Net(name, lab.Link{}))
	}
	s = &site{Lab: lab.New(t, options...), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	servers = map[string][]*lab.Server{}
	for _, n := range s.Networks() {
		for _, a := range []string{common, second} {
			n.AddAddress(a)
			servers[a] = append(servers[a], n.Paced(s.root, lab.ServerOptions{Addresses: []string{a}, LimitRate: pace / 2}))
		}
		n.DNS(map[string][]string{host: {common, second}})
	}
	return s, servers
}

func TestAnotherServerStandsBy(t *testing.T) {
	for _, networks := range [][]string{{"wlan0", "wwan0"}, {"eth0"}} {
		for _, event := range []struct {
			name   string
			strike func(*lab.Server)
		}{
			{"frozen", (*lab.Server).Freeze},
			{"killed", (*lab.Server).Kill},
		} {
			t.Run(strings.Join(networks, " and ")+", "+event.name, func(t *testing.T) {
				s, servers := newPair(t, networks...)
				args := []string{"curl", "-4sS", "-o", "out", "URL"}
				native := s.download(false, args...).Run()
				d := s.download(true, args...)
				d.Start()
				events, err := s.Control(d.Pid(), lab.Patience).Watch()
				if err != nil {
					t.Fatal(err)
				}
				spare := ""
				for e := range events {
					if e.Kind == "standby" {
						spare, _ = e.Fields["server"].(string)
						break
					}
				}
				d.halfway()
				from := s.sessions()[0].Server
				if spare == "" || spare == from {
					t.Fatalf("from %s, %q stands by", from, spare)
				}
				for _, one := range servers[strings.TrimSuffix(from, ":80")] {
					event.strike(one)
				}
				s.Await("to be moved", lab.Patience, func() bool { return len(s.migrations()) > 0 })
				if m := s.migrations(); len(m) != 1 || m[0].To.Server != spare {
					t.Errorf("%+v, where %s stood by", m, spare)
				}
				d.intact(native, nil)
				// The one that has failed has been asked for nothing in any network since.
				for _, one := range servers[strings.TrimSuffix(from, ":80")] {
					one.Thaw()
					for _, r := range one.Requests() {
						if r.Range != "" {
							t.Errorf("%s was asked for %s", from, r.Range)
						}
					}
				}
			})
		}
	}
}

// A migration to where a download already is, is none.
func TestAMigrationToWhereItIs(t *testing.T) {
	s := newSite(t, paced, "wlan0", "wwan0")
	native := s.native(curl, "paced")
	before := len(s.web["wlan0"].Requests())
	d := s.download(true, curl.args...)
	d.Start()
	d.halfway()
	moved, err := s.Control(d.Pid(), lab.Patience).Migrate("wlan0")
	if err != nil || len(moved) != 1 || !moved[0].OK || moved[0].Migration != nil || len(s.migrations()) != 0 {
		t.Errorf("%+v, %v", moved, err)
	}
	d.intact(native, nil)
	if n := len(s.web["wlan0"].Requests()) - before; n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Whoever stands by may be silent itself: others are asked beside it, long before a program with a time-out of its own gives up.
func TestOthersAreAskedBesideASilentOne(t *testing.T) {
	s := newSite(t, paced, "wlan0", "wwan0", "usb0")
	s.Configure("[policy]\nprefer = [\"wlan0\", \"wwan0\", \"usb0\"]\n")
	impatient := program{"python", []string{"python3", "-c", `import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=2) as r, open("out", "wb") as f:
    while b := r.read(70000): f.write(b)`, "URL"}, nil}
	native := s.native(impatient, "paced")
	s.web["wwan0"].Freeze() // its kernel still accepts connections
	d := s.download(true, impatient.args...)
	d.Start()
	d.halfway()
	s.Network("wlan0").CarrierDown()
	s.Await("to be moved", lab.Patience, func() bool { return len(s.migrations()) > 0 })
	if m := s.migrations(); len(m) != 1 || m[0].To.Interface != "usb0" {
		t.Errorf("%+v", m)
	}
	d.intact(native, nil)
}

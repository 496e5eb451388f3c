package tls

import (
	"net"
	"os"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// fail starts a program under Midstream and, when a part of the file has come, lets something fail. The program is to end
// well, with the whole file.
func (s *site) fail(p program, share float64, failure func()) {
	s.t.Helper()
	out := s.out(p.name)
	os.Remove(out)
	s.Await("the first network", lab.Patience, func() bool {
		conn, err := net.Dial("tcp", s.Network("wlan0").Content()+":443")
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	run := s.Midstream(p.args(s, out)...).Start()
	if !s.reached(run, out, int64(share*size)) {
		s.t.Fatalf("%v", run.Wait())
	}
	failure()
	r := run.Wait()
	if r.Status != 0 || r.Stderr != "" {
		s.t.Errorf("%v", r)
	}
	s.intact(p.name, out)
}

// Downloads survive what happens to networks and servers.
func TestFailures(t *testing.T) {
	failures := []struct {
		name string
		do   func(s *site)
		undo func(s *site)
	}{
		{"reset", func(s *site) { s.Network("wlan0").ResetConnections() }, func(*site) {}},
		{"killed", func(s *site) { s.web["wlan0"].Kill() }, func(s *site) { s.web["wlan0"].Restart() }},
		{"stopped", func(s *site) { s.web["wlan0"].Stop() }, func(s *site) { s.web["wlan0"].Restart() }},
		{"frozen", func(s *site) { s.web["wlan0"].Freeze() }, func(s *site) { s.web["wlan0"].Thaw() }},
		{"carrier", func(s *site) { s.Network("wlan0").CarrierDown() }, func(s *site) { s.Network("wlan0").CarrierUp() }},
	}
	s := newSite(t, lab.Link{})
	s.serve(nil)
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			for _, p := range programs {
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					begun := time.Now()
					s.fail(p, 0.3, func() { begun = time.Now(); f.do(s) })
					f.undo(s)
					t.Logf("over %v after the failure", time.Since(begun))
				})
			}
		})
	}
}

// Where only one of the interfaces can be up, the old connection goes first.
func TestBreakBeforeMake(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.Configure("[migration]\nsingle = true\n")
	s.serve(nil)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			s.t = t
			out := s.out(p.name)
			r, moved := s.move(s.Midstream(p.args(s, out)...), out, 3)
			if r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			s.intact(p.name, out)
			for _, m := range moved {
				if !m.OK {
					t.Errorf("not moved: %s", m.Reason)
				}
			}
		})
	}
}

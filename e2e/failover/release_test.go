package failover

import (
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A program that is held for a network that may come back: it is said why and for how long, and a person's word ends it. The program
// then sees what it would have seen by itself.
func TestAPersonEndsTheHolding(t *testing.T) {
	s := newSite(t, nginx, "eth0")
	count := without(`[0-9]+ bytes remaining|[0-9]+ out of [0-9]+|[0-9]{6,}`)
	var ends []lab.Result
	for _, under := range []bool{false, true} {
		d := s.download(under, "curl", "-sS", "-o", "out", "URL")
		d.Start()
		s.Await("the download to run", lab.Patience, func() bool { return fileSize(d.out()) > size/3 })
		if r := s.Ctl("release").Run(); r.Status != 3 || !strings.Contains(r.Stderr, "nothing is held") {
			t.Errorf("nothing is held yet: %v", r)
		}
		s.end()
		if under {
			told := ""
			s.Await("what is said of its holding", lab.Patience, func() bool {
				told = s.Ctl("sessions").Run().Stdout
				return strings.Contains(told, "it is told of that in")
			})
			for _, want := range []string{"has been held for", "its connection has ended", "midstreamctl release "} {
				if !strings.Contains(told, want) {
					t.Errorf("there is no %q in\n%s", want, told)
				}
			}
			select {
			case <-d.Ended():
				t.Fatal("it was not held")
			default:
			}
			id := s.sessions()[0].ID
			if r := s.Ctl("release", id).Run(); r.Status != 0 || r.Stdout != "released: "+id+"\n" {
				t.Errorf("%v", r)
			}
		}
		ends = append(ends, d.Wait())
		s.Network("eth0").CarrierUp()
	}
	if ends[0].Status == 0 {
		t.Fatal("the native run was not disturbed")
	}
	lab.Compare(t, ends[0], ends[1], count)
}

// end ends the connections, with no network left over which they could be made anew.
func (s *site) end() {
	s.t.Helper()
	s.Network("eth0").CarrierDown()
	if r := s.Command("ss", "-K", "-t").Run(); r.Status != 0 {
		s.t.Fatalf("%v", r)
	}
}

// A person has a program held for longer than it would be: it goes on when the network comes back.
func TestAPersonHoldsADownload(t *testing.T) {
	s := newSite(t, nginx, "eth0")
	s.Configure("[failover]\npatience = \"1s\"\n")
	d := s.download(true, "curl", "-sS", "-o", "out", "URL")
	d.Start()
	s.Await("the download to run", lab.Patience, func() bool { return fileSize(d.out()) > size/3 })
	id := s.sessions()[0].ID
	for _, step := range []struct {
		args []string
		said string
	}{{[]string{"hold"}, "held: "}, {[]string{"release"}, "released: "}, {[]string{"hold", id}, "held: "}} {
		if r := s.Ctl(step.args...).Run(); r.Status != 0 || r.Stdout != step.said+id+"\n" {
			t.Errorf("%v", r)
		}
	}
	if r := s.Ctl("sessions").Run(); !strings.Contains(r.Stdout, id+" stays where it is until midstreamctl release") {
		t.Errorf("%v", r)
	}
	s.end()
	s.Await("that it is held for longer", lab.Patience, func() bool {
		select {
		case <-d.Ended():
			t.Fatalf("it was told: %v", d.Wait())
		default:
		}
		told := s.Ctl("sessions").Run().Stdout
		return strings.Contains(told, "has been held for 2s") && strings.Contains(told, "it waits until midstreamctl release")
	})
	s.Network("eth0").CarrierUp()
	if r := d.Wait(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
		t.Errorf("%v", r)
	}
}

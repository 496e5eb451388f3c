// Many of everything at once: what is taken has to be given back.

package attack

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// storm moves random sessions to random networks from several control connections until stop is closed.
func (s *site) storm(p *lab.Program, stop <-chan struct{}) *lab.Storm {
	s.t.Helper()
	s.control(p)
	return s.Storm(s.SocketOf(p.Pid()), rand.Uint64(), 4, 10, func(int64) bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	})
}

// enough migrations make a storm.
const enough = 50

// through starts a program that works until its standard input ends, moves its streams all the time while meanwhile runs, and
// returns how many were moved, and how the program ended.
func (s *site) through(p *lab.Program, meanwhile func(storm *lab.Storm)) (int64, lab.Result) {
	s.t.Helper()
	in, err := p.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	p.Start()
	stop := make(chan struct{})
	storm := s.storm(p, stop)
	meanwhile(storm)
	close(stop)
	storm.Wait()
	in.Close()
	r := p.Wait()
	moved := storm.Moved.Load()
	s.t.Logf("%d moved, %d not; %s, %d kB", moved, storm.Refused(), strings.TrimSpace(r.Stdout), r.MaxRSS>>10)
	return moved, r
}

// storms lets it last for that long, and until it is one.
func (s *site) storms(p *lab.Program, storm *lab.Storm, least time.Duration) {
	s.t.Helper()
	begun := time.Now()
	s.Await("enough migrations", 2*waitLimit, func() bool {
		select {
		case <-p.Ended():
			return true
		default:
			return time.Since(begun) >= least && storm.Moved.Load() >= enough
		}
	})
}

// nothingLeft checks that a program without open streams has given back what they took.
func (s *site) nothingLeft(p *lab.Program, c *lab.Control) {
	s.t.Helper()
	s.Await("no session any more", waitLimit, func() bool {
		all, err := c.Sessions()
		return err == nil && len(all) == 0
	})
	var own, core map[int]string
	for end := time.Now().Add(waitLimit / 3); ; time.Sleep(10 * time.Millisecond) {
		own, core = fds(p.Pid(), ""), fds(p.Pid(), coreThread(p.Pid()))
		if sockets(own) <= 2 && sockets(core) <= 16 {
			s.t.Logf("%d descriptors in the program, %d in the core, %d kB resident", len(own), len(core), rss(p.Pid())>>10)
			return
		}
		if time.Now().After(end) {
			s.t.Errorf("left in the program: %v\nleft in the core: %v", own, core)
			return
		}
	}
}

func sockets(fds map[int]string) (n int) {
	for _, what := range fds {
		if strings.HasPrefix(what, "socket:") {
			n++
		}
	}
	return n
}

// endsTheWork has reopen end its work, looks for what is left of that, and has it end.
func (s *site) endsTheWork(p *lab.Program, c *lab.Control, in io.WriteCloser) lab.Result {
	s.t.Helper()
	fmt.Fprint(in, "x")
	ended := false
	s.Await("the end of the work", waitLimit, func() bool {
		out, _ := p.Output()
		select {
		case <-p.Ended():
			ended = true
		default:
		}
		return ended || out != ""
	})
	if !ended {
		s.nothingLeft(p, c)
	}
	in.Close()
	return p.Wait()
}

// Connections are closed while they are moved, and their numbers used again at once.
func TestNumbersUsedAgain(t *testing.T) {
	s := newSite(t)
	_, path := s.film(700_001)
	for _, n := range s.Networks() {
		n.Paced(s.root, lab.ServerOptions{Addresses: []string{n.Content()}, LimitRate: 8 << 20})
	}
	p := s.Midstream(s.CC("reopen"), "24", fmt.Sprint(rand.IntN(1000)), path, host, "80", "/film.mkv")
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	c := s.control(p)
	stop := make(chan struct{})
	storm := s.storm(p, stop)
	s.storms(p, storm, 3*time.Second)
	close(stop)
	storm.Wait()
	r := s.endsTheWork(p, c, in)
	moved := storm.Moved.Load()
	t.Logf("%d moved, %d not; %s, %d kB", moved, storm.Refused(), strings.TrimSpace(r.Stdout), r.MaxRSS>>10)
	if r.Status != 0 || moved < enough {
		t.Errorf("%v", r)
	}
}

// More connections end at once than the core can follow: it may lose exchanges, but gives back what they took.
func TestAnOverloadedCore(t *testing.T) {
	s := newSite(t)
	_, path := s.film(20_001)
	for _, n := range s.Networks() {
		n.Nginx(s.root, lab.ServerOptions{Addresses: []string{n.Content()}})
	}
	// Without CAP_NET_ADMIN the channel to the core holds some hundred messages only.
	p := s.Midstream("setpriv", "--bounding-set", "-net_admin", s.CC("reopen"), "300", "1", path, host, "80", "/film.mkv")
	p.Env = append(p.Env, "GOMAXPROCS=1")
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	c := s.control(p)
	select {
	case <-time.After(2 * time.Second):
	case <-p.Ended():
	}
	before := rss(p.Pid())
	r := s.endsTheWork(p, c, in)
	t.Logf("%s, %d kB, %d kB before the end", strings.TrimSpace(r.Stdout), r.MaxRSS>>10, before>>10)
	if r.Status != 0 {
		t.Errorf("%v", r)
	}
}

// Connections are reset while they are moved by request: both are migrations of the same streams.
func TestResetsDuringMigrations(t *testing.T) {
	for _, program := range []string{"churn", "nasty"} {
		t.Run(program, func(t *testing.T) { resets(t, program) })
	}
}

func resets(t *testing.T, program string) {
	s := newSite(t)
	_, path := s.film(700_001)
	for _, n := range s.Networks() {
		n.Paced(s.root, lab.ServerOptions{Addresses: []string{n.Content()}, LimitRate: 2 << 20})
	}
	p := s.Midstream(s.CC(program), "12", fmt.Sprint(rand.IntN(1000)), path, host, "80", "/film.mkv")
	moved, r := s.through(p, func(storm *lab.Storm) {
		c := s.control(p)
		s.Await("downloads", waitLimit, func() bool {
			all, err := c.Sessions()
			return err == nil && len(all) >= 12
		})
		for i := range 12 {
			select {
			case <-time.After(250 * time.Millisecond):
				s.Networks()[i%2].ResetConnections()
			case <-p.Ended():
			}
		}
		s.storms(p, storm, 0)
	})
	// A reset between two exchanges is the program's to deal with, and one in the answer's head cannot be mended.
	native := strings.Contains(r.Stderr, "with 0 octets left") || strings.HasPrefix(r.Stderr, "send: ")
	if r.Status != 0 && !native || r.Status == 0 && moved < enough {
		t.Errorf("%v", r)
	}
}

// A program puts files of its own on the numbers that Midstream has taken for itself.
func TestNumbersOfMidstreamsOwn(t *testing.T) {
	s := newSite(t)
	_, path := s.film(700_001)
	for _, n := range s.Networks() {
		n.Paced(s.root, lab.ServerOptions{Addresses: []string{n.Content()}, LimitRate: 4 << 20})
	}
	p := s.Midstream(s.CC("squat"), "8", fmt.Sprint(rand.IntN(1000)), path, host, "80", "/film.mkv")
	moved, r := s.through(p, func(storm *lab.Storm) { s.storms(p, storm, 3*time.Second) })
	if r.Status != 0 || moved < enough {
		t.Errorf("%v", r)
	}
}

// A program that reads in every way, and changes it all the time, cannot tell moves.
func TestEveryWayOfReading(t *testing.T) {
	s := newSite(t)
	_, path := s.film(300_001)
	for _, n := range s.Networks() {
		n.Paced(s.root, lab.ServerOptions{Addresses: []string{n.Content()}, LimitRate: 2 << 20})
	}
	arguments := []string{s.CC("nasty"), "8", fmt.Sprint(rand.IntN(1000)), path, host, "80", "/film.mkv"}
	native := s.Command(arguments...)
	in, err := native.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	native.Start()
	select {
	case <-time.After(time.Second):
	case <-native.Ended():
	}
	in.Close()
	if r := native.Wait(); r.Status != 0 {
		t.Fatalf("does not work natively: %v", r)
	}
	p := s.Midstream(arguments...)
	moved, r := s.through(p, func(storm *lab.Storm) { s.storms(p, storm, 5*time.Second) })
	if r.Status != 0 || moved < enough {
		t.Errorf("%v", r)
	}
}

// Threads that share one epoll set, in which each event is for one of them, lose no event.
func TestAPoolOfThreads(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(map[bool]string{false: "moved", true: "moved and reset"}[fails], func(t *testing.T) {
			s := newSite(t)
			_, path := s.film(700_001)
			for _, n := range s.Networks() {
				n.Paced(s.root, lab.ServerOptions{Addresses: []string{n.Content()}, LimitRate: 2 << 20})
			}
			p := s.Midstream(s.CC("pool"), "6", "20", path, host, "80", "/film.mkv")
			moved, r := s.through(p, func(storm *lab.Storm) {
				for i := 0; i < 6 && fails; i++ {
					s.storms(p, storm, 250*time.Millisecond)
					s.Networks()[i%2].ResetConnections()
				}
				s.storms(p, storm, 2*time.Second)
			})
			native := fails && strings.HasPrefix(r.Stderr, "send: ")
			if r.Status != 0 && !native || r.Status == 0 && moved < enough {
				t.Errorf("%v", r)
			}
		})
	}
}

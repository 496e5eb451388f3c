// Triggers at odd moments of an exchange.

package migration

import (
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

const smallSize = 300_000

func TestTriggerAtAnyMomentOfAnExchange(t *testing.T) {
	for _, moment := range []struct {
		name   string
		octets int // of head and content that the program has when the trigger comes; negative from the end
	}{
		{"before the response", 0},
		{"in the head", 20},
		{"at the last octet of the head", headLength(smallSize) - 1},
		{"before the first octet of content", headLength(smallSize)},
		{"at the first octet", headLength(smallSize) + 1},
		{"in the middle", smallSize / 2},
		{"before the last octet", -1},
	} {
		t.Run(moment.name, func(t *testing.T) {
			s := newSite(t)
			sum := s.file("film.mkv", smallSize)
			goOn := make(chan struct{})
			s.scripted(s.Network("wlan0"), s.inTwo("film.mkv", moment.octets, goOn))
			s.scripted(s.Network("wwan0"), s.right("film.mkv"))
			j := s.job(true, s.fetch("blocked", "film.mkv")...)
			in, err := j.StdinPipe() // until it is closed, the program stays
			if err != nil {
				t.Fatal(err)
			}
			j.Start()
			content := max(int64(moment.octets-headLength(smallSize)), 0)
			if moment.octets < 0 {
				content = smallSize + int64(moment.octets)
			}
			j.await("the exchange", func(s lab.Session) bool { return s.State == "active" && s.Received == content })
			results := make(chan []lab.Moved)
			go func() { results <- j.migrate("wwan0") }()
			// Until the head is there, the trigger may wait for it.
			select {
			case moved := <-results:
				close(goOn)
				check(t, moved)
			case <-time.After(time.Second):
				close(goOn)
				check(t, <-results)
			}
			in.Close()
			if r := j.succeeds("out", sum); !strings.Contains(r.Stdout, same) {
				t.Errorf("%v", r)
			}
		})
	}
}

func check(t *testing.T, moved []lab.Moved) {
	t.Helper()
	if len(moved) != 1 || !moved[0].OK {
		t.Errorf("%+v", moved)
	}
}

func TestTriggerAfterTheEndMovesTheIdleConnection(t *testing.T) {
	s := newSite(t)
	s.file("film.mkv", 100_000)
	s.nginx(lab.ServerOptions{})
	resets := s.Network("wlan0").CaptureRST()
	j := s.job(true, "python3", "-c", `import http.client, sys
c = http.client.HTTPConnection("download.example")
for line in sys.stdin:
    c.request("GET", "/film.mkv")
    r = c.getresponse()
    print(r.status, len(r.read()), c.sock.fileno(), c.sock.getpeername()[0], flush=True)`)
	in, err := j.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	for i, to := range []string{"wwan0", "wlan0", "wwan0"} {
		in.Write([]byte("next\n"))
		s.Await("exchange", waitLimit, func() bool {
			out, _ := j.Output()
			return strings.Count(out, "\n") == i+1
		})
		session := j.await("idle", func(s lab.Session) bool { return s.State == "idle" })
		if !session.Movable {
			t.Errorf("%+v", session)
		}
		j.mustMigrate(to)
	}
	in.Write([]byte("last\n"))
	in.Close()
	r := j.Wait()
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	if len(lines) != 4 || lines[0] != lines[1] || lines[1] != lines[2] || lines[2] != lines[3] || r.Status != 0 {
		t.Errorf("%v", r)
	}
	resets.WaitReset(80, waitLimit)
	// The first over wlan0, the second over wwan0, the third over wlan0, the last over wwan0.
	if a, b := len(s.web["wlan0"].Requests()), len(s.web["wwan0"].Requests()); a != 2 || b != 2 {
		t.Errorf("%d exchanges over wlan0, %d over wwan0", a, b)
	}
}

func TestTriggerDuringAMigration(t *testing.T) {
	s := newSite(t, "wlan0", "wwan0", "eth0")
	sum := s.file("film.mkv", 4<<20)
	s.paced(2 << 20)
	j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	j.awaitReceived(500_000)
	var paths []string
	for path := range j.controls() {
		paths = append(paths, path)
	}
	results := make(chan []lab.Moved)
	const triggers = 12
	for i := range triggers {
		c, err := s.ControlSocket(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			moved, _ := c.Migrate([]string{"wwan0", "eth0", "wlan0"}[i%3])
			results <- moved
		}()
	}
	made := 0
	for range triggers {
		moved := <-results
		check(t, moved)
		if len(moved) == 1 && moved[0].Migration != nil {
			made++ // of two in a row to the same network, the second is none
		}
	}
	if n := len(j.sessions()[0].Migrations); n != made || made < triggers/2 {
		t.Errorf("%d migrations are remembered of %d", n, made)
	}
	j.succeeds("out", sum)
}

func TestToAndFroAmongThreeInterfaces(t *testing.T) {
	s := newSite(t, "wlan0", "wwan0", "eth0")
	sum := s.file("film.mkv", 4<<20)
	s.paced(3 << 20)
	j := s.under("wget", "-q", "-O", "out", url("film.mkv"))
	var all []lab.Moved
	for i := range 12 {
		j.awaitReceived(int64(i+1) * 250_000)
		all = append(all, j.mustMigrate([]string{"wwan0", "eth0", "wlan0"}[i%3])...)
	}
	j.succeeds("out", sum)
	for i, m := range all {
		s.resumed(m.Migration.To.Interface, *m.Migration, 0)
		if i > 0 && (m.Migration.From != all[i-1].Migration.To || m.Migration.Offset < all[i-1].Migration.Offset) {
			t.Errorf("migration %d: %+v after %+v", i, m.Migration, all[i-1].Migration)
		}
	}
}

// The program keeps the peer that it connected to, also where the other network has another family only.
func TestFamilyOfTheOtherNetworkMayBeAnother(t *testing.T) {
	for name, family := range map[string]struct {
		flag     string
		from, to func(*lab.Network) string
		peer     string
	}{
		"to IPv6": {"-4", (*lab.Network).Content, (*lab.Network).Content6, "10.77.1.80"},
		"to IPv4": {"-6", (*lab.Network).Content6, (*lab.Network).Content, "fd77:1::80"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSiteOf(t, map[string]func(*lab.Network) []string{
				"wlan0": func(n *lab.Network) []string { return []string{family.from(n)} },
				"wwan0": func(n *lab.Network) []string { return []string{family.to(n)} },
			})
			sum := s.file("film.mkv", 3<<20)
			s.paced(2 << 20)
			j := s.under("curl", "-sS", family.flag, "-o", "out", "-w", "%{remote_ip} %{remote_port}", url("film.mkv"))
			j.awaitReceived(300_000)
			moved := j.mustMigrate("wwan0")
			j.awaitReceived(1_500_000)
			j.mustMigrate("wlan0")
			if r := j.succeeds("out", sum); r.Stdout != family.peer+" 80" {
				t.Errorf("%v", r)
			}
			s.resumed("wwan0", *moved[0].Migration, 0)
		})
	}
}

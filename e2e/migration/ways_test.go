// Ways of waiting and reading: whatever a program does with its socket, a hand-over is not seen.

package migration

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// fetch is the command of e2e/clients/fetch.c.
func (s *site) fetch(mode, file string) []string {
	return []string{s.CC("fetch"), mode, "out", host, "80", "/" + file}
}

const same = "the socket is as it was"

func TestEveryWayOfWaitingAndReadingIsMoved(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 3<<20)
	s.paced(3 << 20)
	modes := []string{"blocked", "early", "thread", "vector", "splice", "waitall", "peek", "timeout", "poll", "select", "epoll-level", "epoll-edge", "epoll-oneshot", "epoll-oneshot-edge"}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			outer := s.t
			s.t = t
			defer func() { s.t = outer }()
			j := s.under(s.fetch(mode, "film.mkv")...)
			var all []lab.Moved
			for i, to := range []string{"wwan0", "wlan0", "wwan0", "wlan0", "wwan0"} {
				j.awaitReceived(int64(i+1) * 150_000)
				all = append(all, j.mustMigrate(to)...)
			}
			r := j.succeeds("out", sum)
			for _, m := range all {
				if m.Migration.Delivery != "direct" {
					t.Errorf("%+v", m)
				}
				s.resumed(m.Migration.To.Interface, *m.Migration, 0)
			}
			if r.Stdout != "status 200, 3145728 octets, "+same+"\n" {
				t.Errorf("%v", r)
			}
		})
	}
}

// While a program reads as fast as it can, it reads the short way, and the hand is away until a trigger calls for it.
func TestDownloadsAtFullSpeedAreMoved(t *testing.T) {
	s := newSite(t)
	const size = 512 << 20
	sum := s.file("film.mkv", size)
	s.nginx(lab.ServerOptions{})
	get := "import socket,sys\nc=socket.create_connection((sys.argv[1],80))\n" +
		"c.sendall(b'GET /film.mkv HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' % sys.argv[1].encode())\n" +
		"f=open('out','wb',0);d=c.recv(8192)\nh,d=d.split(b'\\r\\n\\r\\n')\nwhile d: f.write(d);d=c.recv(8192)\n"
	for name, args := range map[string][]string{
		"wget":   {"wget", "-q", "-O", "out", url("film.mkv")}, // select and read
		"curl":   {"curl", "-s", "-o", "out", url("film.mkv")}, // poll and recv, not blocking
		"python": {"python3", "-c", get, host},                 // recv, blocking
	} {
		t.Run(name, func(t *testing.T) {
			outer := s.t
			s.t = t
			defer func() { s.t = outer }()
			j := s.under(args...)
			for i, to := range []string{"wwan0", "wlan0", "wwan0", "wlan0"} {
				j.awaitReceived(int64(i+1) * size / 6)
				j.mustMigrate(to)
			}
			if r := j.succeeds("out", sum); r.Stdout+r.Stderr != "" {
				t.Errorf("%v", r)
			}
		})
	}
}

// The kernel enlarges a receive buffer where a reader is fast: of a process's first response, which the core starts beside, a
// long one has room from the beginning, and what the program has asked for stays as it is.
func TestALongFirstResponseHasRoom(t *testing.T) {
	s := newSite(t)
	s.file("long", 32<<20)
	s.file("short", 1<<20)
	s.nginx(lab.ServerOptions{})
	get := `import socket,sys
c=socket.socket()
c.setsockopt(socket.SOL_SOCKET,socket.SO_RCVLOWAT,7)
if sys.argv[3]=="fixed": c.setsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF,20000)
c.connect((sys.argv[1],80))
c.sendall(("GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (sys.argv[2],sys.argv[1])).encode())
h=b""
while b"\r\n\r\n" not in h: h+=c.recv(7)
print(c.getsockopt(socket.SOL_SOCKET,socket.SO_RCVBUF)>256*1024, c.getsockopt(socket.SOL_SOCKET,socket.SO_RCVLOWAT))`
	for _, c := range [][3]string{{"long", "own", "True 7\n"}, {"short", "own", "False 7\n"}, {"long", "fixed", "False 7\n"}} {
		if r := s.under("python3", "-c", get, host, c[0], c[1]).Wait(); r.Stdout != c[2] {
			t.Errorf("%s, %s: %v", c[0], c[1], r)
		}
	}
}

func TestSocketsThatCannotBeMovedSayWhy(t *testing.T) {
	for mode, words := range map[string]string{
		"child": "holds it as well",
		"dup":   "several descriptors",
		"stdio": "through stdio",
	} {
		t.Run(mode, func(t *testing.T) {
			s := newSite(t)
			sum := s.file("film.mkv", 2<<20)
			s.paced(2 << 20)
			j := s.under(s.fetch(mode, "film.mkv")...)
			j.await("a response", func(s lab.Session) bool { return s.Received > 100_000 || mode != "child" && s.State == "active" })
			j.mustRefuse("wwan0", words)
			j.succeeds("out", sum)
			if r := s.web["wwan0"].Requests(); len(r) > 1 {
				t.Errorf("the new server was asked: %v", r)
			}
		})
	}
}

func TestDownloadIsMovedWhileTheProgramReadsNothing(t *testing.T) {
	for _, mode := range []string{"pause", "mptcp-pause"} {
		t.Run(mode, func(t *testing.T) {
			n, err := os.ReadFile("/proc/sys/net/mptcp/enabled")
			if mode == "mptcp-pause" && (err != nil || strings.TrimSpace(string(n)) != "1") {
				t.Skip("this kernel has no MPTCP")
			}
			s := newSite(t)
			sum := s.file("film.mkv", 32<<20)
			s.paced(0) // Go's server speaks MPTCP with clients that do
			j := s.job(true, s.fetch(mode, "film.mkv")...)
			in, err := j.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			j.Start()
			j.awaitReceived(16 << 20)
			for _, to := range []string{"wwan0", "wlan0", "wwan0"} {
				j.mustMigrate(to)
			}
			in.Write([]byte("go on\n"))
			in.Close()
			if r := j.succeeds("out", sum); !strings.Contains(r.Stdout, same) {
				t.Errorf("%v", r)
			}
		})
	}
}

// A program that mptcpize(8) has speak Multipath TCP is moved, and then continued from another server. mptcpize stands before the launcher:
// it sets LD_PRELOAD anew.
func TestMultipathSockets(t *testing.T) {
	n, err := os.ReadFile("/proc/sys/net/mptcp/enabled")
	if err != nil || strings.TrimSpace(string(n)) != "1" {
		t.Skip("this kernel has no MPTCP")
	}
	s := newSite(t)
	sum := s.file("film.mkv", 32<<20)
	s.paced(0) // Go's server speaks MPTCP with clients that do; the kernel paces no MPTCP, so that the program has to
	j := s.job(false, "mptcpize", "run", lab.Build(t, "midstream"), "--", "curl", "-sS", "--limit-rate", "16M", "-o", "out", url("film.mkv"))
	multipath := func(to string) bool {
		out, err := exec.Command("ss", "-HMan", "dport", "=", "80").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), s.Network(to).Content()+":80") || strings.Contains(string(out), "["+s.Network(to).Content6()+"]:80")
	}
	j.Start()
	j.awaitReceived(1 << 20)
	if !multipath("wlan0") {
		t.Fatal("it does not speak MPTCP")
	}
	moved := j.mustMigrate("wwan0")
	t.Logf("moved, %s, nothing for %.1f ms", moved[0].Migration.Delivery, moved[0].Migration.StallMS)
	if !multipath("wwan0") {
		t.Error("it does not speak MPTCP any more")
	}
	s.web["wwan0"].Kill()
	j.succeeds("out", sum)
}

func TestManyStreamsAreMovedByOneTrigger(t *testing.T) {
	for name, count := range map[string]string{"a hundred": "100", "a thousand": "1000"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.file("film.mkv", 600<<10)
			s.nginx(lab.ServerOptions{})
			j := s.job(true, s.CC("many"), count, s.root+"/film.mkv", host, "80", "/film.mkv")
			in, err := j.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			j.Start()
			s.Await("beginning of all streams", waitLimit, func() bool {
				out, _ := j.Output()
				return strings.Contains(out, "all have begun")
			})
			s.Await("all streams known to the core", waitLimit, func() bool { return strconv.Itoa(len(j.sessions())) == count })
			moved := j.mustMigrate("wwan0")
			if got := len(moved); strings.TrimSpace(count) != strconv.Itoa(got) {
				t.Errorf("%d streams moved", got)
			}
			in.Write([]byte("go on\n"))
			if r := j.Wait(); r.Status != 0 || !strings.Contains(r.Stdout, count+" complete") {
				t.Errorf("%v", r)
			}
			resumed := 0
			for _, r := range s.web["wwan0"].Requests() {
				if r.Status == 206 {
					resumed++
				}
			}
			if resumed < len(moved) {
				t.Errorf("the second server sent %d rests", resumed)
			}
		})
	}
}

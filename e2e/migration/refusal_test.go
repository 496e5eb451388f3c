// Migrations that cannot be: refused with a reason, while the download goes on undisturbed over its old connection.

package migration

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

const refusedSize = 1_500_000

// refusing is a way in which the second network cannot go on with the download.
type refusing struct {
	name   string
	breaks func(s *site, n *lab.Network)
	words  string // of the reason
}

var refusals = []refusing{
	{"other content", func(s *site, n *lab.Network) {
		root := s.t.TempDir()
		lab.Content(s.t, root, "film.mkv", refusedSize, 8)
		later := lab.Modified.Add(time.Hour)
		os.Chtimes(filepath.Join(root, "film.mkv"), later, later)
		n.Nginx(root, lab.ServerOptions{})
	}, ""},
	{"longer content", func(s *site, n *lab.Network) {
		root := s.t.TempDir()
		lab.Content(s.t, root, "film.mkv", refusedSize+1, 7)
		n.Nginx(root, lab.ServerOptions{})
	}, ""},
	{"no such file", func(s *site, n *lab.Network) { n.Nginx(s.t.TempDir(), lab.ServerOptions{}) }, "404"},
	{"nothing listens", func(s *site, n *lab.Network) {}, "refused"},
	{"nobody answers", func(s *site, n *lab.Network) {
		n.Nginx(s.root, lab.ServerOptions{})
		n.Drop(lab.Both)
	}, ""},
	{"the name is unknown there", func(s *site, n *lab.Network) {
		n.Nginx(s.root, lab.ServerOptions{})
		s.dns["wwan0"].Kill()
		n.DNS(map[string][]string{"other.example": {n.Content()}})
	}, host},
	{"no DNS server", func(s *site, n *lab.Network) {
		n.Nginx(s.root, lab.ServerOptions{})
		s.dns["wwan0"].Kill()
	}, host},
	{"no address", func(s *site, n *lab.Network) {
		n.Nginx(s.root, lab.ServerOptions{})
		n.RemoveAddresses()
	}, "address"},
	{"the interface is down", func(s *site, n *lab.Network) {
		n.Nginx(s.root, lab.ServerOptions{})
		if r := s.Command("ip", "link", "set", "wwan0", "down").Run(); r.Status != 0 {
			s.t.Fatal(r)
		}
	}, "down"},
	{"closes without an answer", scriptedRefusal(func(c net.Conn, r *http.Request) { c.Close() }), "without an answer"},
	{"answers garbage", scriptedRefusal(func(c net.Conn, r *http.Request) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n") }), "malformed"},
	{"endless head", scriptedRefusal(func(c net.Conn, r *http.Request) {
		fmt.Fprint(c, "HTTP/1.1 206 Partial Content\r\n")
		line := "X-Filler: " + strings.Repeat("x", 1000) + "\r\n"
		for {
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
	}), ""},
	{"a range that was not asked for", scriptedRefusal(func(c net.Conn, r *http.Request) {
		fmt.Fprintf(c, "HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\nContent-Range: bytes 0-999/%d\r\nETag: %s\r\n\r\n%s",
			refusedSize, etag, bytes.Repeat([]byte("x"), 1000))
	}), "octets"},
	{"never answers", scriptedRefusal(func(c net.Conn, r *http.Request) { c.Read(make([]byte, 1)) }), "time"},
	{"redirects", scriptedRefusal(func(c net.Conn, r *http.Request) {
		fmt.Fprint(c, "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n")
	}), "302"},
}

func scriptedRefusal(answer func(net.Conn, *http.Request)) func(*site, *lab.Network) {
	return func(s *site, n *lab.Network) { s.scripted(n, answer) }
}

func TestRefusedMigrationLeavesTheDownloadUndisturbed(t *testing.T) {
	for _, way := range refusals {
		t.Run(way.name, func(t *testing.T) {
			s := newSite(t)
			sum := s.file("film.mkv", refusedSize)
			s.Configure("[migration]\ntimeout = \"1s\"\n")
			goOn := make(chan struct{})
			first := s.scripted(s.Network("wlan0"), s.inTwo("film.mkv", 700_000, goOn))
			if strings.Contains(way.name, "content") || way.name == "no such file" {
				// Only nginx's entity tags can be compared with nginx's.
				first = nil
			}
			way.breaks(s, s.Network("wwan0"))
			j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
			j.awaitReceived(600_000)
			j.mustRefuse("wwan0", way.words)
			session := j.sessions()[0]
			if session.Interface != "wlan0" || len(session.Migrations) != 0 || !session.Movable {
				t.Errorf("after the refusal: %+v", session)
			}
			close(goOn)
			r := j.succeeds("out", sum)
			if r.Stdout != "" || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			if first != nil && len(first.seen()) != 1 {
				t.Errorf("the first server was asked %d times", len(first.seen()))
			}
		})
	}
}

// A thread that sleeps in a read cannot be woken without harm to its connection: so nothing is done to that before everything has
// been asked that may refuse.
func TestRefusalLeavesASleepingReaderAlone(t *testing.T) {
	s := newSite(t)
	// Alike everywhere: only the hand-over itself finds out that the program is farther than what it was seen to read.
	os.WriteFile(filepath.Join(s.root, "film.mkv"), bytes.Repeat([]byte("x"), refusedSize), 0o644)
	sum := lab.Sum(filepath.Join(s.root, "film.mkv"))
	goOn := make(chan struct{})
	first := s.scripted(s.Network("wlan0"), s.inTwo("film.mkv", 700_000, goOn))
	s.scripted(s.Network("wwan0"), s.right("film.mkv"))
	j := s.under(s.fetch("raw", "film.mkv")...)
	j.awaitReceived(600_000)
	for range 2 {
		j.mustRefuse("wwan0", "past Midstream's hooks")
	}
	close(goOn)
	if r := j.succeeds("out", sum); !strings.Contains(r.Stdout, same) || r.Stderr != "" {
		t.Errorf("%v", r)
	}
	if n := len(first.seen()); n != 1 {
		t.Errorf("the first server was asked %d times", n)
	}
}

func TestSlowServerIsWaitedForWhileTheOldConnectionDelivers(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 24<<20) // which the old connection has not delivered by then, however well it keeps its pace
	s.web["wlan0"] = s.Network("wlan0").Paced(s.root, lab.ServerOptions{LimitRate: 1 << 20})
	all := s.content("film.mkv")
	info, _ := os.Stat(filepath.Join(s.root, "film.mkv"))
	tag := fmt.Sprintf(`"%x-%x"`, info.ModTime().Unix(), info.Size())
	s.scripted(s.Network("wwan0"), func(c net.Conn, r *http.Request) {
		time.Sleep(700 * time.Millisecond) // what is shown is that nothing waits for it
		text, from := head(r, len(all))
		c.Write([]byte(strings.ReplaceAll(text, etag, tag)))
		c.Write(all[from:])
	})
	j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	before := j.awaitReceived(300_000)
	moved := j.mustMigrate("wwan0")
	if m := moved[0].Migration; m.Offset < before.Received+400_000 {
		t.Errorf("the old connection delivered %d octets during the 700 ms in which the new server thought", m.Offset-before.Received)
	}
	j.succeeds("out", sum)
}

func TestBreakBeforeMake(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 4<<20)
	s.Configure("[[migration.pairs]]\nfrom = \"wlan0\"\nto = \"wwan0\"\nsingle = true\n")
	s.paced(2 << 20)
	resets := s.Network("wlan0").CaptureRST()
	j := s.under(s.fetch("epoll-level", "film.mkv")...)
	j.awaitReceived(500_000)
	moved := j.mustMigrate("wwan0")
	resets.WaitReset(80, waitLimit)
	if m := moved[0].Migration; m.To.Interface != "wwan0" {
		t.Errorf("%+v", m)
	}
	j.awaitReceived(2_000_000)
	j.mustMigrate("wlan0") // this way round it is make before break
	if r := j.succeeds("out", sum); !strings.Contains(r.Stdout, same) {
		t.Errorf("%v", r)
	}
	s.resumed("wwan0", *moved[0].Migration, 0)
}

// A server that is not reached after the old connection was given up is not the end: the old network is.
func TestBreakBeforeMakeReturnsToTheOldNetwork(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 3<<20)
	s.Configure("[migration]\nsingle = true\ntimeout = \"3s\"\n")
	s.web["wlan0"] = s.Network("wlan0").Paced(s.root, lab.ServerOptions{LimitRate: 2 << 20})
	j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	j.awaitReceived(500_000)
	j.mustRefuse("wwan0", "")
	j.succeeds("out", sum)
}

func TestControlProgram(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 4<<20)
	s.paced(2 << 20)
	j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	j.awaitReceived(300_000)
	ctl := func(status int, words string, args ...string) {
		t.Helper()
		r := j.ctl(args...)
		if r.Status != status || !strings.Contains(r.Stdout+r.Stderr, words) {
			t.Errorf("%v; want status %d and %q", r, status, words)
		}
	}
	ctl(0, url("film.mkv"), "sessions")
	ctl(0, "usage", "--help")
	ctl(0, "--to", "migrate", "--help")
	ctl(2, "", "migrate")
	ctl(2, "", "nonsense")
	ctl(1, "nosuch0", "migrate", "--to", "nosuch0")
	ctl(3, "", "migrate", "--to", "wwan0", "--pid", "1")
	ctl(3, "", "migrate", "--to", "wwan0", "--session", fmt.Sprintf("%d-99", j.Pid()))
	ctl(0, "wwan0", "migrate", "--to", "wwan0", "--pid", fmt.Sprint(j.Pid()))

	// The socket of a process that was killed stays behind, and is passed over.
	dead := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	dead.awaitReceived(100_000)
	syscall.Kill(dead.Pid(), syscall.SIGKILL)
	<-dead.Ended()
	if r := dead.ctl("sessions", "--json"); r.Status != 0 || strings.TrimSpace(r.Stdout) != "[]" {
		t.Errorf("sessions of a dead process: %v", r)
	}
	if r := dead.ctl("migrate", "--to", "wwan0"); r.Status != 3 {
		t.Errorf("migrate of a dead process: %v", r)
	}
	j.succeeds("out", sum)
}

func TestMessagesThatAreNoneDisturbNothing(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 4<<20)
	s.paced(2 << 20)
	j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	j.awaitReceived(100_000)
	path := filepath.Join(j.runtime, fmt.Sprintf("%d.sock", j.Pid()))
	for name, message := range map[string]string{
		"no JSON":        "hello\n",
		"another JSON":   "[1, 2, 3]\n",
		"no method":      `{"jsonrpc":"2.0","id":1}` + "\n",
		"unknown method": `{"jsonrpc":"2.0","id":1,"method":"erase"}` + "\n",
		"wrong params":   `{"jsonrpc":"2.0","id":1,"method":"migrate","params":{"to":7}}` + "\n",
		"nested":         strings.Repeat("[", 60_000) + "\n",
		"NUL":            "\x00\x00\x00\n",
		"oversized":      `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 8<<20) + "\"}\n",
		"without end":    strings.Repeat("x", 8<<20),
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(waitLimit))
		c.Write([]byte(message)) // the other side may have hung up before its end
		answer := make([]byte, 4096)
		n, err := c.Read(answer)
		if text := string(answer[:n]); err == nil && !strings.Contains(text, `"error"`) {
			t.Errorf("%s: answered %q", name, text)
		} else if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%s: no answer", name)
		}
		c.Close()
	}
	j.mustMigrate("wwan0")
	if out, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", j.Pid())); len(out) > 0 {
		for _, line := range strings.Split(string(out), "\n") {
			if strings.HasPrefix(line, "VmRSS:") {
				t.Log(line)
			}
		}
	}
	j.succeeds("out", sum)
}

func TestAnotherUserIsNotHeard(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 3<<20)
	s.paced(2 << 20)
	j := s.under("curl", "-sS", "-o", "out", url("film.mkv"))
	j.awaitReceived(100_000)
	// Even where somebody opened the folders to everyone.
	path := filepath.Join(j.runtime, fmt.Sprintf("%d.sock", j.Pid()))
	for _, folder := range []string{"/run/lab", s.Dir, s.RuntimeDir(), j.runtime} {
		os.Chmod(folder, 0o755)
	}
	os.Chmod(path, 0o666)
	r := s.Command("setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", `import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"migrate","params":{"to":"wwan0"}}\n')
    print(s.recv(4096).decode())
except OSError as e:
    print(e)`, path).Run()
	if strings.Contains(r.Stderr, "setresuid") {
		t.Skip("no other user in this namespace")
	}
	if r.Status != 0 || strings.Contains(r.Stdout, `"result"`) {
		t.Errorf("%v", r)
	}
	if session := j.sessions()[0]; session.Interface != "wlan0" {
		t.Errorf("%+v", session)
	}
	j.succeeds("out", sum)
}

// Programs that use their descriptors in ways few do.

package attack

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// A server that answers before it has been asked in full: no request is known that could be repeated.
func TestAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	s := newSite(t)
	all, path := s.film(300_000)
	goOn := make(chan struct{})
	s.serve("wlan0", func(c net.Conn, in *bufio.Reader) {
		in.ReadString('\n')
		text, _ := head(&http.Request{}, len(all))
		c.Write([]byte(text))
		c.Write(all[:100_000])
		<-goOn
		c.Write(all[100_000:])
	})
	s.serve("wwan0", right(all))
	p := s.Midstream("python3", "-c", `import socket, sys
s = socket.create_connection((sys.argv[1], 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n")
b = b""
while len(b.partition(b"\r\n\r\n")[2]) < 300000: b += s.recv(65536)
print(b.partition(b"\r\n\r\n")[2] == open(sys.argv[2], "rb").read())`, host, path).Start()
	c := s.control(p)
	s.received(c, 100_000)
	if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || moved[0].OK {
		t.Errorf("%+v, %v", moved, err)
	}
	close(goOn)
	s.succeeds(p, "True")
}

// Events that are shown only once (EPOLLONESHOT, EPOLLET) are not lost when a failure is mended behind them, nor when
// it is not.
func TestEventsShownOnce(t *testing.T) {
	for _, c := range []struct {
		name          string
		other, resets bool
		want          string
	}{
		{"mended", true, false, "300000 True"},
		{"mended after a reset", true, true, "300000 True"},
		{"shown", false, false, "100000 True"},
		{"shown as a reset", false, true, "Connection reset by peer\n100000 True"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.Configure("[failover]\npatience = \"1s\"\n")
			all, path := s.film(300_000)
			goOn := make(chan struct{})
			s.serve("wlan0", part(all, 100_000, func(conn net.Conn) {
				<-goOn
				if c.resets {
					conn.(*net.TCPConn).SetLinger(0)
				}
			}))
			if c.other {
				s.serve("wwan0", right(all))
			}
			var programs []*lab.Program
			for _, flags := range []string{"EPOLLONESHOT", "EPOLLET", "EPOLLET | select.EPOLLONESHOT", "EPOLLRDHUP"} {
				programs = append(programs, s.Midstream("python3", "-c", `import select, socket, sys
s = socket.create_connection((sys.argv[1], 80))
s.setblocking(False)
e = select.epoll()
events = select.EPOLLIN | select.EPOLLRDHUP | select.`+flags+`
e.register(s, events)
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n\r\n")
b, end = b"", False
while not end and len(b.partition(b"\r\n\r\n")[2]) < 300000:
    if not e.poll(10): print("no event"); break
    try:
        while True:
            d = s.recv(65536)
            b += d
            if not d: end = True; break
    except BlockingIOError:
        e.modify(s, events)
    except OSError as x:
        print(x.strerror); break
c = b.partition(b"\r\n\r\n")[2]
print(len(c), c == open(sys.argv[2], "rb").read()[:len(c)])`, host, path).Start())
			}
			for _, p := range programs {
				s.received(s.control(p), 100_000)
			}
			close(goOn)
			for _, p := range programs {
				s.succeeds(p, c.want)
			}
		})
	}
}

// A program that reads octet by octet, and waits for the next one when its network goes away.
func TestAReaderOfSingleOctets(t *testing.T) {
	s := newSite(t)
	all, path := s.film(300_000)
	s.serve("wlan0", part(all, 200_000, func(c net.Conn) { time.Sleep(waitLimit) }))
	s.serve("wwan0", right(all))
	p := s.Midstream("python3", "-c", `import socket, sys
s = socket.create_connection((sys.argv[1], 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n\r\n")
b = bytearray()
while not b.endswith(b"\r\n\r\n"): b += s.recv(1)
c = bytearray()
while len(c) < 300000: c += s.recv(1)
print(c == open(sys.argv[2], "rb").read())`, host, path).Start()
	c := s.control(p)
	s.received(c, 200_000)
	begun := time.Now()
	if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
		t.Errorf("%+v, %v", moved, err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	s.succeeds(p, "True")
}

// A program that waits on a silent connection is moved to one that is silent at first as well.
func TestWaitersOnAQuietNewConnection(t *testing.T) {
	for name, wait := range map[string]string{
		"poll":    "p = select.poll(); p.register(s, select.POLLIN); wait = lambda: p.poll(8000)",
		"select":  "wait = lambda: select.select([s], [], [], 8)[0]",
		"epoll":   "e = select.epoll(); e.register(s, select.EPOLLIN); wait = lambda: e.poll(8)",
		"edge":    "e = select.epoll(); e.register(s, select.EPOLLIN | select.EPOLLET); wait = lambda: e.poll(8)",
		"timeout": "s.settimeout(8); wait = lambda: True",
		"blocked": "s.setblocking(True); wait = lambda: True",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			all, path := s.film(300_000)
			goOn := make(chan struct{})
			var asked atomic.Int32
			s.serve("wlan0", part(all, 100_000, func(c net.Conn) { <-goOn }))
			s.serve("wwan0", func(c net.Conn, in *bufio.Reader) {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				// The old connection falls short of what is asked for first; to the second question there is no new octet.
				have := 100_000
				if asked.Add(1) == 1 {
					have = 200_000
				}
				text, from := head(r, len(all))
				c.Write([]byte(text))
				c.Write(all[from:max(from, have)])
				<-goOn
				c.Write(all[max(from, have):])
			})
			p := s.Midstream("python3", "-c", `import select, socket, sys
s = socket.create_connection((sys.argv[1], 80))
s.setblocking(False)
flags = 0
`+wait+`
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n\r\n")
b = b""
while len(b.partition(b"\r\n\r\n")[2]) < 300000:
    try: d = s.recv(1024, flags)
    except BlockingIOError:
        if not wait(): print("it has slept on"); break
        continue
    if not d: print("it ended"); break
    b += d
print(b.partition(b"\r\n\r\n")[2] == open(sys.argv[2], "rb").read())`, host, path).Start()
			c := s.control(p)
			s.received(c, 100_000)
			if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
				t.Errorf("%+v, %v", moved, err)
			}
			close(goOn)
			s.succeeds(p, "True")
			if r := p.Wait(); r.Elapsed > 7*time.Second {
				t.Errorf("it took %v", r.Elapsed)
			}
		})
	}
}

// The same for one wait on more connections than it can announce to the hand.
func TestAWaiterOnManyQuietNewConnections(t *testing.T) {
	for name, wait := range map[string]string{
		"poll":   "p = select.poll(); [p.register(s, select.POLLIN) for s in left]; wait = lambda: p.poll(60000)",
		"select": "wait = lambda: select.select(left, [], [], 60)[0]",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.Configure("[failover]\nenabled = false\n")
			all, path := s.film(110_000)
			goOn, later := make(chan struct{}), make(chan struct{})
			var mu sync.Mutex
			asked := map[string]bool{}
			s.serve("wlan0", part(all, 100_000, func(c net.Conn) {
				<-later
				c.Write(all[100_000:])
			}))
			s.serve("wwan0", func(c net.Conn, in *bufio.Reader) {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				// As above: to each second question there is no new octet.
				have := 100_000
				mu.Lock()
				if !asked[r.RequestURI] {
					asked[r.RequestURI] = true
					have = len(all)
				}
				mu.Unlock()
				text, from := head(r, len(all))
				c.Write([]byte(text))
				c.Write(all[from:max(from, have)])
				<-goOn
				c.Write(all[max(from, have):])
			})
			p := s.Midstream("python3", "-c", `import select, socket, sys
got = {}
for i in range(45):
    s = socket.create_connection((sys.argv[1], 80))
    s.setblocking(False)
    s.sendall(b"GET /film.mkv?%d HTTP/1.1\r\nHost: download.example\r\n\r\n" % i)
    got[s] = b""
content = lambda s: got[s].partition(b"\r\n\r\n")[2]
left = list(got)
while left:
    `+wait+`
    if not wait(): sys.exit("it has slept on")
    for s in list(left):
        try: d = s.recv(65536)
        except BlockingIOError: continue
        if not d: sys.exit("it ended")
        got[s] += d
        if len(content(s)) == 110000: left.remove(s)
    if len(left) == 40: print("forty", flush=True)
print(all(content(s) == open(sys.argv[2], "rb").read() for s in got))`, host, path).Start()
			c := s.control(p)
			var sessions []lab.Session
			s.Await("the first part of all", waitLimit, func() bool {
				n := 0
				var err error
				sessions, err = c.Sessions()
				for _, one := range sessions {
					if one.Received == 100_000 {
						n++
					}
				}
				return err == nil && n == 45
			})
			for _, one := range sessions[40:] {
				if moved, err := c.MigrateSession(one.ID, "wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
					t.Errorf("%+v, %v", moved, err)
				}
			}
			close(goOn)
			s.Await("the end of those that were moved", waitLimit, func() bool {
				out, _ := p.Output()
				select {
				case <-p.Ended():
					return true
				default:
					return out != ""
				}
			})
			close(later)
			s.succeeds(p, "forty\nTrue")
		})
	}
}

// A program that has used up its descriptors cannot be moved; its connection ends as it would without Midstream.
func TestNoDescriptorLeft(t *testing.T) {
	s := newSite(t)
	s.Configure("[failover]\npatience = \"1s\"\n")
	all, path := s.film(300_000)
	goOn := make(chan struct{})
	s.serve("wlan0", part(all, 200_000, func(c net.Conn) {
		<-goOn
		c.(*net.TCPConn).SetLinger(0)
	}))
	s.serve("wwan0", right(all))
	p := s.Midstream("python3", "-c", `import os, socket, sys, time
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
want = open(sys.argv[2], "rb").read()
s = socket.create_connection((sys.argv[1], 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n\r\n")
b = s.recv(1000)
time.sleep(0.3)
try:
    while True: os.open("/dev/null", 0)
except OSError: pass
try:
    while d := s.recv(65536): b += d
except OSError as x: print(x.strerror)
c = b.partition(b"\r\n\r\n")[2]
print(len(c), c == want[:len(c)])`, host, path).Start()
	c := s.control(p)
	s.received(c, 200_000)
	if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || moved[0].OK {
		t.Errorf("%+v, %v", moved, err)
	}
	close(goOn)
	s.succeeds(p, "Connection reset by peer\n200000 True")
}

// A program that has shut itself off from the file system, its privileges and most descriptors is moved all the same.
func TestAProgramThatLocksItselfIn(t *testing.T) {
	s := newSite(t)
	all, path := s.film(300_000)
	goOn := make(chan struct{})
	t.Cleanup(func() { close(goOn) })
	s.serve("wlan0", part(all, 100_000, func(net.Conn) { <-goOn }))
	last := make(chan struct{})
	s.serve("wwan0", held(all, last))
	s.Configure("[failover]\nenabled = false\n")
	p := s.Midstream("python3", "-c", `import ctypes, os, resource, socket, sys
all = open(sys.argv[2], "rb").read()
s = socket.create_connection((sys.argv[1], 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n\r\n")
b = b""
content = lambda: b.partition(b"\r\n\r\n")[2]
while len(content()) < 100000: b += s.recv(65536)
sys.stdin.readline()
os.chroot(sys.argv[3])
os.chdir("/")
try:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
except OSError: pass # an ordinary user's laboratory has no other user
resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) # PR_SET_NO_NEW_PRIVS
os.close(0)
while len(content()) < 300000: b += s.recv(65536)
print(content() == all)`, host, path, t.TempDir())
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	c := s.control(p)
	s.received(c, 100_000)
	fmt.Fprintln(in)
	s.Await("the program to be locked in", waitLimit, func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
		return strings.Contains(string(b), "NoNewPrivs:\t1")
	})
	if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
		t.Errorf("%+v, %v", moved, err)
	}
	close(last)
	s.succeeds(p, "True")
}

// A child that is forked during a migration, and goes on with the download, has the old connection to itself.
func TestAForkDuringAMigration(t *testing.T) {
	s := newSite(t)
	s.Configure("[failover]\nenabled = false\n")
	all, path := s.film(300_000)
	asked, goOn, rest := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.serve("wlan0", part(all, 100_000, func(c net.Conn) {
		<-rest
		c.Write(all[100_000:])
	}))
	s.serve("wwan0", func(c net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		once.Do(func() { close(asked) })
		<-goOn
		text, from := head(r, len(all))
		c.Write([]byte(text))
		c.Write(all[from:])
	})
	p := s.Midstream("python3", "-c", `import os, socket, sys
s = socket.create_connection((sys.argv[1], 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n\r\n")
b = b""
content = lambda: b.partition(b"\r\n\r\n")[2]
while len(content()) < 100000: b += s.recv(65536)
sys.stdin.readline()
child = os.fork()
if child:
    print("forked", flush=True)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
while len(content()) < 300000:
    d = s.recv(65536)
    if not d: sys.exit("it ended")
    b += d
print(content() == open(sys.argv[2], "rb").read(), flush=True)`, host, path)
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	c := s.control(p)
	s.received(c, 100_000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || moved[0].OK {
			t.Errorf("%+v, %v", moved, err)
		}
	}()
	<-asked
	fmt.Fprintln(in)
	s.Await("the child", waitLimit, func() bool {
		out, _ := p.Output()
		return out != ""
	})
	close(goOn)
	<-done
	close(rest)
	s.succeeds(p, "forked\nTrue")
}

// What poll, select and epoll show of a connection that ends, and whether the next call finds just that.

package attack

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"midstream/e2e/lab"
)

// trusting waits in the way that is named, and believes what it is told: that there is something to read where a wait says so, as
// wget2 and PHP do, and that a short read is the last one where a wait has told of the end, as libuv does.
const trusting = `import select, socket, sys
way, host, path = sys.argv[1:4]
size = int(sys.argv[4]) if len(sys.argv) > 4 else 65536
s = socket.create_connection((host, 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
s.setblocking(False)
END = select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP
asked = select.EPOLLIN | (select.EPOLLRDHUP if "end" in way else 0)
if "poll" == way[:4]:
    p = select.poll()
    p.register(s, asked)
    wait = lambda: p.poll(10000)
elif "select" == way:
    wait = lambda: [(s, select.EPOLLIN) for s in select.select([s], [], [], 10)[0]]
else:
    e = select.epoll()
    kind = (select.EPOLLET if "edge" in way else 0) | (select.EPOLLONESHOT if "once" in way else 0)
    e.register(s, asked | kind)
    wait = lambda: e.poll(10)
b = b""
while len(b.partition(b"\r\n\r\n")[2]) < 300000:
    found = wait()
    if not found: print("no event"); break
    events = found[0][1]
    try:
        d = s.recv(size)
        b += d
        while "edge" in way and len(d) == size: # epoll(7): a short read has read all that there was
            d = s.recv(size)
            b += d
    except BlockingIOError:
        if "edge" not in way: print("nothing to read"); break
        continue
    except OSError as x: print(x.strerror); break
    finally:
        if "once" in way: e.modify(s, asked | kind)
    if not d: break
    if events & END and len(d) < size: print("taken for the end"); break
c = b.partition(b"\r\n\r\n")[2]
print(len(c), c == open(path, "rb").read()[:len(c)])`

var waitings = []string{"poll", "poll end", "select", "epoll", "epoll end", "epoll edge", "epoll edge end", "epoll once", "epoll once end"}

// closing is part without a length: the end of the connection is that of the content.
func closing(all []byte, octets int, then func(net.Conn)) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nETag: %s\r\nConnection: close\r\n\r\n", etag)
		c.Write(all[:octets])
		then(c)
	}
}

// reset has the connection end with RST when it is closed.
func reset(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }

// A wait that meets the end of a guarded connection waits for what comes in its place.
func TestAWaitShowsWhatTheNextReadFinds(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func([]byte, int, func(net.Conn)) func(net.Conn, *bufio.Reader)
		resets bool
	}{
		{"FIN", part, false},
		{"RST", part, true},
		{"RST, without a length", closing, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.Configure("[failover]\nsuspect_after = \"30s\"\n") // the server is silent until all have come so far
			all, path := s.film(300_000)
			goOn := make(chan struct{})
			s.serve("wlan0", c.answer(all, 131_072, func(conn net.Conn) {
				<-goOn
				if c.resets {
					reset(conn)
				}
			}))
			s.serve("wwan0", right(all))
			var programs []*lab.Program
			for _, way := range waitings {
				programs = append(programs, s.Midstream("python3", "-c", trusting, way, host, path).Start())
			}
			for _, p := range programs {
				s.received(s.control(p), 131_072)
			}
			close(goOn)
			for i, p := range programs {
				t.Run(waitings[i], func(t *testing.T) {
					s.t = t
					s.succeeds(p, "300000 True")
				})
			}
		})
	}
}

// The end comes while octets are unread: those are read first, and nobody is told of more.
func TestAnEndBesideUnreadOctets(t *testing.T) {
	for _, resets := range []bool{false, true} {
		t.Run(fmt.Sprintf("reset %v", resets), func(t *testing.T) {
			s := newSite(t)
			all, path := s.film(300_000)
			s.serve("wlan0", part(all, 131_072, func(conn net.Conn) {
				if resets {
					awaitSent(conn)
					reset(conn)
				}
			}))
			s.serve("wwan0", right(all))
			programs := map[string]*lab.Program{}
			for _, way := range waitings {
				for _, size := range []string{"65536", "4096"} {
					programs[way+" "+size] = s.Midstream("python3", "-c", trusting, way, host, path, size).Start()
				}
			}
			for name, p := range programs {
				t.Run(name, func(t *testing.T) {
					s.t = t
					s.succeeds(p, "300000 True")
				})
			}
		})
	}
}

// awaitSent waits until the other side has acknowledged all that was written: a reset throws the rest away.
func awaitSent(c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		left := 0
		raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if left == 0 {
			return
		}
	}
}

// What a program has told the kernel by io_uring, no hook has seen: the kernel is asked. It is moved, and its server killed.
func TestASetThatOnlyTheKernelKnows(t *testing.T) {
	needRing(t)
	for _, end := range []string{"moved", "FIN", "RST"} {
		t.Run(end, func(t *testing.T) {
			s := newSite(t)
			s.Configure("[failover]\nsuspect_after = \"30s\"\n")
			all, path := s.film(300_000)
			goOn, last := make(chan struct{}), make(chan struct{})
			s.serve("wlan0", part(all, 131_072, func(conn net.Conn) {
				<-goOn
				if end == "RST" {
					reset(conn)
				}
			}))
			s.serve("wwan0", held(all, last))
			p := s.Midstream(s.CC("ring"), path, host, "80", "/film.mkv").Start()
			c := s.control(p)
			s.received(c, 131_072)
			if end == "moved" {
				if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
					t.Errorf("%+v, %v", moved, err)
				}
			}
			close(goOn)
			s.received(c, 299_999)
			close(last)
			s.succeeds(p, "300000 whole")
		})
	}
}

// needRing skips the test where no io_uring is to be had.
func needRing(t *testing.T) {
	t.Helper()
	if _, _, err := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0); err != unix.EFAULT {
		t.Skipf("io_uring_setup: %v", err)
	}
}

// Where nobody can tell which sets it is in, it stays, and says so.
func TestASetThatNobodyKnows(t *testing.T) {
	needRing(t)
	s := newSite(t)
	s.Configure("[failover]\nenabled = false\n")
	all, path := s.film(300_000)
	goOn := make(chan struct{})
	s.serve("wlan0", func(c net.Conn, in *bufio.Reader) {
		part(all, 131_072, func(net.Conn) { <-goOn })(c, in)
		c.Write(all[131_072:])
	})
	s.serve("wwan0", right(all))
	hides := "mount --bind " + t.TempDir() + " /proc && exec \"$@\""
	p := s.Midstream("unshare", "--mount", "sh", "-c", hides, "sh", s.CC("ring"), path, host, "80", "/film.mkv").Start()
	c := s.control(p)
	s.received(c, 131_072)
	moved, err := c.Migrate("wwan0")
	if err != nil || len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, "epoll sets cannot be known") {
		t.Errorf("%+v, %v", moved, err)
	}
	if one := s.received(c, 0); one.Movable || !strings.Contains(one.Why, "epoll sets cannot be known") {
		t.Errorf("%+v", one)
	}
	close(goOn)
	s.succeeds(p, "300000 whole")
}

// watching prints what it is shown of a connection that has ended before it looks, in that order of calls.
const watching = `import errno, select, socket, sys
host, calls = sys.argv[1:3]
s = socket.create_connection((host, 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
b = b""
while len(b.partition(b"\r\n\r\n")[2]) < 100000: b += s.recv(1000)
print("ready", flush=True)
sys.stdin.readline()
s.setblocking(calls[0] in "rk") # what does not wait may be told that nothing has come yet
p = select.poll()
p.register(s, select.POLLIN | select.POLLRDHUP)
e = select.epoll()
e.register(s, select.EPOLLIN | select.EPOLLRDHUP)
for c in calls:
    try:
        if c == "p": print("poll", p.poll(10000)[0][1])
        elif c == "e": print("epoll", e.poll(10)[0][1])
        elif c == "s": print("select", [len(l) for l in select.select([s], [], [s], 10)])
        elif c == "r": print("recv", s.recv(10))
        elif c == "k": print("peek", s.recv(10, socket.MSG_PEEK))
        elif c == "o": print("SO_ERROR", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        elif c == "w": print("send", s.send(b"x"))
    except OSError as x: print(c, errno.errorcode[x.errno])`

// Where nobody helps, the program sees what it would have seen by the same calls: the order tells which of them has met the end.
func TestTheOriginalErrorIsThatOfTheSameCalls(t *testing.T) {
	for _, c := range []struct {
		name, state string
		end         func(net.Conn)
	}{
		{"FIN", "08", func(c net.Conn) { c.(*net.TCPConn).CloseWrite() }}, // CLOSE_WAIT
		{"RST", "", func(c net.Conn) { reset(c); c.Close() }},
		{"RST after FIN", "", func(c net.Conn) {
			c.(*net.TCPConn).CloseWrite()
			awaitSent(c)
			reset(c)
			c.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.Configure("[failover]\npatience = \"1s\"\nsuspect_after = \"30s\"\n")
			all, _ := s.film(300_000)
			end, over := make(chan struct{}), make(chan struct{})
			t.Cleanup(func() { close(over) })
			first := make(chan struct{}, 1)
			s.serve("wlan0", func(conn net.Conn, in *bufio.Reader) {
				select {
				case <-first:
				default: // none of the others helps
					if _, err := http.ReadRequest(in); err == nil {
						fmt.Fprint(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
					}
					return
				}
				part(all, 100_000, func(conn net.Conn) {
					<-end
					c.end(conn)
					<-over
				})(conn, in)
			})
			for _, calls := range []string{"prpr", "erer", "srsr", "rprp", "kpr", "por", "pwr"} {
				var seen []lab.Result
				for _, p := range []*lab.Program{s.Command("python3", "-c", watching, host, calls), s.Midstream("python3", "-c", watching, host, calls)} {
					in, err := p.StdinPipe()
					if err != nil {
						t.Fatal(err)
					}
					first <- struct{}{}
					p.Start()
					s.Await("the content", waitLimit, func() bool {
						select {
						case <-p.Ended():
							t.Fatalf("%v", p.Wait())
						default:
						}
						out, _ := p.Output()
						return strings.HasPrefix(out, "ready")
					})
					end <- struct{}{}
					s.Await("the end to arrive", waitLimit, func() bool { return s.isIn("wlan0", c.state) })
					fmt.Fprintln(in)
					seen = append(seen, p.Wait())
				}
				t.Logf("%s: %s", calls, seen[0].Stdout)
				lab.Compare(t, seen[0], seen[1])
			}
		})
	}
}

// isIn says whether a connection to the network's content server is in that state of /proc/net/tcp; "": whether there is none. Midstream may
// have one of its own beside the program's.
func (s *site) isIn(network, state string) bool {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		s.t.Fatal(err)
	}
	ip := net.ParseIP(s.Network(network).Content()).To4()
	peer := fmt.Sprintf("%08X:0050", binary.NativeEndian.Uint32(ip))
	some := false
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[2] == peer && f[9] != "0" { // no inode: it is that of a program that has ended
			if f[3] == state {
				return true
			}
			some = true
		}
	}
	return state == "" && !some
}

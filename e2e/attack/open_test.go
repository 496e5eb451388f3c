// Connections that begin otherwise than by connect(), and those that have ended before the first request.

package attack

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"midstream/e2e/lab"
)

// fastOpening opens its connection in the way that is named, and prints how much of the film has come, and whether rightly.
const fastOpening = `import select, socket, sys
way, host, path = sys.argv[1:]
request = b"GET /film.mkv HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode()
to = socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4]
s = socket.socket()
e = select.epoll()
if "joined" in way: e.register(s, 0)
if "nonblocking" in way: s.setblocking(False)
try:
    if "sendto" in way: n = s.sendto(request, socket.MSG_FASTOPEN, to)
    elif "sendmsg" in way: n = s.sendmsg([request[:20], request[20:]], [], socket.MSG_FASTOPEN, to)
    else:
        s.setsockopt(socket.IPPROTO_TCP, 30, 1) # TCP_FASTOPEN_CONNECT
        s.connect(to)
        n = s.send(request)
except BlockingIOError: n = 0
if n < len(request):
    select.select([], [s], [])
    s.sendall(request[n:])
s.setblocking(True)
b = b""
while len(b.partition(b"\r\n\r\n")[2]) < 300000 and (d := s.recv(65536)): b += d
c = b.partition(b"\r\n\r\n")[2]
print(len(c), c == open(path, "rb").read(), s.getpeername() == to)`

// A write may open a connection (MSG_FASTOPEN), and carry the request with its first packet where the server has given a cookie.
func TestConnectionsOpenedByAWrite(t *testing.T) {
	for name, sysctl := range map[string]string{"first": "0x1", "with the first packet": "0x5"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			all, path := s.film(300_000)
			const setting = "/proc/sys/net/ipv4/tcp_fastopen"
			before, err := os.ReadFile(setting)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.WriteFile(setting, before, 0) })
			accept := func() error { return os.WriteFile(setting, []byte("0x602"), 0) } // without a cookie, and for all sockets
			if err := s.Network("wlan0").Do(accept); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(setting, []byte(sysctl), 0); err != nil {
				t.Fatal(err)
			}
			// Nothing but the test moves them.
			s.Configure("[failover]\nenabled = false\n")
			for _, way := range []string{"sendto", "sendto nonblocking", "sendto joined", "sendmsg", "sendmsg nonblocking", "option", "option nonblocking"} {
				t.Run(way, func(t *testing.T) {
					goOn, last := make(chan struct{}), make(chan struct{})
					t.Cleanup(func() { close(goOn) })
					s.t = t
					s.serve("wlan0", part(all, 100_000, func(net.Conn) { <-goOn }))
					s.serve("wwan0", held(all, last))
					p := s.Midstream("python3", "-c", fastOpening, way, host, path).Start()
					c := s.control(p)
					s.received(c, 100_000)
					if moved, err := c.Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
						t.Errorf("%+v, %v", moved, err)
					}
					close(last)
					s.succeeds(p, "300000 True True")
				})
			}
		})
	}
}

// tooLate sends its first request when the server has closed the connection already.
const tooLate = `import select, socket, sys
s = socket.create_connection((sys.argv[1], 80))
select.select([s], [], [])
try: s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % sys.argv[1].encode())
except OSError as e: print(e.strerror)
b = b""
try:
    while len(b.partition(b"\r\n\r\n")[2]) < 300000 and (d := s.recv(65536)): b += d
except OSError as e: print(e.strerror)
c = b.partition(b"\r\n\r\n")[2]
print(len(c), c == open(sys.argv[2], "rb").read())`

// The reset that answers a request may be there before the request is known: the server is the one that connect() was given.
func TestAFirstRequestOnAClosedConnection(t *testing.T) {
	s := newSite(t)
	all, path := s.film(300_000)
	var connections atomic.Int32
	s.serve("wlan0", func(c net.Conn, in *bufio.Reader) {
		if connections.Add(1) > 2 { // the native run's, and the first one's
			right(all)(c, in)
		}
	})
	native, under := s.Both(nil, "python3", "-c", tooLate, host, path)
	if native.Stdout != "0 False\n" {
		t.Fatalf("%v", native)
	}
	if want := fmt.Sprintf("%d True\n", len(all)); under.Status != 0 || under.Stdout != want || under.Stderr != "" {
		t.Errorf("%v", under)
	}
	// Without Midstream's help, what was there natively.
	connections.Store(-1 << 20)
	s.Configure("[failover]\nenabled = false\n")
	lab.Compare(t, native, s.Midstream("python3", "-c", tooLate, host, path).Run())
}

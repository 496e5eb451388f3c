// Relays that are left for as long as both connections have the same octets.

package matrix

import (
	"io"
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"midstream/e2e/lab"
)

// kernelPeer returns the address that the kernel says a process's socket is connected to.
func kernelPeer(pid, fd int) netip.AddrPort {
	const pidfdOpen, pidfdGetfd = 434, 438
	process, _, errno := syscall.Syscall(pidfdOpen, uintptr(pid), 0, 0)
	if errno != 0 {
		return netip.AddrPort{}
	}
	defer syscall.Close(int(process))
	socket, _, errno := syscall.Syscall(pidfdGetfd, process, uintptr(fd), 0)
	if errno != 0 {
		return netip.AddrPort{}
	}
	defer syscall.Close(int(socket))
	var name syscall.RawSockaddrInet4
	size := uint32(unsafe.Sizeof(name))
	if _, _, errno = syscall.Syscall(syscall.SYS_GETPEERNAME, socket, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), name.Port<<8|name.Port>>8)
}

// longSource reads a long answer, sends the next request in the middle of it, and a third one after it. Once it has read
// pause octets, it waits for a line. Arguments: how many octets to read before the second request, or 0 to send it after
// the first answer; whether to send the third.
const longSource = `
import hashlib, http.client, socket, sys
s = socket.create_connection(("files.example", 80), timeout=8)
f = s.makefile("rb")
class Once:
    def makefile(self, mode): return f
def ask(target): s.sendall(("GET %s HTTP/1.1\r\nHost: files.example\r\n\r\n" % target).encode())
def answer(early):
    r = http.client.HTTPResponse(Once())
    ended = []
    r.close, r._close_conn = lambda: None, lambda: ended.append(True)
    r.begin()
    digest, size = hashlib.sha256(), 0
    while not ended:
        octets = r.read(65536)
        digest.update(octets)
        size += len(octets)
        if size == early: ask("/x?n=1")
        if size == 8 << 20: sys.stdin.readline()
    print(r.status, size, digest.hexdigest()[:16], flush=True)
early = int(sys.argv[1])
ask("/file")
answer(early)
if not early: ask("/x?n=1")
answer(-1)
if int(sys.argv[2]):
    ask("/x?n=2")
    answer(-1)
print(s.getpeername())
`

// Long answers that differ only in their framing come over the new connection itself; nothing else is different.
func TestLongRelaysAreLeft(t *testing.T) {
	body := content(24 << 20)
	for name, c := range map[string]struct {
		old, next script
		early     int
		stays     bool
	}{
		"chunks from a length":          {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true}},
		"chunks from a 200":             {old: script{framing: "chunked", chunk: 300_000}, next: script{framing: "length"}},
		"one chunk from a length":       {old: script{framing: "chunked", chunk: 32 << 20}, next: script{framing: "length", ranges: true}},
		"chunks from chunks":            {old: script{framing: "chunked", decorate: true}, next: script{framing: "chunked", ranges: true, chunk: 5000, decorate: true}},
		"a length from large chunks":    {old: script{framing: "length"}, next: script{framing: "chunked", ranges: true, chunk: 10 << 20, decorate: true}},
		"a length from small chunks":    {old: script{framing: "length"}, next: script{framing: "chunked", ranges: true, chunk: 5000, decorate: true}},
		"a length from tiny chunks":     {old: script{framing: "length"}, next: script{framing: "chunked", ranges: true, chunk: 23}},
		"a length from uneven chunks":   {old: script{framing: "length"}, next: script{framing: "chunked", ranges: true, chunk: 65_521, trailer: "none"}},
		"chunks from the connection's":  {old: script{framing: "chunked"}, next: script{framing: "close", ranges: true}, stays: true},
		"from a server that closes":     {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true, final: true}, stays: true},
		"with a request in the middle":  {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true}, early: 12 << 20},
		"with one, of a closing server": {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true, final: true}, early: 12 << 20, stays: true},
		"with one amid chunks":          {old: script{framing: "chunked"}, next: script{framing: "chunked", ranges: true}, early: 12 << 20},
		"with one amid small chunks":    {old: script{framing: "length"}, next: script{framing: "chunked", ranges: true, chunk: 3000}, early: 9 << 20},
		"with one amid a large chunk":   {old: script{framing: "length"}, next: script{framing: "chunked", ranges: true, chunk: 10 << 20}, early: 9 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			c.old.body, c.old.etag, c.old.modified, c.old.hold = body, strong, modified, 1<<20
			c.next.body, c.next.etag, c.next.modified, c.next.hold = body, strong, modified, 2<<20
			c.next.each = true
			if !c.next.ranges {
				c.next.hold = 7 << 20 // on a busy machine the offset, up to which it is skipped, may lie some MB ahead
			}
			first, second := serve(t, near, c.old), serve(t, far, c.next)
			third := "1"
			if c.next.final || c.next.framing == "close" {
				third = "0" // the second answer ends the connection, and says so
			}
			args := []string{"python3", "-c", longSource, strconv.Itoa(c.early), third}
			d, goOn := startLong(t, l, args)
			if m := d.movesOn(first, far.Name); m.Delivery != "relayed" {
				t.Errorf("it was delivered %s", m.Delivery)
			}
			second.release()
			d.isApart(second, !c.stays)
			goOn.Close()
			under := d.program.Wait()
			first.release()
			lab.Compare(t, l.Command(args...).Run(), under)
		})
	}
}

// startLong starts longSource; what it waits for comes with the end of its input.
func startLong(t *testing.T, l *lab.Lab, args []string) (*download, io.Closer) {
	p := l.Midstream(args...)
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	return &download{t: t, lab: l, program: p, control: l.Control(p.Pid(), lab.Patience)}, in
}

// movesOn moves the program when it has read what the first server holds its answer after.
func (d *download) movesOn(first *origin, to string) *lab.Migration {
	d.t.Helper()
	<-first.held
	d.reads("what is there", func(s lab.Session) bool { return s.Received > 1<<19 })
	return d.move(to)
}

// lengthAndChunks serves the body with its length in the first network, up to a megabyte until that is released, and in chunks in
// the second, up to hold octets.
func lengthAndChunks(t *testing.T, l *lab.Lab, body []byte, chunk, hold int) (first, second *origin) {
	by := script{framing: "length", ranges: true, body: body, etag: strong, modified: modified, hold: 1 << 20}
	first = serve(t, l.Networks()[0], by)
	by.framing, by.chunk, by.hold, by.each = "chunked", chunk, hold, true
	return first, serve(t, l.Networks()[1], by)
}

// ranApart runs a program that waits for a line, which it gets where it has a connection to the second server itself, and
// compares it with the same run natively.
func ranApart(t *testing.T, l *lab.Lab, first, second *origin, args []string) {
	t.Helper()
	d, goOn := startLong(t, l, args)
	d.movesOn(first, l.Networks()[1].Name)
	second.release()
	d.isApart(second, true)
	goOn.Close()
	under := d.program.Wait()
	first.release()
	lab.Compare(t, l.Command(args...).Run(), under)
}

// isApart checks whether the program, where longSource waits, has a connection to the server itself.
func (d *download) isApart(server *origin, want bool) {
	d.t.Helper()
	s := d.reads("what it waits after", func(s lab.Session) bool { return s.Received >= 8<<20 })
	if at := kernelPeer(s.PID, s.FD); (at.Addr().String() == server.address) != want {
		d.t.Errorf("the program's socket is connected to %v", at)
	}
}

// Where a stream stands on a connection that brings only a part of the response, it moves as from any other.
func TestLeftRelaysMoveOn(t *testing.T) {
	body := content(24 << 20)
	other := append([]byte{}, body...)
	copy(other[len(other)/2:], "another")
	for name, third := range map[string]struct {
		script
		fails string
	}{
		"to the same content":  {script: script{framing: "length", ranges: true, body: body, etag: strong}},
		"to chunks":            {script: script{framing: "chunked", ranges: true, body: body, etag: strong}},
		"not to other content": {script: script{framing: "length", ranges: true, body: other[:len(other)-1], etag: `"v2"`}, fails: "the new server"},
	} {
		for i := range 4 {
			late, unchunked := i&1 > 0, i&2 > 0
			from, by := script{framing: "chunked"}, script{framing: "length"}
			if unchunked {
				from, by = by, script{framing: "chunked", chunk: 5000, decorate: true}
			}
			from.body, from.etag, from.modified, from.hold = body, strong, modified, 1<<20
			by.body, by.etag, by.modified, by.hold, by.each, by.ranges = body, strong, modified, 2<<20, true, true
			t.Run(name, func(t *testing.T) {
				l := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}), lab.Net("eth0", lab.Link{}))
				named(l)
				n := l.Networks()
				first, second := serve(t, n[0], from), serve(t, n[1], by)
				third.modified, third.hold = modified, -1
				serve(t, n[2], third.script)
				args := []string{"python3", "-c", longSource, "0", "1"}
				d, goOn := startLong(t, l, args)
				d.movesOn(first, n[1].Name)
				second.release()
				d.isApart(second, true)
				if late {
					goOn.Close() // it may come to the end before the migration does
				}
				moved, err := d.control.Migrate(n[2].Name)
				if err == nil && (len(moved) != 1 || !late && moved[0].OK != (third.fails == "") || !strings.Contains(moved[0].Reason, third.fails)) || err != nil && !late {
					t.Errorf("%+v, %v", moved, err)
				}
				goOn.Close()
				under := d.program.Wait()
				first.release()
				lab.Compare(t, l.Command(args...).Run(), under)
			})
		}
	}
}

// A server that dies, or sends what are no chunks, where the program reads its connection itself, is replaced like any other.
func TestLeftRelaysAreReplaced(t *testing.T) {
	body := content(24 << 20)
	for name, c := range map[string]struct {
		old, new string
		spoilt   int
	}{
		"it dies":                       {old: "length", new: "chunked"},
		"its chunks break":              {old: "length", new: "chunked", spoilt: 5 << 20},
		"it ends too early":             {old: "length", new: "chunked", spoilt: -(5 << 20)},
		"it dies, a length":             {old: "chunked", new: "length"},
		"it dies, to the end":           {old: "close", new: "length"},
		"it dies, chunks to the end":    {old: "close", new: "chunked"},
		"it ends too early, to the end": {old: "close", new: "chunked", spoilt: -(5 << 20)},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			by := script{ranges: true, body: body, etag: strong, modified: modified}
			by.framing, by.hold = c.old, 1<<20
			first := serve(t, near, by)
			by.framing, by.hold, by.each, by.chunk, by.spoilt = c.new, 2<<20, true, 5000, c.spoilt
			second := serve(t, far, by)
			source := longSource
			if c.old == "close" {
				source, _, _ = strings.Cut(longSource, "if not early") // its end is the connection's
			}
			if c.spoilt != 0 {
				source = strings.Replace(source, "8 << 20", "5 << 20", 1) // it stops before the bad octets come
			}
			args := []string{"python3", "-c", source, "0", "1"}
			d, goOn := startLong(t, l, args)
			d.movesOn(first, far.Name)
			first.release()
			second.release()
			s := d.reads("what it waits after", func(s lab.Session) bool { return s.Received >= 5<<20 })
			if at := kernelPeer(s.PID, s.FD); at.Addr().String() != second.address {
				t.Errorf("the program's socket is connected to %v", at)
			}
			if c.spoilt == 0 {
				second.stop()
			}
			goOn.Close()
			under := d.program.Wait()
			lab.Compare(t, l.Command(args...).Run(), under)
		})
	}
}

// anyWay reads a response by calls that it takes at random, and compares each with the file that the response is of. What poll()
// and select() say, FIONREAD and MSG_PEEK, has to be true, but for the few times that the stream is moved just then. Arguments:
// the file, a seed.
const anyWay = `
import fcntl, os, random, select, socket, struct, sys, termios
want = open(sys.argv[1], "rb").read()
random.seed(int(sys.argv[2]))
s = socket.create_connection(("files.example", 80))
s.sendall(b"GET /file HTTP/1.1\r\nHost: files.example\r\n\r\n")
head = b""
while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
at = 0
now = socket.MSG_DONTWAIT
poll, epoll, pipe = select.poll(), select.epoll(), os.pipe()
poll.register(s, select.POLLIN)
epoll.register(s, select.EPOLLIN)
untrue = 0
def was_untrue(what):
    global untrue
    untrue += 1
    if untrue > 40: sys.exit("too often: " + what)
def at_once(n):
    try: return s.recv(n, now)
    except BlockingIOError: return was_untrue("said to be readable")
def most(): return random.choice((1, 7, 500, 5000, 16384, 70000))
def plain(): return s.recv(most())
def selected():
    select.select([s], [], [])
    return at_once(most())
def polled():
    poll.poll()
    return at_once(most())
def epolled():
    epoll.poll()
    try: return s.recv(most(), now)
    except BlockingIOError: return None
def looked():
    seen = s.recv(most(), socket.MSG_PEEK)
    got = s.recv(len(seen))
    if not seen.startswith(got): sys.exit("%d octets seen, %d others read" % (len(seen), len(got)))
    if len(got) < len(seen): was_untrue("seen")
    return got
def whole():
    n = min(most(), len(want) - at)
    got = s.recv(n, socket.MSG_WAITALL)
    if len(got) != n: sys.exit("%d of %d octets" % (len(got), n))
    return got
def scattered():
    parts = [bytearray(0), bytearray(100), bytearray(most())]
    n = s.recvmsg_into(parts)[0]
    return b"".join(parts)[:n]
def vector():
    parts = [bytearray(most()), bytearray(100)]
    n = os.readv(s.fileno(), parts)
    return b"".join(parts)[:n]
def spliced():
    n = os.splice(s.fileno(), pipe[1], min(most(), 50000))
    return os.read(pipe[0], n) if n else b""
def counted():
    poll.poll()
    n = struct.unpack("i", fcntl.ioctl(s, termios.FIONREAD, b"    "))[0]
    if not n: return was_untrue("something to be read")
    got = at_once(n)
    if got and len(got) < n: was_untrue("so much to be read")
    return got
def dropped():
    n = len(s.recv(random.choice((1, 7, 500)), socket.MSG_TRUNC))
    return want[at:at + n]
ways = [plain, selected, polled, epolled, looked, whole, scattered, vector, spliced, counted, dropped]
while at < len(want):
    way = random.choice(ways)
    got = way()
    if got is None: continue
    if not got: sys.exit("the end after %d octets, by %s" % (at, way.__name__))
    if got != want[at:at + len(got)]: sys.exit("other octets at %d, by %s" % (at, way.__name__))
    at += len(got)
s.sendall(b"GET /x?n=1 HTTP/1.1\r\nHost: files.example\r\n\r\n")
rest = b""
while b"1\n" not in rest.partition(b"\r\n\r\n")[2]: rest += s.recv(4096) or sys.exit("the end")
print(rest.split(b"\r\n")[0])
`

// flaps moves a stream that is moved again and again, and may be refused that, or be at its end.
func (d *download) flaps(to string) (ok bool) {
	moved, _ := d.control.Migrate(to)
	for _, m := range moved {
		if ok = m.OK; !ok {
			d.t.Logf("not moved: %s", m.Reason)
		}
	}
	return ok
}

// Chunks that come in pieces of any size are taken out of whatever a program reads by, also where it is moved amid them. 0: there
// are none.
func TestChunksAreTakenOutOfEveryWayOfReading(t *testing.T) {
	body := content(16 << 20)
	for _, chunk := range []int{0, 9, 700, 8192, 100_000} {
		t.Run(strconv.Itoa(chunk), func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			serve(t, near, script{framing: "length", ranges: true, body: body, etag: strong, modified: modified, hold: -1, piece: 30_000})
			framing := "chunked"
			if chunk == 0 {
				framing = "length"
			}
			second := serve(t, far, script{framing: framing, ranges: true, chunk: chunk, decorate: chunk == 700, body: body, etag: strong, modified: modified, hold: -1, piece: 30_000})
			file := filepath.Join(t.TempDir(), "body")
			if err := os.WriteFile(file, body, 0o644); err != nil {
				t.Fatal(err)
			}
			// A program that is fast on a busy machine may be at the end before it has had the connection itself.
			times := 0
			for try := 0; try < 4 && !t.Failed() && (try == 0 || times == 0 && chunk > 0); try++ {
				args := []string{"python3", "-c", anyWay, file, strconv.Itoa(rand.Int())}
				d := start(t, l, args...)
				for d.runs(time.Millisecond) {
					if !d.flaps(far.Name) {
						continue
					}
					l.Await("the connection itself, or the end", lab.Patience, func() bool {
						all, err := d.control.Sessions()
						if err != nil || len(all) == 0 || all[0].Received > int64(len(body))-4<<20 {
							return true
						}
						apart := kernelPeer(all[0].PID, all[0].FD).Addr().String() == second.address
						if apart {
							times++
						}
						return apart
					})
					d.flaps(near.Name)
				}
				under := d.program.Wait()
				lab.Compare(t, l.Command(args...).Run(), under)
			}
			if times == 0 && chunk > 0 {
				t.Error("the program never had the connection itself")
			}
			t.Logf("it had the connection itself %d times", times)
		})
	}
}

// A response that the end of the connection delimits is not ended by a new server that breaks off: the relay knows its length.
func TestRelaysAreReplaced(t *testing.T) {
	body := content(3 << 20)
	for _, by := range []script{{framing: "length"}, {framing: "chunked"}, {framing: "chunked", spoilt: -(2 << 20)}} {
		t.Run(by.framing, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			by.ranges, by.body, by.etag, by.modified, by.hold, by.each = true, body, strong, modified, 1<<20, true
			first := serve(t, near, script{framing: "close", ranges: true, body: body, etag: strong, modified: modified, hold: 1 << 20})
			second := serve(t, far, by)
			args := []string{"curl", "-s", "-o", "OUT", "http://" + host + "/file"}
			d := start(t, l, args...)
			if m := d.movesOn(first, far.Name); by.framing == "chunked" && m.Delivery != "relayed" {
				t.Errorf("it was delivered %s", m.Delivery)
			}
			first.release()
			d.reads("more", func(s lab.Session) bool { return s.Received > 3<<19 })
			if by.spoilt == 0 {
				second.stop()
			} else {
				second.release()
			}
			d.ends(body)
		})
	}
}

// byEdges reads from a set with EPOLLET until a read gets less than it has asked for, as programs do that epoll(7) allows this. It
// pauses after the first octets. Arguments: what it reads by.
const byEdges = `
import hashlib, os, select, socket, sys
s = socket.create_connection(("files.example", 80))
s.sendall(b"GET /file HTTP/1.1\r\nHost: files.example\r\n\r\n")
head = b""
while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
length = next(int(l.split(b":")[1]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length"))
s.setblocking(False)
epoll = select.epoll()
epoll.register(s, select.EPOLLIN | select.EPOLLET)
first, second = bytearray(5000), bytearray(12000)
def plain(): return s.recv(16384), 16384
def vector():
    n = os.readv(s.fileno(), [first, second])
    return (first + second)[:n], 17000
def message():
    n = s.recvmsg_into([first, second])[0]
    return (first + second)[:n], 17000
read = globals()[sys.argv[1]]
digest, size = hashlib.sha256(), 0
while size < length:
    if not epoll.poll(20): sys.exit("no event for 20 s, after %d octets" % size)
    while size < length:
        try: octets, asked = read()
        except BlockingIOError: break
        if not octets: sys.exit("the end")
        digest.update(octets)
        size += len(octets)
        if len(octets) < asked: break
print(size, digest.hexdigest())
`

// A read that comes short says that there is no more, to whoever waits for edges.
func TestShortReadsAmidChunksAreFollowedByAnEdge(t *testing.T) {
	body := content(16 << 20)
	for _, by := range []string{"plain", "vector", "message"} {
		t.Run(by, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			far := l.Networks()[1]
			first, second := lengthAndChunks(t, l, body, 3000, 2<<20)
			args := []string{"python3", "-c", byEdges, by}
			d := start(t, l, args...)
			d.movesOn(first, far.Name)
			second.release()
			under := d.program.Wait()
			first.release()
			lab.Compare(t, l.Command(args...).Run(), under)
		})
	}
}

// What comes behind the end of such a connection is brought to a program as well that has forked meanwhile.
func TestProgramsForkWhereRelaysAreLeft(t *testing.T) {
	body := content(24 << 20)
	// A child is handed content, or nothing at all.
	looks := `
def looks():
    try: print(b"\r\n1388\r\n" in s.recv(65536, socket.MSG_PEEK), file=sys.stderr, flush=True)
    except OSError: print(False, file=sys.stderr, flush=True)
    return 0
`
	fork := "sys.stdin.readline(); import os, time; child = os.fork() or (time.sleep(CHILD), os._exit(0)); PARENT"
	for name, c := range map[string]struct {
		chunk         int
		child, parent string
	}{
		"small chunks":                {5000, "0", "os.waitpid(child, 0)"},
		"small chunks, a child lives": {5000, "2", "None"},
		"a large chunk":               {10 << 20, "0", "os.waitpid(child, 0)"},
		"small chunks, a child reads": {5000, "looks()", "os.waitpid(child, 0)"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			first, second := lengthAndChunks(t, l, body, c.chunk, 2<<20)
			forks := strings.NewReplacer("sys.stdin.readline()", strings.NewReplacer("CHILD", c.child, "PARENT", c.parent).Replace(fork))
			args := []string{"python3", "-W", quietly, "-c", looks + forks.Replace(longSource), "0", "1"}
			ranApart(t, l, first, second, args)
		})
	}
}

// twoReaders has one thread wait in recv() and asks without waiting in another one. Arguments: the file, a file that is made then.
const twoReaders = `
import os, socket, sys, threading, time
s = socket.create_connection(("files.example", 80))
s.sendall(b"GET /file HTTP/1.1\r\nHost: files.example\r\n\r\n")
want = open(sys.argv[1], "rb").read()
head = b""
while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
at = idle = 0
def read(n, flags=0):
    global at
    got = s.recv(n, flags)
    if got != want[at:at + len(got)]: os.write(2, b"other octets\n"); os._exit(1)
    if not got: os.write(2, b"the end\n"); os._exit(1)
    at += len(got)
while at < len(want) and idle < 2:
    try:
        read(65536, socket.MSG_DONTWAIT)
        idle = 0
    except BlockingIOError:
        idle += at > 9 << 20
        time.sleep(.1)
if at < len(want):
    parts = []
    threads = [threading.Thread(target=lambda: parts.append(s.recv(1000))) for _ in range(2)]
    for t in threads: t.start()
    time.sleep(.2)
    try:
        read(1000, socket.MSG_DONTWAIT)
        print("there was something")
    except BlockingIOError: pass
    open(sys.argv[2], "w").close()
    for t in threads: t.join()
    both = sum(map(len, parts))
    if want[at:at + both] not in (parts[0] + parts[1], parts[1] + parts[0]): sys.exit("other octets")
    at += both
while at < len(want): read(min(65536, len(want) - at))
print(at)
`

// Where a thread waits for octets between which framing is taken out, another one that does not wait is told that there are none.
func TestTwoReadersAmidChunks(t *testing.T) {
	body := content(24 << 20)
	l := lab.New(t)
	l.Configure("[failover]\nenabled = false\n")
	named(l)
	far := l.Networks()[1]
	first, second := lengthAndChunks(t, l, body, 5000, 10<<20)
	file, asked := filepath.Join(t.TempDir(), "body"), filepath.Join(t.TempDir(), "asked")
	if err := os.WriteFile(file, body, 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"python3", "-c", twoReaders, file, asked}
	d := start(t, l, args...)
	d.movesOn(first, far.Name)
	d.isApart(second, true)
	l.Await("the second reader", lab.Patience, func() bool {
		_, err := os.Stat(asked)
		return err == nil || !d.runs(time.Millisecond)
	})
	second.release()
	under := d.program.Wait()
	first.release()
	lab.Compare(t, l.Command(args...).Run(), under)
}

// sharing reads the first half of a response, and the rest by another descriptor, or in another process. Arguments: the file, how.
const sharing = `
import array, os, socket, sys
want = open(sys.argv[1], "rb").read()
s = socket.create_connection(("files.example", 80))
s.sendall(b"GET /file HTTP/1.1\r\nHost: files.example\r\n\r\n")
head = b""
while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
at = 0
def reads(read, to):
    global at
    while at < to:
        got = read(min(70000, to - at))
        if not got or got != want[at:at + len(got)]: sys.exit("other octets at %d: %r" % (at, got[:40]))
        at += len(got)
reads(s.recv, 8 << 20)
sys.stdin.readline()
reads(s.recv, (8 << 20) + 333) # it may stand in framing now
how = sys.argv[2]
if how == "dup": other = os.dup(s.fileno())
elif how == "dup2": other = os.dup2(s.fileno(), 77)
elif how == "fcntl":
    import fcntl
    other = fcntl.fcntl(s, fcntl.F_DUPFD_CLOEXEC, 50)
elif how == "passed":
    a, b = socket.socketpair()
    socket.send_fds(a, [b"x"], [s.fileno()])
    other = socket.recv_fds(b, 1, 1)[1][0]
if how == "child":
    if not os.fork():
        reads(lambda n: os.read(s.fileno(), n), 10 << 20)
        os._exit(0)
    print(os.wait()[1], flush=True)
    at = 10 << 20
    reads(s.recv, len(want))
else:
    reads(lambda n: os.read(other, n), 10 << 20)
    reads(s.recv, len(want))
print("whole")
`

func TestConnectionsAreSharedWhereRelaysAreLeft(t *testing.T) {
	body := content(24 << 20)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, body, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"dup", "dup2", "fcntl", "passed", "child"} {
		t.Run(how, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			first, second := lengthAndChunks(t, l, body, 5000, 2<<20)
			args := []string{"python3", "-W", quietly, "-c", sharing, file, how}
			ranApart(t, l, first, second, args)
		})
	}
}

// quietly keeps Python 3.12 and later from saying at a fork that the process has several threads: those of Midstream.
const quietly = "ignore:This process:DeprecationWarning"

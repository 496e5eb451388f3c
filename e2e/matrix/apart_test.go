// Relays that are left for as long as both connections have the same octets.

package matrix

import (
	"io"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
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
		"chunks from the connection's":  {old: script{framing: "chunked"}, next: script{framing: "close", ranges: true}, stays: true},
		"from a server that closes":     {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true, final: true}, stays: true},
		"with a request in the middle":  {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true}, early: 12 << 20},
		"with one, of a closing server": {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true, final: true}, early: 12 << 20, stays: true},
		"with one amid chunks":          {old: script{framing: "chunked"}, next: script{framing: "chunked", ranges: true}, early: 12 << 20},
		"with one amid a large chunk":   {old: script{framing: "length"}, next: script{framing: "chunked", ranges: true, chunk: 10 << 20}, early: 9 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			c.old.body, c.old.etag, c.old.modified, c.old.hold = body, strong, modified, 1<<20
			c.next.body, c.next.etag, c.next.modified, c.next.hold = body, strong, modified, 2<<20
			c.next.each = true
			first, second := serve(t, near, c.old), serve(t, far, c.next)
			third := "1"
			if c.next.final || c.next.framing == "close" {
				third = "0" // the second answer ends the connection, and says so
			}
			args := []string{"python3", "-c", longSource, strconv.Itoa(c.early), third}
			d, goOn := startLong(t, l, args)
			<-first.held
			d.reads("what is there", func(s lab.Session) bool { return s.Received > 1<<19 })
			if m := d.move(far.Name); m.Delivery != "relayed" {
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
		for _, late := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				l := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}), lab.Net("eth0", lab.Link{}))
				named(l)
				n := l.Networks()
				first := serve(t, n[0], script{framing: "chunked", body: body, etag: strong, modified: modified, hold: 1 << 20})
				second := serve(t, n[1], script{framing: "length", ranges: true, body: body, etag: strong, modified: modified, hold: 2 << 20, each: true})
				third.modified, third.hold = modified, -1
				serve(t, n[2], third.script)
				args := []string{"python3", "-c", longSource, "0", "1"}
				d, goOn := startLong(t, l, args)
				<-first.held
				d.reads("what is there", func(s lab.Session) bool { return s.Received > 1<<19 })
				d.move(n[1].Name)
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

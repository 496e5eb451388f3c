// Programs that part from what Midstream's threads share with them, and from the network namespace they began in.

package attack

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// Beginnings of programs: a download, of which so much is read, and a thread that shares all with it.
const asks = `import ctypes, mmap, os, select, socket, sys, threading, time
libc = ctypes.CDLL(None)
threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
def ask():
    s = socket.create_connection((sys.argv[1], 80))
    s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: ` + host + `\r\n\r\n")
    return s
def read(s, b, octets):
    while len(b.partition(b"\r\n\r\n")[2]) < octets:
        d = s.recv(65536)
        if not d: break
        b += d
    return b
def say(x): print(x, flush=True)
def is_film(b): return b.partition(b"\r\n\r\n")[2] == open(sys.argv[2], "rb").read()
`

// Whatever way a thread gets a descriptor table of its own: nothing is put into the other one and called moved.
func TestDescriptorTablesThatPart(t *testing.T) {
	for name, parts := range map[string]string{
		"unshare":     `libc.unshare(0x400)`,
		"by number":   `libc.syscall(272, 0x400)`,
		"close_range": `libc.close_range(900, 901, 2)`,
		"past the hooks": `m = mmap.mmap(-1, 4096, prot=7)
m.write(b"\xb8\x10\x01\x00\x00\xbf\x00\x04\x00\x00\x0f\x05\xc3") # mov $272,%eax; mov $0x400,%edi; syscall; ret
ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()`,
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOARCH != "amd64" {
				t.Skip("the numbers are those of x86-64")
			}
			s := newSite(t)
			all, path := s.film(300_000)
			goOn := make(chan struct{})
			s.serve("wlan0", part(all, 100_000, func(c net.Conn) {
				<-goOn
				c.Write(all[100_000:])
			}))
			s.serve("wwan0", right(all))
			p := s.Midstream("python3", "-c", asks+`
s = ask()
b = read(s, b"", 100000)
time.sleep(0.2) # the core is there
`+parts+`
other = ask()
read(other, b"", 100000)
say("parted")
print(is_film(read(s, b, 300000)))`, host, path).Start()
			s.Await("the tables have parted", waitLimit, func() bool {
				out, _ := p.Output()
				return strings.Contains(out, "parted")
			})
			c := s.control(p)
			moved, err := c.Migrate("wwan0")
			for _, m := range moved {
				if m.OK {
					t.Errorf("moved: %+v", m)
				}
			}
			if err != nil {
				t.Error(err)
			}
			sessions, err := c.Sessions()
			told := false
			for _, x := range sessions {
				told = told || !x.Movable && strings.Contains(x.Why, "descriptor table of its own")
			}
			if !told {
				t.Errorf("the reason is not told: %+v, %v", sessions, err)
			}
			close(goOn)
			s.succeeds(p, "parted\nTrue")
		})
	}
}

// What a program asks for in another network namespace is not fetched in the one that it comes from.
func TestAnotherNetworkNamespace(t *testing.T) {
	s := newSite(t)
	s.Configure("[failover]\npatience = \"1s\"\n")
	all, path := s.film(300_000)
	s.serve("wlan0", part(all, 100_000, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }))
	s.serve("wwan0", right(all))
	there := s.Network("wlan0")
	for name, goes := range map[string]string{
		"setns":     `libc.setns(f, 0x40000000)`,
		"by number": `libc.syscall(308, f, 0x40000000)`,
		"past the hooks": `m = mmap.mmap(-1, 4096, prot=7)
m.write(b"\xb8\x34\x01\x00\x00\xbe\x00\x00\x00\x40\x0f\x05\xc3") # mov $308,%eax; mov $0x40000000,%esi; syscall; ret
ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))(f)`,
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOARCH != "amd64" {
				t.Skip("the numbers are those of x86-64")
			}
			text := asks + `
s = socket.create_connection((sys.argv[4], 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: ` + host + `\r\n\r\n")
read(s, b"", 300000)
s.close()
f = os.open(sys.argv[3], os.O_RDONLY)
` + goes + `
s = socket.create_connection((sys.argv[1], 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: ` + host + `\r\n\r\n")
b = b""
try:
    while len(b.partition(b"\r\n\r\n")[2]) < 300000:
        d = s.recv(65536)
        if not d: break
        b += d
    say("end")
except OSError as x: say(x.strerror)
print(len(b.partition(b"\r\n\r\n")[2]))`
			native, under := s.Both(func(*lab.Program) {}, "python3", "-c", text, there.Content(), path, "/run/netns/"+there.Namespace.Name, s.Network("wwan0").Content())
			if native.Stdout != under.Stdout || native.Status != under.Status || !strings.Contains(native.Stdout, "100000") {
				t.Errorf("natively %d %q, under Midstream %d %q %s", native.Status, native.Stdout, under.Status, under.Stdout, under.Stderr)
			}
		})
	}
}

// A program that is held when the core ends sees how its connection has ended.
func TestTheHeldAreLetGoWithTheCore(t *testing.T) {
	s := newSite(t)
	all, path := s.film(300_000)
	s.serve("wlan0", part(all, 100_000, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }))
	p := s.Midstream("python3", "-c", asks+`
s, b = ask(), b""
def confine():
    sys.stdin.readline()
    libc.unshare(0x200) # CLONE_FS
threading.Thread(target=confine, daemon=True).start()
try:
    while True:
        d = s.recv(65536)
        if not d: break
        b += d
    say("end")
except OSError as x: say(x.strerror)
print(len(b.partition(b"\r\n\r\n")[2]))`, host, path)
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	c := s.control(p)
	s.received(c, 100_000)
	fmt.Fprintln(in)
	s.succeeds(p, "Connection reset by peer\n100000")
}

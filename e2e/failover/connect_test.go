// Connections that have no way over the interface the kernel chooses: they are made over another, before the program is
// told, unless somebody has said otherwise.

package failover

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// common is an address that a server has in every network.
const common = "203.0.113.80"

const common6 = "2001:db8::80"

// newAnycast raises networks with that server.
func newAnycast(t *testing.T, names ...string) *site {
	var options []lab.Option
	for _, name := range append([]string{"wlan0", "wwan0"}, names...) {
		options = append(options, lab.Net(name, lab.Link{}))
	}
	s := &site{Lab: lab.New(t, options...), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	for _, n := range s.Networks() {
		n.AddAddress(common)
		n.AddAddress(common6)
		s.web[n.Name] = n.Nginx(s.root, lab.ServerOptions{Addresses: []string{common, common6}})
	}
	return s
}

func (s *site) ip(args ...string) {
	s.t.Helper()
	if r := s.Command(append([]string{"ip"}, args...)...).Run(); r.Status != 0 {
		s.t.Fatalf("%v", r)
	}
}

const from = "http://" + common + "/film.mkv"

// connecting are programs that connect in different ways.
var connecting = []program{
	{"curl", []string{"curl", "-sS", "--connect-timeout", "8", "-o", "out", from}, nil},                                                                    // without blocking
	{"wget", []string{"wget", "-q", "-t", "1", "-O", "out", from}, nil},                                                                                    // blocking
	{"wget with a limit", []string{"wget", "-q", "-T", "8", "-t", "1", "-O", "out", from}, nil},                                                            // leaves connect by siglongjmp
	{"python", []string{"python3", "-c", `import urllib.request; open("out", "wb").write(urllib.request.urlopen("` + from + `", timeout=8).read())`}, nil}, // poll
}

func (s *site) arrives(p program, under bool) {
	s.t.Helper()
	d := s.download(under, p.args...)
	if r := d.Run(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
		s.t.Errorf("%s: %v", p.name, r)
	}
}

func TestConnectingWithoutCarrier(t *testing.T) {
	s := newAnycast(t)
	s.Network("wlan0").CarrierDown()
	for _, p := range connecting {
		s.arrives(p, true)
	}
	local := []string{"curl", "-sS", "--connect-timeout", "1", "-o", "out", "-w", "%{local_ip}", from}
	if r := s.download(true, local...).Run(); r.Stdout != s.Network("wwan0").Phone() {
		t.Errorf("%v", r)
	}
	// What the program itself has bound goes where it says.
	if r := s.download(true, append(local, "--interface", s.Network("wlan0").Phone())...).Run(); r.Status != 28 && r.Status != 7 {
		t.Errorf("bound: %v", r)
	}
	// A host on the lost link itself is not looked for in other networks.
	near := []string{"curl", "-sS", "--connect-timeout", "1", "-o", "out", "http://" + s.Network("wlan0").Content() + "/film.mkv"}
	if r := s.download(true, near...).Run(); r.Status != 28 && r.Status != 7 {
		t.Errorf("near: %v", r)
	}
	for _, forbids := range []string{
		"[failover]\nenabled = false\n",
		"never = true\n", // the laboratory's own text ends with the table of wwan0
		"[policy]\n[[policy.rules]]\nwhen = 'wwan0.metered'\navoid = \"wwan0\"\n",
	} {
		s.Configure(forbids)
		if r := s.download(true, local...).Run(); r.Status != 28 && r.Status != 7 {
			t.Errorf("%q: %v", forbids, r)
		}
	}
}

// Which interface leads there may be known only to whoever asks for that interface.
func TestConnectingWithoutARoute(t *testing.T) {
	s := newAnycast(t)
	wwan := s.Network("wwan0")
	s.ip("route", "add", "default", "via", wwan.Gateway(), "dev", "wwan0", "table", "100")
	s.ip("rule", "add", "oif", "wwan0", "lookup", "100")
	defer s.ip("rule", "delete", "oif", "wwan0", "lookup", "100")
	s.Network("wlan0").RemoveRoutes()
	wwan.RemoveRoutes()
	for _, p := range connecting {
		if r := s.download(false, p.args...).Run(); r.Status == 0 {
			t.Errorf("%s arrives by itself", p.name)
		}
		s.arrives(p, true)
	}
	// An administrator's refusal is respected, and told as it is.
	s.ip("route", "add", "unreachable", common+"/32", "table", "100")
	defer s.ip("route", "flush", "table", "100")
	const script = `import socket
for blocking in True, False:
    s = socket.socket()
    s.setblocking(blocking)
    print(s.connect_ex(("` + common + `", 80)), s.getsockname(), s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16))`
	lab.Compare(t, s.Command("python3", "-c", script).Run(), s.Midstream("python3", "-c", script).Run())
}

// routerless takes the networks' routers away: the kernel finds out after three seconds.
func (s *site) routerless(names ...string) {
	s.t.Helper()
	for _, name := range names {
		n := s.Network(name)
		if err := n.IP("addr del "+n.Gateway()+"/24 dev phone", "addr del "+n.Gateway6()+"/64 dev phone"); err != nil {
			s.t.Fatal(err)
		}
	}
	s.forget()
}

// forget makes the kernel look for its neighbours again.
func (s *site) forget() {
	for _, n := range s.Networks() {
		s.ip("neighbour", "flush", "dev", n.Name)
	}
}

// later are programs that learn of a failure elsewhere than in connect.
var later = []program{
	connecting[0], connecting[1], connecting[2], connecting[3],
	{"aria2", []string{"aria2c", "-q", "--connect-timeout=8", "-m", "1", "-s", "1", "--allow-overwrite=true", "-o", "out", from}, nil}, // epoll
	{"asyncio", []string{"python3", "-c", `import asyncio
async def main():
    reader, writer = await asyncio.open_connection("` + common + `", 80)
    writer.write(b"GET /film.mkv HTTP/1.0\r\nHost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    open("out", "wb").write(await reader.read())
asyncio.run(main())`}, nil},
	{"an edge in a set", []string{"python3", "-c", edge}, nil},
	{"select", []string{"python3", "-c", `import select, socket
s = socket.socket()
s.setblocking(False)
s.connect_ex(("` + common + `", 80))
print(select.select([], [s], [s], 8)[1] == [s], s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), s.connect_ex(("` + common + `", 80)))
` + fetch}, nil},
	{"connect again", []string{"python3", "-c", `import select, socket, time, errno
s = socket.socket()
s.setblocking(False)
while s.connect_ex(("` + common + `", 80)) in (errno.EINPROGRESS, errno.EALREADY):
    time.sleep(.05)
` + fetch}, nil},
}

// forEver waits as long as the type of a time-out can say.
var forEver = program{"select for ever", []string{"python3", "-c", `import ctypes, socket
s = socket.socket()
s.setblocking(False)
s.connect_ex(("` + common + `", 80))
writable = (ctypes.c_long * 16)()
writable[s.fileno() // 64] = 1 << s.fileno() % 64
print(ctypes.CDLL(None).select(s.fileno() + 1, None, writable, None, (ctypes.c_long * 2)(2**63 - 1, 0)))
` + fetch}, nil}

// fetch reads the film from a connected socket s.
const fetch = `s.setblocking(True)
s.sendall(b"GET /film.mkv HTTP/1.0\r\nHost: x\r\n\r\n")
f = s.makefile("rb")
while f.readline() != b"\r\n":
    pass
open("out", "wb").write(f.read())
`

// edge joins a set before it connects, and is told of each change once.
const edge = `import select, socket
s = socket.socket()
s.setblocking(False)
e = select.epoll()
e.register(s, select.EPOLLOUT | select.EPOLLET)
s.connect_ex(("` + common + `", 80))
while not (events := dict(e.poll(8))[s.fileno()]) & select.EPOLLOUT or events & select.EPOLLHUP and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
    pass
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
` + fetch

// The link is there, but the router is not.
func TestConnectingWithoutARouter(t *testing.T) {
	s := newAnycast(t)
	s.routerless("wlan0")
	for _, p := range append(later, later[0].over6(), later[2].over6(), later[3].over6(), later[6].over6()) {
		t.Run(p.name, func(t *testing.T) {
			s.forget()
			s.arrives(p, true)
		})
	}
}

// over6 is the program with IPv6.
func (p program) over6() program {
	p.name += " over IPv6"
	p.args = slices.Clone(p.args)
	for i, a := range p.args {
		a = strings.ReplaceAll(a, "http://"+common, "http://["+common6+"]")
		p.args[i] = strings.NewReplacer(common, common6, "socket.socket()", "socket.socket(socket.AF_INET6)").Replace(a)
	}
	return p
}

// Which network is next is the manager's to say; and one that leads nowhere either is not the last, also for a program
// that may not free a socket from an interface again.
func TestConnectingInTheManagersOrder(t *testing.T) {
	s := newAnycast(t, "eth0", "usb0")
	s.routerless("wlan0", "wwan0")
	where := []string{"setpriv", "--bounding-set=-all", "curl", "-sS", "--connect-timeout", "8", "-o", "/dev/null", "-w", "%{local_ip}", from}
	if r := s.download(true, where...).Run(); r.Stdout != s.Network("eth0").Phone() {
		t.Errorf("the kernel's order: %v", r)
	}
	s.Configure("[policy]\nprefer = [\"wlan0\", \"wwan0\", \"usb0\", \"eth0\"]\n")
	daemon := s.Command(lab.Build(t, "midstreamd"))
	daemon.Start()
	link := filepath.Join(s.RuntimeDir(), "order")
	s.Await("the manager's order", lab.Patience, func() bool { text, _ := os.Readlink(link); return text == "wlan0 wwan0 usb0 eth0" })
	s.forget()
	if r := s.download(true, where...).Run(); r.Stdout != s.Network("usb0").Phone() {
		t.Errorf("the manager's order: %v", r)
	}
	// So it is where a person has asked for one that leads nowhere.
	if r := s.Ctl("use", "wwan0").Run(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	s.forget()
	if r := s.download(true, where...).Run(); r.Stdout != s.Network("usb0").Phone() {
		t.Errorf("a person's choice: %v", r)
	}
	daemon.Process.Signal(syscall.SIGTERM)
	<-daemon.Ended()
	if text, err := os.Readlink(link); err == nil {
		t.Errorf("it has left %q", text)
	}
	// One that was killed cannot take its order back: nobody stands behind it any more.
	if r := s.Ctl("use", "auto").Run(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	daemon = s.Command(lab.Build(t, "midstreamd"))
	daemon.Start()
	s.Await("the manager's order", 5*time.Second, func() bool { text, _ := os.Readlink(link); return text != "" })
	daemon.Process.Kill()
	<-daemon.Ended()
	s.forget()
	if r := s.download(true, where...).Run(); r.Stdout != s.Network("eth0").Phone() {
		t.Errorf("the kernel's order, with what a killed daemon has left: %v", r)
	}
	if text, err := os.Readlink(link); err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// What the other networks say is no more than what the chosen one has said.
const outcome = `import errno, select, socket, sys
def look(name, s):
    print(name, errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), s.connect_ex(to), s.getsockname()[0] != "0.0.0.0")
to = (sys.argv[1], int(sys.argv[2]))
def begun():
    s = socket.socket()
    s.setblocking(False)
    print(errno.errorcode[s.connect_ex(to)])
    return s
s = begun()
p = select.poll()
p.register(s, select.POLLOUT)
print([e for _, e in p.poll()])
look("poll", s)
s = begun()
print([len(l) for l in select.select([s], [s], [s])])
look("select", s)
for more in 0, select.EPOLLET, select.EPOLLONESHOT:
    s = begun()
    e = select.epoll()
    e.register(s, select.EPOLLOUT | select.EPOLLIN | more)
    print([e for _, e in e.poll()])
    look("epoll", s)
s = begun()
p = select.poll()
p.register(s, select.POLLIN)
p.poll()
try:
    s.send(b"GET / HTTP/1.0\r\n\r\n")
except OSError as e:
    print(e)
for timeout in None, 20:
    s = socket.socket()
    s.settimeout(timeout)
    print(s.connect_ex(to))
    look("connect", s)
`

func TestConnectingToNowhere(t *testing.T) {
	s := newAnycast(t)
	s.routerless("wlan0", "wwan0")
	program := s.Command("python3", "-c", outcome, common, "80")
	program.Start()
	under := s.Midstream("python3", "-c", outcome, common, "80").Run()
	native := program.Wait()
	if lab.Compare(t, native, under); !strings.Contains(native.Stdout, "EHOSTUNREACH") {
		t.Errorf("%v", native)
	}
	t.Logf("natively %v, with another network that leads nowhere %v", native.Elapsed, under.Elapsed)
}

// A number that was closed and used again past all hooks is another connection's, which goes where its program says.
const squatted = `import ctypes, mmap, select, socket, struct
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes.fromhex("4889f84889f74889d64889ca0f05c3"))  # syscall(number, three arguments)
syscall = ctypes.CFUNCTYPE(*[ctypes.c_long] * 5)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
def begin(number, to):
    name = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H", 80) + socket.inet_aton(to) + bytes(8))
    return syscall(42, number, ctypes.addressof(name), 16)
s = socket.socket()
s.setblocking(False)
s.connect_ex(("` + common + `", 80))
number = s.detach()
print(syscall(3, number, 0, 0), syscall(41, socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0) == number)
print(begin(number, "203.0.113.81"))
p = select.poll()
p.register(number, select.POLLOUT)
print([e for _, e in p.poll()])
t = socket.socket(fileno=number)
print(t.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
try:
    print(t.getpeername())
except OSError as e:
    print(e)`

func TestNumbersUsedAgainAreNotConnectedElsewhere(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the program makes its system calls in the code of x86-64")
	}
	s := newAnycast(t)
	s.routerless("wlan0")
	native := s.Command("python3", "-c", squatted)
	native.Start()
	under := s.Midstream("python3", "-c", squatted).Run()
	result := native.Wait()
	if lab.Compare(t, result, under); !strings.HasPrefix(result.Stdout, "0 True\n-115\n") {
		t.Errorf("%v", result)
	}
}

// A path that swallows everything fails nothing for minutes; only a program that waits in connect is left to that.
func TestConnectingIntoTheVoid(t *testing.T) {
	s := newAnycast(t)
	s.Network("wlan0").Drop(lab.Both)
	for _, p := range []program{later[0], later[4], later[5], later[7], later[3].over6(), forEver} {
		t.Run(p.name, func(t *testing.T) { s.arrives(p, true) })
	}
	// Where the others are silent as well, the program's own attempt goes on, and ends as the program says.
	s.Network("wwan0").Drop(lab.Both)
	const script = `import socket, select
s = socket.socket()
s.setblocking(False)
print(s.connect_ex(("` + common + `", 80)))
print(select.select([s], [s], [s], 6), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), s.connect_ex(("` + common + `", 80)))
print(s.getsockname()[0])
try:
    socket.create_connection(("` + common + `", 80), 6)
except OSError as e:
    print(e)`
	lab.Compare(t, s.Command("python3", "-c", script).Run(), s.Midstream("python3", "-c", script).Run())
	// A way that opens late is taken by whoever still tries.
	d := s.download(true, "curl", "-sS", "--connect-timeout", "20", "-o", "out", "-w", "%{local_ip}", from)
	d.Start()
	time.Sleep(5500 * time.Millisecond) // the others have been asked by then
	s.Network("wlan0").Pass()
	if r := d.Wait(); r.Status != 0 || r.Stdout != s.Network("wlan0").Phone() || lab.Sum(d.out()) != s.sum {
		t.Errorf("%v", r)
	}
}

// Whoever has answered is not asked elsewhere, even where another would accept.
func TestConnectingToARefusal(t *testing.T) {
	s := newAnycast(t)
	s.web["wlan0"].Stop()
	native, under := s.Command("python3", "-c", outcome, common, "80").Run(), s.Midstream("python3", "-c", outcome, common, "80").Run()
	if lab.Compare(t, native, under); !strings.Contains(native.Stdout, "ECONNREFUSED") {
		t.Errorf("%v", native)
	}
}

// A connection that Midstream has bound to an interface is, for the server, not also another program's.
func TestPortsAreNotShared(t *testing.T) {
	s := newAnycast(t)
	const ports = "/proc/sys/net/ipv4/ip_local_port_range"
	all, err := os.ReadFile(ports)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(ports, []byte("40000 40063"), 0)
	defer os.WriteFile(ports, all, 0)
	if r := s.Ctl("use", "wlan0").Run(); r.Status != 0 {
		t.Fatalf("%v", r)
	}
	s.web["wlan0"].Stop()
	s.Network("wlan0").Paced(s.root, lab.ServerOptions{Addresses: []string{common}, LimitRate: 4 << 20})
	d := s.download(true, "curl", "-sS", "-o", "out", "-w", "%{local_port}", from)
	d.Start()
	s.Await("the download", lab.Patience, func() bool { return s.received() > 0 })
	var taken []string
	for range 32 { // the kernel's first choice is among them
		c, err := net.Dial("tcp", common+":80")
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetLinger(0)
		defer c.Close()
		taken = append(taken, fmt.Sprint(c.LocalAddr().(*net.TCPAddr).Port))
	}
	if r := d.Wait(); r.Status != 0 || lab.Sum(d.out()) != s.sum || slices.Contains(taken, r.Stdout) {
		t.Errorf("%v; others have the ports %v", r, taken)
	}
}

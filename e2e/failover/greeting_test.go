// TLS handshakes that nobody answers: before the program has had an octet of an answer, its ClientHello goes to whoever answers over
// another network.

package failover

import (
	"bufio"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"midstream/e2e/lab"
)

const secureURL = "https://" + host + "/film.mkv"

// greeting are programs that shake hands in different ways. CA is the authority's certificate.
var greeting = []program{
	{"curl", []string{"curl", "-4sS", "--max-time", "20", "--cacert", "CA", "-o", "out", secureURL}, nil},        // OpenSSL, without blocking
	{"wget", []string{"wget", "-4q", "-T", "20", "-t", "1", "--ca-certificate=CA", "-O", "out", secureURL}, nil}, // GnuTLS, select
	{"python", []string{"python3", "-c", pythonGreets, "CA", "None"}, nil},                                       // OpenSSL, blocking
	{"python with a time-out", []string{"python3", "-c", pythonGreets, "CA", "20"}, nil},                         // poll
	{"asyncio", []string{"python3", "-c", asyncioGreets, "CA"}, nil},                                             // epoll, TLS over memory
}

// waits reads in a thread that may see the end of a connection before the write that has greeted is over, here where nothing takes time.
// So it is for servers that end nothing.
var waits = program{"python that waits in another thread", []string{"python3", "-c", pythonWaits, "CA"}, nil} // poll without a time-out, from before

const pythonGreets = `import socket, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
with urllib.request.urlopen("` + secureURL + `", timeout=eval(sys.argv[2]), context=context) as r, open("out", "wb") as f:
    f.write(r.read())`

// The thread that waits sleeps before the handshake has begun, and is woken by its answer alone.
const pythonWaits = `import queue, select, socket, ssl, sys, threading, time
s = socket.create_connection(("` + host + `", 443))
incoming, outgoing, came = ssl.MemoryBIO(), ssl.MemoryBIO(), queue.Queue()
def wait():
    p = select.poll()
    p.register(s, select.POLLIN)
    while True:
        p.poll()
        data = s.recv(65536)
        came.put(data)
        if not data: break
threading.Thread(target=wait, daemon=True).start()
time.sleep(0.3) # for it to sleep
tls = ssl.create_default_context(cafile=sys.argv[1]).wrap_bio(incoming, outgoing, server_hostname="` + host + `")
def run(f):
    while True:
        try: result = f()
        except ssl.SSLWantReadError: result = None
        if outgoing.pending: s.sendall(outgoing.read())
        if result is not None: return result
        data = came.get(timeout=20)
        incoming.write(data) if data else incoming.write_eof()
run(lambda: tls.do_handshake() or True)
run(lambda: tls.write(b"GET /film.mkv HTTP/1.0\r\nHost: ` + host + `\r\n\r\n"))
all = b""
while chunk := run(lambda: tls.read(65536)): all += chunk
open("out", "wb").write(all.split(b"\r\n\r\n", 1)[1])`

const asyncioGreets = `import asyncio, ssl, sys
async def main():
    context = ssl.create_default_context(cafile=sys.argv[1])
    reader, writer = await asyncio.open_connection("` + host + `", 443, ssl=context)
    writer.write(b"GET /film.mkv HTTP/1.0\r\nHost: ` + host + `\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    open("out", "wb").write(await reader.read())
asyncio.run(main())`

// secureSite raises two networks that lead to the same address: the second to a server, the first to whatever serves there.
func secureSite(t *testing.T, first func(s *site, n *lab.Network, options lab.ServerOptions)) *site {
	s := &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	ca := lab.Authority(t, filepath.Join(s.root, "ca"))
	for _, n := range s.Networks() {
		n.AddAddress(common)
		n.DNS(map[string][]string{host: {common}})
		options := lab.ServerOptions{Addresses: []string{common}, Port: 443}
		options.Certificate, options.Key = lab.Certificate(t, ca, n.Name, host)
		if n.Name == "wlan0" {
			first(s, n, options)
		} else {
			s.web[n.Name] = n.Paced(s.root, options)
		}
	}
	return s
}

func (s *site) greets(under bool, p program) *download {
	var args []string
	for _, a := range p.args {
		args = append(args, strings.ReplaceAll(a, "CA", filepath.Join(s.root, "ca.pem")))
	}
	return s.download(under, args...)
}

// mute accepts connections, reads a ClientHello of each, and then does what then says.
func (s *site) mute(n *lab.Network, then func(c net.Conn)) {
	n.Answer(s.t, common, "443", func(c net.Conn) {
		hello := make([]byte, 5)
		r := bufio.NewReader(c)
		if _, err := io.ReadFull(r, hello); err == nil {
			r.Discard(int(hello[3])<<8 | int(hello[4]))
			then(c)
		}
	})
}

// all runs the programs at once.
func (s *site) all(under bool, programs []program) (all []*download) {
	for _, p := range programs {
		d := s.greets(under, p).named(p.name)
		d.Start()
		all = append(all, d)
	}
	return all
}

func TestAHandshakeIsAnsweredElsewhere(t *testing.T) {
	for _, event := range []struct {
		name  string
		who   []program
		first func(s *site, n *lab.Network, options lab.ServerOptions)
	}{
		{"frozen", append(slices.Clone(greeting), waits), func(s *site, n *lab.Network, options lab.ServerOptions) { n.Paced(s.root, options).Freeze() }},
		{"FIN", greeting, func(s *site, n *lab.Network, _ lab.ServerOptions) { s.mute(n, func(net.Conn) {}) }},
		{"RST", greeting, func(s *site, n *lab.Network, _ lab.ServerOptions) {
			s.mute(n, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) })
		}},
		{"carrier lost", greeting, func(s *site, n *lab.Network, _ lab.ServerOptions) {
			var greeted atomic.Int64
			s.mute(n, func(c net.Conn) {
				if greeted.Add(1) == int64(len(greeting)) {
					n.CarrierDown()
				}
				c.Read(make([]byte, 1))
			})
		}},
	} {
		t.Run(event.name, func(t *testing.T) {
			s := secureSite(t, event.first)
			for _, d := range s.all(true, event.who) {
				if r := d.Wait(); r.Status != 0 || r.Stdout != "" || r.Stderr != "" || lab.Sum(d.out()) != s.sum {
					t.Errorf("%s: %v", d.name, r)
				}
			}
			if n := len(s.web["wwan0"].Requests()); n != len(event.who) {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// Where nobody answers, or nobody else may be asked, the program is told what it would have been told, and each server has been
// greeted once by each program.
func TestAHandshakeThatNobodyAnswers(t *testing.T) {
	for _, test := range []struct {
		name, config string
		others       int64 // greeted, of each program
		programs     []program
	}{
		{"both end", "", 1, greeting},
		{"the other one costs", "metered = true\n", 0, greeting[:1]}, // the laboratory's own text ends with the table of wwan0
		{"switched off", "[failover]\nenabled = false\n", 0, greeting[1:2]},
	} {
		t.Run(test.name, func(t *testing.T) {
			var first, other atomic.Int64
			s := secureSite(t, func(s *site, n *lab.Network, _ lab.ServerOptions) { s.mute(n, func(net.Conn) { first.Add(1) }) })
			s.web["wwan0"].Kill()
			s.mute(s.Network("wwan0"), func(net.Conn) { other.Add(1) })
			s.Configure(test.config)
			native := s.all(false, test.programs)
			for _, d := range native {
				d.Wait()
			}
			greeted := first.Swap(0)
			for i, d := range s.all(true, test.programs) {
				lab.Compare(t, native[i].Wait(), d.Wait(), without(`0x[0-9a-f]+|line [0-9]+|[0-9A-F]{12,}`))
			}
			if first.Load() != greeted || other.Load() != test.others*greeted {
				t.Errorf("greeted %d and %d times, natively %d", first.Load(), other.Load(), greeted)
			}
		})
	}
}

// Another server of the name, where the program has looked that up, is as good as the same one over another network; not so one of another
// name that shares an address with it. The program goes on to believe in the one that it has connected to, at every moment.
func TestAHandshakeIsAnsweredByAnotherServer(t *testing.T) {
	const script = `import socket, ssl, sys, threading
context = ssl.create_default_context(cafile=sys.argv[1])
socket.getaddrinfo("` + host + `".upper(), 443)
socket.getaddrinfo("shared.example", 443)
s = socket.create_connection(("` + common + `", 443))
peer, local = s.getpeername(), s.getsockname()
s = context.wrap_socket(s, server_hostname="` + host + `", do_handshake_on_connect=False)
shaking, names = True, set()
def ask():
    while shaking:
        names.add((s.getpeername(), s.getsockname()))
asking = threading.Thread(target=ask)
asking.start()
try:
    s.do_handshake()
finally:
    shaking = False
asking.join()
s.sendall(b"GET /film.mkv HTTP/1.0\r\nHost: ` + host + `\r\n\r\n")
f = s.makefile("rb")
while (line := f.readline()) != b"\r\n":
    assert line, "no answer"
open("out", "wb").write(f.read())
names.add((s.getpeername(), s.getsockname()))
print(names == {(peer, local)})`
	for _, event := range []struct {
		name string
		then func(net.Conn)
	}{
		{"FIN", func(net.Conn) {}},
		{"silent", func(c net.Conn) { c.Read(make([]byte, 1)) }},
	} {
		t.Run(event.name, func(t *testing.T) {
			s := &site{Lab: lab.New(t, lab.Net("eth0", lab.Link{})), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
			s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
			ca, n := lab.Authority(t, filepath.Join(s.root, "ca")), s.Network("eth0")
			n.AddAddress(common)
			n.AddAddress(second)
			n.DNS(map[string][]string{host: {common, second}, "shared.example": {common, n.Content()}})
			n.Answer(t, n.Content(), "443", func(net.Conn) { t.Error("the server of another name is asked") })
			s.mute(n, event.then)
			options := lab.ServerOptions{Addresses: []string{second}, Port: 443}
			options.Certificate, options.Key = lab.Certificate(t, ca, n.Name, host)
			web := n.Paced(s.root, options)
			d := s.greets(true, program{"python", []string{"python3", "-c", script, "CA"}, nil})
			if r := d.Run(); r.Status != 0 || r.Stdout != "True\n" || r.Stderr != "" || lab.Sum(d.out()) != s.sum || len(web.Requests()) != 1 {
				t.Errorf("%v", r)
			}
		})
	}
}

// A read with a time-out is ended by any signal (signal(7)), be it the first of a handshake.
func TestASignalEndsTheWaitForAnAnswer(t *testing.T) {
	const script = `import ctypes, errno, signal, socket, ssl, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
out = ssl.MemoryBIO()
session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="` + host + `")
try:
    session.do_handshake()
except ssl.SSLWantReadError:
    pass
s = socket.create_connection(("` + common + `", 443))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
s.sendall(out.read())
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.2)
print(libc.recv(s.fileno(), ctypes.create_string_buffer(100), 100, 0), errno.errorcode[ctypes.get_errno()])`
	s := &site{Lab: lab.New(t, lab.Net("eth0", lab.Link{})), t: t}
	s.Network("eth0").AddAddress(common)
	s.mute(s.Network("eth0"), func(c net.Conn) { c.Read(make([]byte, 1)) })
	p := program{"python", []string{"python3", "-c", script}, nil}
	lab.Compare(t, s.greets(false, p).Run(), s.greets(true, p).Run())
}

// A server that was only slow is the one that is stayed with, if it answers before another one.
func TestAHandshakeThatIsAnsweredLate(t *testing.T) {
	var slow *lab.Server
	s := secureSite(t, func(s *site, n *lab.Network, options lab.ServerOptions) { slow = n.Paced(s.root, options) })
	s.web["wwan0"].Kill()
	asked := make(chan bool, len(greeting))
	s.mute(s.Network("wwan0"), func(c net.Conn) {
		asked <- true
		c.Read(make([]byte, 1))
	})
	slow.Freeze()
	all := s.all(true, greeting)
	for range greeting {
		<-asked
	}
	slow.Thaw()
	for _, d := range all {
		if r := d.Wait(); r.Status != 0 || r.Stdout != "" || r.Stderr != "" || lab.Sum(d.out()) != s.sum {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	if n := len(slow.Requests()); n != len(greeting) {
		t.Errorf("%d requests", n)
	}
}

// Between the handshake and the first request, too, the connection may be lost: the request goes to the other network.
func TestAConnectionIsLostAfterTheHandshake(t *testing.T) {
	// Its ticket says that the server has read all of the handshake: it ends with FIN then.
	const script = `import select, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
s = context.wrap_socket(socket.create_connection(("` + host + `", 443)), server_hostname="` + host + `")
select.select([s], [], [], 10)
print("greeted", flush=True)
sys.stdin.readline()
s.sendall(b"GET /film.mkv HTTP/1.0\r\nHost: ` + host + `\r\n\r\n")
f = s.makefile("rb")
while (line := f.readline()) != b"\r\n":
    assert line, "no answer"
open("out", "wb").write(f.read())`
	for _, event := range []struct {
		name   string
		strike func(n *lab.Network, web *lab.Server)
	}{
		{"carrier lost", func(n *lab.Network, _ *lab.Server) { n.CarrierDown() }},
		{"silent", func(n *lab.Network, _ *lab.Server) { n.Drop(lab.Both) }},
		{"killed", func(_ *lab.Network, web *lab.Server) { web.Kill() }},
	} {
		t.Run(event.name, func(t *testing.T) {
			var web *lab.Server
			s := secureSite(t, func(s *site, n *lab.Network, options lab.ServerOptions) { web = n.Paced(s.root, options) })
			d := s.greets(true, program{"python", []string{"python3", "-c", script, "CA"}, nil})
			in, err := d.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			d.Start()
			s.Await("the handshake", lab.Patience, func() bool { out, _ := d.Output(); return strings.Contains(out, "greeted") })
			event.strike(s.Network("wlan0"), web)
			in.Write([]byte("\n"))
			if r := d.Wait(); r.Status != 0 || r.Stderr != "" || lab.Sum(d.out()) != s.sum {
				t.Errorf("%v", r)
			}
		})
	}
}

// Whoever shares the descriptor while another connection stands in for a slow one shares the program's own, on which the handshake then
// goes on.
func TestAHandshakeWhoseDescriptorIsShared(t *testing.T) {
	const script = `import os, socket, ssl, sys, threading
context = ssl.create_default_context(cafile=sys.argv[1])
s = context.wrap_socket(socket.create_connection(("` + host + `", 443)), server_hostname="` + host + `", do_handshake_on_connect=False)
t = threading.Thread(target=s.do_handshake)
t.start()
sys.stdin.readline()
SHARE
print("shared", flush=True)
t.join()
s.sendall(b"GET /film.mkv HTTP/1.0\r\nHost: ` + host + `\r\n\r\n")
f = s.makefile("rb")
while (line := f.readline()) != b"\r\n":
    assert line, "no answer"
open("out", "wb").write(f.read())`
	ways := map[string]string{
		"fork":       "os.waitpid(os.fork() or os._exit(0), 0)",
		"dup":        "os.dup(s.fileno())",
		"dup2":       "os.dup2(s.fileno(), 100)",
		"SCM_RIGHTS": "pair = socket.socketpair(); socket.send_fds(pair[0], [b'x'], [s.fileno()])",
	}
	var slow *lab.Server
	s := secureSite(t, func(s *site, n *lab.Network, options lab.ServerOptions) { slow = n.Paced(s.root, options) })
	s.web["wwan0"].Kill()
	asked := make(chan bool, len(ways))
	s.mute(s.Network("wwan0"), func(c net.Conn) {
		asked <- true
		c.Read(make([]byte, 1))
	})
	slow.Freeze()
	var all []*download
	var ins []io.Writer
	for name, share := range ways {
		d := s.greets(true, program{"", []string{"timeout", "20", "python3", "-W", "ignore", "-c", strings.ReplaceAll(script, "SHARE", share), "CA"}, nil}).named(name)
		in, err := d.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		d.Start()
		all, ins = append(all, d), append(ins, in)
	}
	for range ways {
		<-asked
	}
	for i, d := range all {
		ins[i].Write([]byte("\n"))
		s.Await("the sharing by "+d.name, lab.Patience, func() bool { out, _ := d.Output(); return strings.Contains(out, "shared") })
	}
	slow.Thaw()
	for _, d := range all {
		if r := d.Wait(); r.Status != 0 || r.Stderr != "" || lab.Sum(d.out()) != s.sum {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	if n := len(slow.Requests()); n != len(ways) {
		t.Errorf("%d requests", n)
	}
}

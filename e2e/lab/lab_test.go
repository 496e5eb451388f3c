package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// waitLimit bounds every wait of these tests; nothing in them takes a tenth of it.
const waitLimit = Patience

// handshake connects through a network to an address and returns how long it took.
func handshake(n *Network, address string, limit time.Duration) (time.Duration, error) {
	from := n.Phone()
	if strings.HasPrefix(address, "[") {
		from = n.Phone6()
	}
	d := net.Dialer{Timeout: limit, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	begun := time.Now()
	c, err := d.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return time.Since(begun), err
}

func TestNamesLeadToEachNetworksOwnServer(t *testing.T) {
	l := New(t, Net("wlan0", Link{}), Net("wwan0", Link{}), Net("eth0", Link{}))
	for _, n := range l.Networks() {
		root := t.TempDir()
		Content(t, root, "who", int64(n.Index), 1)
		n.Nginx(root, ServerOptions{})
		n.DNS(map[string][]string{"download.example": {n.Content(), n.Content6()}})
	}
	for _, n := range l.Networks() {
		l.UseResolver(n)
		for _, family := range []string{"-4", "-6"} {
			r := l.Command("curl", "-sS", family, "--interface", n.Name, "http://download.example/who").Run()
			if r.Status != 0 || len(r.Stdout) != n.Index {
				t.Errorf("%s %s: %v", n.Name, family, r)
			}
		}
		if r := l.Command("curl", "-sS", "http://unknown.example/").Run(); r.Status != 6 {
			t.Errorf("an unknown name is not refused: %v", r)
		}
	}
	for _, n := range l.Networks() {
		asked := l.servers[2*n.Index-1].Asked()
		if fmt.Sprint(asked) != "[download.example A download.example AAAA unknown.example A unknown.example AAAA]" {
			t.Errorf("DNS server of %s was asked %v", n.Name, asked)
		}
	}
}

func TestDefaultRouteLeadsThroughTheFirstNetworkWithCarrierAndRoute(t *testing.T) {
	l := New(t)
	shared := "203.0.113.80"
	for _, n := range l.Networks() {
		root := t.TempDir()
		os.WriteFile(root+"/who", []byte(n.Name), 0o644)
		n.AddAddress(shared)
		n.Nginx(root, ServerOptions{Addresses: []string{shared}})
	}
	ask := func() string { return l.Command("curl", "-sS", "-m", "5", "http://"+shared+"/who").Run().Stdout }
	if got := ask(); got != "wlan0" {
		t.Fatalf("answered by %q, want wlan0", got)
	}
	wlan := l.Network("wlan0")
	wlan.RemoveRoutes()
	if got := ask(); got != "wwan0" {
		t.Errorf("without the routes answered by %q, want wwan0", got)
	}
	wlan.AddRoutes()
	if got := ask(); got != "wlan0" {
		t.Errorf("with the routes back answered by %q, want wlan0", got)
	}
	wlan.RemoveAddresses()
	if got := ask(); got != "wwan0" {
		t.Errorf("without the addresses answered by %q, want wwan0", got)
	}
	wlan.AddAddresses()
	wlan.Unplug()
	if _, err := net.InterfaceByName("wlan0"); err == nil {
		t.Error("the interface is still there after Unplug")
	}
	if got := ask(); got != "wwan0" {
		t.Errorf("unplugged, answered by %q, want wwan0", got)
	}
	wlan.Plug()
	if got := ask(); got != "wlan0" {
		t.Errorf("plugged in again, answered by %q, want wlan0", got)
	}
}

var links = map[string]Link{"plain": {}, "wired": {Delay: time.Millisecond}}

func TestDroppedPacketsVanishSilently(t *testing.T) {
	for kind, link := range links {
		for _, d := range []Direction{Up, Down, Both} {
			t.Run(kind+" "+string(d), func(t *testing.T) {
				l := New(t, Net("wlan0", link))
				n := l.Network("wlan0")
				n.Nginx(t.TempDir(), ServerOptions{})
				for _, a := range []string{n.Content() + ":80", "[" + n.Content6() + "]:80"} {
					handshake(n, a, waitLimit) // or ARP and neighbour discovery are lost, and tried again after a second
					n.Drop(d)
					_, err := handshake(n, a, 100*time.Millisecond)
					if e, ok := err.(net.Error); !ok || !e.Timeout() {
						t.Errorf("connect to %s: %v, want a time-out", a, err)
					}
					n.Pass()
					if _, err := handshake(n, a, waitLimit); err != nil {
						t.Errorf("connect after Pass: %v", err)
					}
				}
			})
		}
	}
}

func TestCarrierIsLostAndComesBack(t *testing.T) {
	for kind, link := range links {
		t.Run(kind, func(t *testing.T) {
			l := New(t, Net("wlan0", link))
			n := l.Network("wlan0")
			n.Nginx(t.TempDir(), ServerOptions{})
			carrier := func() bool {
				i, err := net.InterfaceByName("wlan0")
				return err == nil && i.Flags&net.FlagRunning != 0
			}
			n.CarrierDown()
			l.Await("no carrier", waitLimit, func() bool { return !carrier() })
			n.CarrierUp()
			for _, a := range []string{n.Content() + ":80", "[" + n.Content6() + "]:80"} {
				if _, err := handshake(n, a, waitLimit); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestDelayIsThatOfTheLink(t *testing.T) {
	l := New(t, Net("wlan0", Link{Delay: 30 * time.Millisecond}))
	n := l.Network("wlan0")
	n.Nginx(t.TempDir(), ServerOptions{})
	handshake(n, n.Content()+":80", waitLimit) // the first one waits for ARP as well
	best := time.Hour
	for range 3 {
		took, err := handshake(n, n.Content()+":80", waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, took)
	}
	if best < 60*time.Millisecond || best > 90*time.Millisecond {
		t.Errorf("round trip of %v where 30 ms one way were asked for", best)
	}
}

func TestRateBoundsADownload(t *testing.T) {
	l := New(t, Net("wlan0", Link{Rate: 40e6, Delay: 5 * time.Millisecond}))
	n := l.Network("wlan0")
	root := t.TempDir()
	const size = 2 << 20
	sum := Content(t, root, "file", size, 7)
	n.Nginx(root, ServerOptions{})
	out := t.TempDir() + "/file"
	begun := time.Now()
	r := l.Command("curl", "-sS", "-o", out, "http://"+n.Content()+"/file").Run()
	if took, least := time.Since(begun), time.Duration(size*8)*time.Second/40e6; r.Status != 0 || took < least {
		t.Errorf("%d octets took %v, at 40 Mbit/s at least %v; %v", size, took, least, r)
	}
	if Sum(out) != sum {
		t.Error("the file differs")
	}
	if c := n.Counters(); c.Received < size || c.Sent < 1000 {
		t.Errorf("counters %+v after a download of %d octets", c, size)
	}
}

func TestEqualContentOnEqualServersHasEqualValidators(t *testing.T) {
	l := New(t)
	kinds := map[string]func(*Network, string, ServerOptions) *Server{
		"nginx": (*Network).Nginx, "apache2": (*Network).Apache, "lighttpd": (*Network).Lighttpd, "paced": (*Network).Paced}
	for kind, start := range kinds {
		validators := map[string]bool{}
		for _, n := range l.Networks() {
			root := t.TempDir()
			Content(t, root, "file", 1000, 7)
			s := start(n, root, ServerOptions{})
			request, _ := http.NewRequest("GET", "http://"+n.Content()+"/file", nil)
			request.Header.Set("Range", "bytes=600-")
			request.Header.Set("User-Agent", "tester")
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			io.Copy(io.Discard, response.Body)
			validators[response.Header.Get("Last-Modified")+response.Header.Get("Etag")] = true
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			if kind == "lighttpd" {
				s.Stop() // it writes its log when its buffer is full, at intervals and at its end
			}
			got := s.WaitRequest("206", waitLimit, func(r Request) bool { return r.Status == 206 })
			if time.Since(got.At).Abs() > time.Minute || got.ClientPort == 0 {
				t.Errorf("%s: time %v, port %d", kind, got.At, got.ClientPort)
			}
			want := Request{At: got.At, Server: n.Content(), Client: n.Phone(), ClientPort: got.ClientPort, Method: "GET", Target: "/file",
				Status: 206, Host: n.Content(), Range: "bytes=600-", ContentRange: "bytes 600-999/1000", Sent: 400, UserAgent: "tester"}
			if got != want || got.FirstOctet() != 600 {
				t.Errorf("%s: logged %+v\nwant %+v", kind, got, want)
			}
			s.Kill()
		}
		if len(validators) != 1 {
			t.Errorf("%s: validators differ between networks: %v", kind, validators)
		}
	}
}

func TestMalformedAccessLogLinesAreErrors(t *testing.T) {
	for _, line := range []string{"", "a\tb", strings.Repeat("-\t", 11) + "-"} {
		if r, err := ParseRequest(line); err == nil {
			t.Errorf("%q was read as %+v", line, r)
		}
	}
}

func TestProxiesReachTheServersOfTheirNetworkByName(t *testing.T) {
	l := New(t)
	n := l.Network("wwan0")
	root := t.TempDir()
	Content(t, root, "file", 1000, 7)
	n.Nginx(root, ServerOptions{})
	n.DNS(map[string][]string{"download.example": {n.Content()}})
	for kind, start := range map[string]func() *Server{"tinyproxy": n.Tinyproxy, "squid": func() *Server { return n.Squid("") }} {
		s := start()
		proxy := fmt.Sprintf("http://%s:%d", n.Proxy(), ProxyPort)
		r := l.Command("curl", "-sS", "-f", "-o", "/dev/null", "-w", "%{size_download}", "-x", proxy, "http://download.example/file").Run()
		if r.Stdout != "1000" {
			t.Errorf("%s: %v", kind, r)
		}
		s.Kill()
	}
}

func TestServersDieReturnAndFreeze(t *testing.T) {
	l := New(t, Net("wlan0", Link{}))
	n := l.Network("wlan0")
	s := n.Nginx(t.TempDir(), ServerOptions{})
	address := n.Content() + ":80"
	s.Kill()
	if _, err := handshake(n, address, waitLimit); err == nil {
		t.Error("a killed server accepts connections")
	}
	s.Restart()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.Freeze()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if octets, err := c.Read(make([]byte, 1)); octets != 0 || !os.IsTimeout(err) {
		t.Errorf("a frozen server answered (%v)", err)
	}
	s.Thaw()
	c.SetReadDeadline(time.Now().Add(waitLimit))
	if _, err := c.Read(make([]byte, 1000)); err != nil {
		t.Errorf("the thawed server does not answer: %v", err)
	}
	n.ResetConnections()
	if _, err := c.Read(make([]byte, 1000)); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("after ResetConnections: %v, want a reset", err)
	}
}

func TestResetsSentByThePhoneAreSeen(t *testing.T) {
	l := New(t)
	n := l.Network("wwan0")
	n.Nginx(t.TempDir(), ServerOptions{})
	for _, address := range []string{n.Content() + ":80", "[" + n.Content6() + "]:80"} {
		capture := n.CaptureRST()
		orderly, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		orderly.Close()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		s := capture.WaitReset(80, waitLimit)
		if s.To.String() != address || s.From.String() != c.LocalAddr().String() || len(capture.Resets()) != 1 {
			t.Errorf("saw %v, want only that from %v to %s", capture.Resets(), c.LocalAddr(), address)
		}
	}
}

func TestGapClientReportsThePauseAndKeepsTheContent(t *testing.T) {
	l := New(t, Net("wlan0", Link{}))
	n := l.Network("wlan0")
	root := t.TempDir()
	sum := Content(t, root, "file", 12<<20, 3)
	s := n.Paced(root, ServerOptions{LimitRate: 8 << 20})
	out := t.TempDir() + "/file"
	p := l.Command(l.GapClient(out, n.Content(), 80, "/file")...).Start()
	l.Await("the first half", waitLimit, func() bool {
		info, err := os.Stat(out)
		return err == nil && info.Size() > 6<<20
	})
	frozen := time.Now()
	s.Freeze()
	time.Sleep(150 * time.Millisecond) // the pause that is to be found
	s.Thaw()
	thawed := time.Now()
	r := p.Wait()
	g := ParseGaps(t, r)
	if r.Status != 0 || g.Status != 200 || g.Octets != 12<<20 || Sum(out) != sum {
		t.Errorf("the download failed: %v", r)
	}
	// A busy machine has pauses of its own.
	if gap := g.LongestBetween(frozen, thawed); gap.Length < 100*time.Millisecond || gap.Length > g.Longest().Length {
		t.Errorf("found %+v while frozen for %v; longest %+v", gap, thawed.Sub(frozen), g.Longest())
	}
}

func TestResultsOfProgramsAreComplete(t *testing.T) {
	l := New(t)
	r := l.Command("sh", "-c", "echo out; echo err >&2; exit 7").Run()
	if r.Stdout != "out\n" || r.Stderr != "err\n" || r.Status != 7 || r.Signal != 0 {
		t.Errorf("got %v", r)
	}
	if r := l.Command("sh", "-c", "kill -9 $$").Run(); r.Signal != 9 {
		t.Errorf("got %v", r)
	}
}

func TestOrphansDoNotStayBehind(t *testing.T) {
	l := New(t)
	r := l.Command("sh", "-c", "(true &) ; sleep 1000 >/dev/null 2>&1 & echo $!").Run()
	pid := strings.TrimSpace(r.Stdout)
	l.Await("the orphan is killed with the laboratory's programs", waitLimit, func() bool {
		l.programs[0].kill()
		_, err := os.Stat("/proc/" + pid)
		return err != nil
	})
}

// What a link of 10 ms one way carries, with nginx and curl on the same machine.
func BenchmarkWire(b *testing.B) {
	l := New(b, Net("wlan0", Link{Delay: 10 * time.Millisecond}))
	n := l.Network("wlan0")
	root := b.TempDir()
	const size = 200 << 20
	Content(b, root, "file", size, 7)
	n.Nginx(root, ServerOptions{})
	b.SetBytes(size)
	for b.Loop() {
		if r := l.Command("curl", "-sS", "-o", "/dev/null", "http://"+n.Content()+"/file").Run(); r.Status != 0 {
			b.Fatal(r)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		l := New(benchT{b})
		l.close()
	}
}

// benchT leaves the closing to the benchmark's loop.
type benchT struct{ *testing.B }

func (benchT) Cleanup(func()) {}

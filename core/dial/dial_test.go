package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/core/netif"
	"midstream/core/netif/nettest"
	"midstream/core/netmon"
	"midstream/core/resolve"
)

func listen(t *testing.T, addr string) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(true) // serves TCP and MPTCP
	l, err := config.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Skipf("listen on %s: %v", addr, err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener), l.Addr().(*net.TCPAddr).AddrPort()
}

// pair returns both ends of a connection, with a deadline no good test meets.
func pair(t *testing.T, opts Options) (*Conn, *net.TCPConn) {
	t.Helper()
	l, at := listen(t, "127.0.0.1:0")
	c, err := Race(t.Context(), Candidates(at), netip.AddrPort{}, opts)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	peer.SetDeadline(time.Now().Add(5 * time.Second))
	return c, peer.(*net.TCPConn)
}

func eachProtocol(t *testing.T, test func(t *testing.T, opts Options)) {
	t.Run("TCP", func(t *testing.T) { test(t, Options{}) })
	t.Run("MPTCP", func(t *testing.T) {
		fd, err := open(syscall.AF_INET, &Options{Multipath: true})
		if err != nil {
			t.Skip(err)
		}
		syscall.Close(fd)
		test(t, Options{Multipath: true})
	})
}

func TestPeekMoreWaitsForMoreAndTakesNothing(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts Options) {
		c, peer := pair(t, opts)
		buf := make([]byte, 64)
		text := "HTTP/1.1 206 Partial Content\r\n"
		go func() {
			for _, part := range []string{text[:5], text[5:6], text[6:]} {
				peer.Write([]byte(part))
				time.Sleep(10 * time.Millisecond)
			}
		}()
		for have := 0; have < len(text); {
			n, err := c.PeekMore(have, buf)
			if err != nil || n <= have {
				t.Fatalf("PeekMore(%d) = %d, %v", have, n, err)
			}
			have = n
		}
		if n, err := c.Buffered(); n != len(text) || err != nil {
			t.Errorf("Buffered = %d, %v", n, err)
		}
		if n, err := c.Discard(9); n != 9 || err != nil {
			t.Errorf("Discard = %d, %v", n, err)
		}
		if n, err := c.Read(buf); string(buf[:n]) != text[9:] || err != nil {
			t.Errorf("Read %q, %v", buf[:n], err)
		}
		if n, err := c.Buffered(); n != 0 || err != nil {
			t.Errorf("Buffered = %d, %v at the end", n, err)
		}
	})
}

func TestPeekMoreNoticesTheEndBehindPeekedOctets(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts Options) {
		c, peer := pair(t, opts)
		buf := make([]byte, 64)
		peer.Write([]byte("abc"))
		if n, err := c.Peek(buf); n != 3 || err != nil {
			t.Fatalf("Peek = %d, %v", n, err)
		}
		time.AfterFunc(10*time.Millisecond, func() { peer.CloseWrite() })
		if n, err := c.PeekMore(3, buf); n != 3 || err != io.EOF {
			t.Errorf("PeekMore = %d, %v; want 3, EOF", n, err)
		}
		if n, err := c.PeekMore(3, buf); n != 3 || err != io.EOF {
			t.Errorf("PeekMore after the end = %d, %v; want 3, EOF", n, err)
		}
		if n, err := c.Discard(4); n != 3 || err != io.ErrUnexpectedEOF {
			t.Errorf("Discard = %d, %v", n, err)
		}
		if n, err := c.Peek(buf); n != 0 || err != io.EOF {
			t.Errorf("Peek = %d, %v", n, err)
		}
		if n, err := c.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("Read = %d, %v", n, err)
		}
	})
}

func TestPeekMoreNoticesAResetAndLeavesItToTheReader(t *testing.T) {
	c, peer := pair(t, Options{})
	buf := make([]byte, 64)
	peer.Write([]byte("abc"))
	c.Peek(buf)
	peer.SetLinger(0)
	time.AfterFunc(10*time.Millisecond, func() { peer.Close() })
	if _, err := c.PeekMore(3, buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("PeekMore: %v", err)
	}
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the reader sees %v instead of the reset", err)
	}
}

func TestPeekMoreKeepsItsLimits(t *testing.T) {
	c, peer := pair(t, Options{})
	buf := make([]byte, 3)
	peer.Write([]byte("abcd"))
	if _, err := c.PeekMore(3, buf); err != io.ErrShortBuffer {
		t.Errorf("full buffer: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.PeekMore(4, make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Discard(9); n != 4 || err == nil {
		t.Errorf("Discard past the deadline: %d, %v", n, err)
	}
}

func TestWriteSendsAllAndReportsAClosedPeer(t *testing.T) {
	c, peer := pair(t, Options{SndBuf: 4096})
	sent := bytes.Repeat([]byte("0123456789"), 200_000)
	got := make(chan []byte)
	go func() { b, _ := io.ReadAll(peer); got <- b }()
	if n, err := c.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	c.Fd(func(fd int) { syscall.Shutdown(fd, syscall.SHUT_WR) })
	if !bytes.Equal(<-got, sent) {
		t.Error("the peer got something else")
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v", err)
	}
}

func TestResetSendsRSTAndCloseSendsFIN(t *testing.T) {
	c, peer := pair(t, Options{})
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Reset the peer reads %v", err)
	}
	c, peer = pair(t, Options{})
	c.Close()
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after Close the peer reads %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

func TestSocketIsAsItWasAskedFor(t *testing.T) {
	hooked := 0
	c, _ := pair(t, Options{Domain: syscall.AF_INET6, RcvBuf: 20000, Control: func(int) error { hooked++; return nil }})
	if !c.Local().Addr().Is4() || !c.Remote().Addr().Is4() || c.LocalAddr().String() != c.Local().String() {
		t.Errorf("%v -> %v", c.Local(), c.Remote())
	}
	if c.RTT() <= 0 || c.RTT() > time.Second || hooked != 1 {
		t.Errorf("RTT %v, Control called %d times", c.RTT(), hooked)
	}
	c.Fd(func(fd int) {
		if sa, err := syscall.Getsockname(fd); err != nil {
			t.Error(err)
		} else if _, six := sa.(*syscall.SockaddrInet6); !six {
			t.Errorf("the socket is not AF_INET6 but %T", sa)
		}
		option := func(level, name, want int) {
			if got, err := syscall.GetsockoptInt(fd, level, name); got != want || err != nil {
				t.Errorf("option %d.%d = %d, %v; want %d", level, name, got, err, want)
			}
		}
		option(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0)
		option(syscall.SOL_SOCKET, syscall.SO_RCVBUF, 40000)
		option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 0)
		option(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 0)
		option(syscall.SOL_SOCKET, 38 /* SO_PROTOCOL */, syscall.IPPROTO_TCP)
		flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
		cloexec, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if flags&syscall.O_NONBLOCK == 0 || cloexec != syscall.FD_CLOEXEC {
			t.Errorf("flags %#x, %#x", flags, cloexec)
		}
	})
	_, at := listen(t, "127.0.0.1:0")
	if _, err := Race(t.Context(), Candidates(at), at, Options{Control: func(int) error { return syscall.EBADE }}); !errors.Is(err, syscall.EBADE) {
		t.Errorf("Control's error is lost: %v", err)
	}
	if _, err := Race(t.Context(), Candidates(netip.MustParseAddrPort("[::1]:9")), netip.AddrPort{}, Options{Domain: syscall.AF_INET}); !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Errorf("IPv6 over AF_INET: %v", err)
	}
}

func TestMultipathSocketIsMPTCP(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts Options) {
		want := syscall.IPPROTO_TCP
		if opts.Multipath {
			want = protocolMPTCP
		}
		c, _ := pair(t, opts)
		c.Fd(func(fd int) {
			if got, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, 38 /* SO_PROTOCOL */); got != want {
				t.Errorf("protocol %d, %v; want %d", got, err, want)
			}
		})
	})
}

// Kernels without SCTP refuse it; no other protocol takes its place.
func TestAnotherProtocolIsAskedForAsItIs(t *testing.T) {
	const sctp = 132 // IPPROTO_SCTP, linux/in.h
	fd, err := open(syscall.AF_INET, &Options{Protocol: sctp})
	if err != nil {
		if !errors.Is(err, syscall.EPROTONOSUPPORT) {
			t.Error(err)
		}
		return
	}
	defer syscall.Close(fd)
	if got, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, 38 /* SO_PROTOCOL */); got != sctp {
		t.Errorf("protocol %d, %v", got, err)
	}
}

func TestMultipathTurnedOffIsAnError(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	if err := os.WriteFile("/proc/sys/net/mptcp/enabled", []byte("0"), 0); err != nil {
		t.Skip(err)
	}
	_, err := Race(t.Context(), Candidates(netip.MustParseAddrPort("127.0.0.1:9")), netip.AddrPort{}, Options{Multipath: true})
	if err == nil || !strings.Contains(err.Error(), "net.mptcp.enabled") {
		t.Errorf("%v", err)
	}
}

func TestRaceReportsEveryAddress(t *testing.T) {
	_, err := Race(t.Context(), Candidates(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.2:1")), netip.AddrPort{}, Options{})
	var race *RaceError
	if !errors.As(err, &race) || len(race.Attempts) != 2 || !errors.Is(err, syscall.ECONNREFUSED) ||
		!strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "127.0.0.2:1") {
		t.Errorf("%v", err)
	}
	if _, err := Race(t.Context(), Candidates(), netip.AddrPort{}, Options{}); err != ErrNoCandidate {
		t.Errorf("%v", err)
	}
}

func TestRaceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := Race(ctx, make(chan []netip.AddrPort), netip.AddrPort{}, Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// network is wlan0 with a place behind it, where server starts a server, and
// with an address of each family that never answers.
func network(t *testing.T) (server func(addr string)) {
	far := nettest.NewPlace(t)
	far.Link("wlan0", "ap0", []string{"10.8.0.2/24", "fd08::2/64"}, []string{"10.8.0.1/24", "fd08::1/64", "10.8.0.3/24"})
	// 10.8.0.9 and fd08::9 swallow what is sent to them.
	nettest.Run(t, "ip neigh add 10.8.0.9 lladdr 02:00:00:00:00:09 dev wlan0 nud permanent", "ip neigh add fd08::9 lladdr 02:00:00:00:00:09 dev wlan0 nud permanent")
	// The kernel takes a moment to use a new link. A refusal shows that it does.
	for _, a := range ports("10.8.0.1:1", "[fd08::1]:1") {
		for end := time.Now().Add(5 * time.Second); ; {
			c, err := net.DialTimeout("tcp", a.String(), 100*time.Millisecond)
			if errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			if err == nil || time.Now().After(end) {
				t.Fatalf("%v: %v, %v", a, c, err)
			}
		}
	}
	return func(addr string) {
		var l net.Listener
		var err error
		far.Do(func() { l, err = net.Listen("tcp", addr) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
}

func ports(list ...string) (of []netip.AddrPort) {
	for _, a := range list {
		of = append(of, netip.MustParseAddrPort(a))
	}
	return of
}

func TestRaceOverADevice(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	server := network(t)
	for _, a := range []string{"10.8.0.1:80", "[fd08::1]:80", "10.8.0.3:80"} {
		server(a)
	}
	race := func(preferred string, candidates ...string) (string, time.Duration) {
		t.Helper()
		var first netip.AddrPort
		if preferred != "" {
			first = netip.MustParseAddrPort(preferred)
		}
		start := time.Now()
		c, err := Race(t.Context(), Candidates(ports(candidates...)...), first, Options{Device: "wlan0", Stagger: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if name, _ := new(netmon.Monitor).Owner(c.Local().Addr()); name != "wlan0" {
			t.Errorf("%v leaves from %v, an address of %q", c.Remote(), c.Local(), name)
		}
		return c.Remote().String(), time.Since(start)
	}
	if won, _ := race("", "10.8.0.1:80", "[fd08::1]:80"); won != "[fd08::1]:80" {
		t.Errorf("IPv6 is not first: %s", won)
	}
	if won, _ := race("10.8.0.3:80", "10.8.0.1:80", "[fd08::1]:80", "10.8.0.3:80"); won != "10.8.0.3:80" {
		t.Errorf("the preferred one is not first: %s", won)
	}
	if won, _ := race("10.8.0.77:80", "10.8.0.1:80"); won != "10.8.0.1:80" {
		t.Errorf("a preferred address not among the candidates: %s", won)
	}
	if won, took := race("", "[fd08::9]:80", "10.8.0.1:80"); won != "10.8.0.1:80" || took < 100*time.Millisecond || took > time.Second {
		t.Errorf("silent IPv6: %s after %v", won, took)
	}
	if won, took := race("", "[fd08::1]:81", "10.8.0.1:80"); won != "10.8.0.1:80" || took > 90*time.Millisecond {
		t.Errorf("a refusal must start the next attempt at once: %s after %v", won, took)
	}
	if won, _ := race("", "[fd08::9]:80", "[fd08::9]:81", "10.8.0.9:80", "[fd08::1]:80", "10.8.0.1:80"); won != "10.8.0.1:80" && won != "[fd08::1]:80" {
		t.Errorf("%s", won)
	}
	nettest.Run(t, "ip -6 addr flush dev wlan0")
	if won, _ := race("", "[fd08::1]:80", "10.8.0.1:80"); won != "10.8.0.1:80" {
		t.Errorf("no IPv6 here: %s", won)
	}
	_, err := Race(t.Context(), Candidates(ports("10.8.0.1:80")...), netip.AddrPort{}, Options{Device: "none0"})
	if !errors.Is(err, syscall.ENODEV) || !errors.Is(err, netif.ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// Bound to the interface or not: no two connections to one server come from the same port.
func TestPortsAreNotShared(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	server := network(t)
	nettest.Sysctl(t, "net.ipv4.ip_local_port_range=40000 40015")
	for _, at := range ports("10.8.0.1:80", "[fd08::1]:80") {
		server(at.String())
		taken := map[netip.AddrPort]bool{}
		take := func(what string, from netip.AddrPort) {
			if taken[from] {
				t.Errorf("%s comes from %v like another", what, from)
			}
			taken[from] = true
		}
		unbound := func() {
			c, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			take("an unbound connection", c.LocalAddr().(*net.TCPAddr).AddrPort())
		}
		for range 8 { // the kernel's first choice: all even ports
			unbound()
		}
		for _, multipath := range []bool{false, true} {
			c, err := Race(t.Context(), Candidates(at), netip.AddrPort{}, Options{Device: "wlan0", Multipath: multipath})
			if multipath && err != nil && strings.Contains(err.Error(), "MPTCP") {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			take("one over the interface", c.Local())
		}
		unbound()
	}
}

func TestLosersAreClosedWhenRaceReturns(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	server := network(t)
	server("10.8.0.1:80")
	c, err := Race(t.Context(), Candidates(ports("[fd08::9]:80", "10.8.0.1:80")...), netip.AddrPort{}, Options{Device: "wlan0", Stagger: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	open, _ := os.ReadDir("/proc/self/fd")
	sockets := 0
	for _, f := range open {
		fd := 0
		fmt.Sscan(f.Name(), &fd)
		if sa, err := syscall.Getsockname(fd); err == nil {
			if six, ok := sa.(*syscall.SockaddrInet6); ok && netip.AddrFrom16(six.Addr) == netip.MustParseAddr("fd08::2") {
				sockets++
			}
		}
	}
	if sockets != 0 {
		t.Errorf("%d attempts are still open", sockets)
	}
}

func TestSilenceOverADeviceNamesReversePathFiltering(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	network(t)
	attempt := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := Race(ctx, Candidates(ports("10.8.0.9:80")...), netip.AddrPort{}, Options{Device: "wlan0"})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		return fmt.Sprint(err)
	}
	nettest.Sysctl(t, "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.wlan0.rp_filter=0")
	if s := attempt(); strings.Contains(s, "rp_filter") {
		t.Error(s)
	}
	nettest.Sysctl(t, "net.ipv4.conf.wlan0.rp_filter=1")
	if s := attempt(); !strings.Contains(s, "net.ipv4.conf.wlan0.rp_filter is 1") {
		t.Error(s)
	}
}

func TestStrictReversePathTakesTheLargerValue(t *testing.T) {
	root := t.TempDir() + "/"
	for _, c := range []struct {
		all, dev string
		want     bool
	}{{"0", "1", true}, {"1", "0", true}, {"2", "1", false}, {"1", "2", false}, {"0", "0", false}} {
		for name, value := range map[string]string{"all": c.all, "w0": c.dev} {
			os.MkdirAll(filepath.Join(root, name), 0o700)
			os.WriteFile(filepath.Join(root, name, "rp_filter"), []byte(value+"\n"), 0o600)
		}
		if got := strictReversePath(root, "w0"); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestQueueAlternatesFamilies(t *testing.T) {
	for _, c := range []struct {
		six       bool
		preferred string
		want      []string
	}{
		{true, "", []string{"[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "1.0.0.3:1"}},
		{false, "", []string{"1.0.0.1:1", "[::1]:1", "1.0.0.2:1", "[::2]:1", "1.0.0.3:1"}},
		{true, "1.0.0.3:1", []string{"1.0.0.3:1", "[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1"}},
		{true, "[::ffff:1.0.0.2]:1", []string{"1.0.0.2:1", "[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.3:1"}},
	} {
		var preferred netip.AddrPort
		if c.preferred != "" {
			preferred = netip.MustParseAddrPort(c.preferred)
		}
		q := newQueue(preferred, c.six)
		q.add(ports("1.0.0.1:1", "1.0.0.2:1", "[::1]:1"))
		q.add(ports("1.0.0.3:1", "[::2]:1", "[::1]:1", "[::ffff:1.0.0.1]:1"))
		var got []netip.AddrPort
		for !q.empty() {
			got = append(got, q.take())
		}
		if !slices.Equal(got, ports(c.want...)) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	q := newQueue(netip.AddrPort{}, true)
	for i := range 1000 {
		q.add([]netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)}), 80)})
	}
	if len(q.v4) != maxCandidates {
		t.Errorf("%d candidates", len(q.v4))
	}
}

// names answers each batch after its delay.
type names []struct {
	after time.Duration
	addrs []string
}

func (n names) LookupEach(ctx context.Context, host string, each func(resolve.Answer)) error {
	if len(n) == 0 {
		return resolve.ErrNXDomain
	}
	for _, b := range n {
		time.Sleep(b.after)
		var a resolve.Answer
		for _, s := range b.addrs {
			a.Addrs = append(a.Addrs, netip.MustParseAddr(s))
		}
		each(a)
	}
	return nil
}

func TestHostConnectsWhileTheLookupGoesOn(t *testing.T) {
	_, at := listen(t, "127.0.0.1:0")
	start := time.Now()
	c, err := Host(t.Context(), names{{0, []string{"127.0.0.1"}}}, "x", at.Port(), netip.AddrPort{}, Options{})
	if err != nil || c.Remote() != at {
		t.Fatalf("%v, %v after %v", c, err, time.Since(start))
	}
	c.Close()
	if _, err := Host(t.Context(), names{}, "x", 80, netip.AddrPort{}, Options{}); !errors.Is(err, resolve.ErrNXDomain) {
		t.Errorf("%v", err)
	}
	if _, err := Host(t.Context(), names{{0, []string{"127.0.0.1"}}}, "x", 1, netip.AddrPort{}, Options{}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}

func TestHostGivesThePreferredFamilyAMomentToTurnUp(t *testing.T) {
	l6, at6 := listen(t, "[::1]:0")
	defer l6.Close()
	_, at4 := listen(t, fmt.Sprintf("127.0.0.1:%d", at6.Port()))
	c, err := Host(t.Context(), names{{0, []string{"::1"}}, {5 * time.Millisecond, []string{"127.0.0.1"}}}, "x", at6.Port(), at4, Options{})
	if err != nil || c.Remote() != at4 {
		t.Fatalf("%v, %v", c, err)
	}
	c.Close()
	gone := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), at6.Port())
	c, err = Host(t.Context(), names{{0, []string{"::1"}}, {5 * time.Second / 50, []string{"127.0.0.1"}}}, "x", at6.Port(), gone, Options{})
	if err != nil || c.Remote() != at6 {
		t.Fatalf("%v, %v", c, err)
	}
	c.Close()
}

// TestMakeRoom: the buffer holds what nobody reads, and the kernel's own tuning of it goes on.
func TestMakeRoom(t *testing.T) {
	eachProtocol(t, func(t *testing.T, opts Options) {
		c, peer := pair(t, opts)
		const size = 1 << 20
		if room := c.MakeRoom(size); room < size && !opts.Multipath {
			t.Skipf("net.ipv4.tcp_rmem allows a receive buffer of %d octets only", room)
		} else if room < size {
			t.Logf("room for %d octets", room)
			return // not every kernel makes room for MPTCP
		}
		sent := make(chan error, 1)
		go func() {
			_, err := peer.Write(make([]byte, size))
			sent <- err
		}()
		if _, err := c.Discard(1); err != nil { // no low-water mark is left
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Second); ; {
			n, err := c.Buffered()
			if err != nil {
				t.Fatal(err)
			}
			if n == size-1 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d octets of %d have come", n, size-1)
			}
			time.Sleep(time.Millisecond) // the kernel tells of the first octet only
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		const bufLock = 72 // SO_BUF_LOCK, asm-generic/socket.h
		c.Fd(func(fd int) {
			if locks, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, bufLock); err != nil || locks != 0 {
				t.Errorf("the buffers are fixed: %d, %v", locks, err)
			}
		})
	})
}

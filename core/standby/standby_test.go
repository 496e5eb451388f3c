// Standbys of a stream that does as the test says.
package standby

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/digest"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/resume"
)

// patience bounds every wait: what is waited for comes in milliseconds.
const patience = 20 * time.Second

// stream is one over wlan0, at a server that is none of the test's.
type stream struct {
	server net.Listener
	ready  chan string        // interfaces over which a connection stands by
	ended  chan struct{}      // the exchange is over
	met    chan *net.TCPConn  // the servers' ends
	tried  chan Candidate     // to connect to
	over   *exchange.Exchange // the exchange

	mu         sync.Mutex
	order      []string
	costly     string
	recovering bool
	places     []elsewhere.Place
	beside     dial.Beside // every connection
	news       chan struct{}
}

func (s *stream) Read() (channel.Snapshot, bool)             { return channel.Snapshot{}, false }
func (s *stream) Tail(uint64, int64, int) []byte             { return nil }
func (s *stream) Digest(uint64) (int64, digest.Digest, bool) { return 0, digest.Digest{}, false }
func (s *stream) Where() (string, netip.AddrPort) {
	return "wlan0", netip.MustParseAddrPort("192.0.2.1:80")
}
func (s *stream) Busy() bool                           { return false }
func (s *stream) Ready(iface string, _ netip.AddrPort) { s.ready <- iface }
func (s *stream) Log() *zerolog.Logger                 { nop := zerolog.Nop(); return &nop }

func (s *stream) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *stream) Order() (list []string) {
	s.with(func() { list = slices.Clone(s.order) })
	return list
}

func (s *stream) Costs(iface, _ string) bool { return iface == s.costly }

func (s *stream) Recovering() (is bool) {
	s.with(func() { is = s.recovering })
	return is
}

func (s *stream) News() (news <-chan struct{}) {
	s.with(func() { news = s.news })
	return news
}

// networks changes what the stream may use.
func (s *stream) networks(order ...string) {
	s.with(func() {
		s.order = order
		close(s.news)
		s.news = make(chan struct{})
	})
}

func (s *stream) Connect(ctx context.Context, c Candidate, _ *exchange.Exchange, _ bool) (*dial.Conn, resume.Destination, error) {
	s.tried <- c
	if c.Interface == "nowhere" {
		return nil, resume.Destination{}, errors.New("no way")
	}
	to := netip.MustParseAddrPort(s.server.Addr().String())
	conn, err := dial.Race(ctx, dial.Candidates(to), to, dial.Options{})
	if err == nil && s.beside != nil {
		conn.Stand(s.beside)
	}
	return conn, resume.Destination{Interface: c.Interface, Host: "a.example", Port: 80}, err
}

func (s *stream) Elsewhere(*exchange.Exchange) []elsewhere.Place { return s.places }

func (s *stream) UnlessOver(_ *exchange.Exchange, a, b <-chan struct{}, limit time.Duration) bool {
	select {
	case <-a:
	case <-b:
	case <-time.After(limit):
	case <-s.ended:
		return false
	}
	return true
}

// keeps has one kept for a stream that may use these interfaces; it ends with the test.
func keeps(t *testing.T, mode config.Standby, costly string, order ...string) (*stream, *Keeper) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{server: l, costly: costly, order: order, news: make(chan struct{}),
		ready: make(chan string, 16), ended: make(chan struct{}), met: make(chan *net.TCPConn, 16), tried: make(chan Candidate, 16)}
	s.over = exchange.New(1, false, config.ProofTrust, s)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.met <- conn.(*net.TCPConn)
		}
	}()
	var all Count
	if !all.Take() {
		t.Fatal("the first is one too many")
	}
	k := New(s, mode, &all)
	var keeping sync.WaitGroup
	keeping.Go(func() { k.Keep(s.over) })
	t.Cleanup(func() {
		s.over.End(0)
		close(s.ended)
		keeping.Wait()
		if k.Stands() || all.n.Load() != 0 {
			t.Errorf("one stands after the end: %v, counted %d", k.Stands(), all.n.Load())
		}
		l.Close()
		for len(s.met) > 0 {
			(<-s.met).Close()
		}
	})
	return s, k
}

// wait takes what comes.
func wait[T any](t *testing.T, from <-chan T) (x T) {
	t.Helper()
	select {
	case x = <-from:
	case <-time.After(patience):
		t.Fatal("nothing comes")
	}
	return x
}

func TestOneStandsByAndIsTaken(t *testing.T) {
	s, k := keeps(t, config.StandbyAuto, "wwan0", "wlan0", "wwan0", "eth0")
	if iface := wait(t, s.ready); iface != "eth0" {
		t.Fatalf("one stands by over %s, although %s is free", iface, "eth0")
	}
	if first := wait(t, s.tried); first != (Candidate{Interface: "eth0", Other: true}) {
		t.Errorf("%v is tried first", first)
	}
	if _, conn := k.TakeOver([]string{"wlan0", "wwan0"}); conn != nil {
		t.Error("it is taken although its interface may not be used")
	}
	if conn := k.TakeTo(resume.Destination{Interface: "eth0", Host: "b.example", Port: 80}); conn != nil {
		t.Error("it is taken for another host")
	}
	conn := k.TakeTo(resume.Destination{Interface: "eth0", Host: "a.example", Port: 80})
	if conn == nil || k.Stands() {
		t.Fatal("it is not there")
	}
	defer conn.Close()
	wait(t, s.met).Write([]byte("x"))
	if n, err := conn.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v: it cannot be used", n, err)
	}
	wait(t, s.ready) // the next one
	if _, again := k.TakeOver([]string{"eth0"}); again == nil {
		t.Error("the next one is not taken")
	} else {
		again.Close()
	}
}

// A server that ends it, or says something unasked, has it given up; another one follows.
func TestOneThatEndsIsRenewed(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn){
		"ended":  func(c *net.TCPConn) { c.Close() },
		"speaks": func(c *net.TCPConn) { c.Write([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			s, k := keeps(t, config.StandbyAuto, "", "wwan0")
			wait(t, s.ready)
			end(wait(t, s.met))
			wait(t, s.ready)
			if _, conn := k.TakeOver([]string{"wwan0"}); conn == nil {
				t.Error("none stands by")
			} else {
				conn.Close()
			}
		})
	}
}

func TestABetterOneTakesItsPlace(t *testing.T) {
	s, _ := keeps(t, config.StandbyAuto, "", "wlan0")
	if iface := wait(t, s.ready); iface != "wlan0" {
		t.Fatal(iface)
	}
	s.networks("wlan0", "wwan0")
	if iface := wait(t, s.ready); iface != "wwan0" {
		t.Errorf("another one over %s", iface)
	}
}

// One that a recovery is about to need is not given up for a better one.
func TestOneThatIsNeededStays(t *testing.T) {
	s, k := keeps(t, config.StandbyAuto, "", "wlan0")
	wait(t, s.ready)
	s.with(func() { s.recovering = true })
	s.networks("wlan0", "wwan0")
	k.Stir()
	if c, conn := k.TakeOver([]string{"wlan0"}); conn == nil || !c.Other {
		t.Errorf("%+v", c)
	} else {
		conn.Close()
	}
}

func TestWhereOneIsKept(t *testing.T) {
	own := Candidate{Interface: "wlan0", Other: true}
	mirror, named := elsewhere.Place{URL: "http://mirror.example/"}, elsewhere.Place{URL: "http://named.example/", ByServer: true}
	for _, x := range []struct {
		mode   config.Standby
		costly string
		want   []Candidate
	}{
		{config.StandbyAuto, "", []Candidate{{Interface: "wwan0", Other: true}, {Interface: "wwan0"}, {Interface: "wwan0", Elsewhere: mirror}, own}},
		{config.StandbyAuto, "wwan0", []Candidate{own}},
		{config.StandbyAlways, "wwan0", []Candidate{{Interface: "wwan0", Other: true}, {Interface: "wwan0"}, {Interface: "wwan0", Elsewhere: mirror}, own}},
		{config.StandbyNever, "", nil},
	} {
		k := New(&stream{costly: x.costly, order: []string{"wlan0", "wwan0"}, places: []elsewhere.Place{mirror, named}}, x.mode, &Count{})
		if got := k.candidates(nil); !slices.Equal(got, x.want) {
			t.Errorf("%s, %q: %v", x.mode, x.costly, got)
		}
	}
}

func TestWhatIsWorthOne(t *testing.T) {
	for _, x := range []struct {
		age  time.Duration
		left int64
		is   bool
	}{{2 * time.Second, -1, true}, {200 * time.Millisecond, 2 << 20, true}, {200 * time.Millisecond, 1 << 19, false}, {50 * time.Millisecond, 2 << 20, false}, {200 * time.Millisecond, -1, false}} {
		if got := Worth(x.age, x.left); got != x.is {
			t.Errorf("%+v: %v", x, got)
		}
	}
	var c Count
	taken := 0
	for range 2 * most {
		if c.Take() {
			taken++
		}
	}
	if taken != most {
		t.Errorf("%d at once", taken)
	}
}

// prover counts how often it has been asked to prove something.
type prover struct{ asked chan struct{} }

func (prover) Remote() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.2:21") }
func (prover) Close() error           { return nil }

func (p prover) Prove(_ context.Context, conn *dial.Conn, _ resume.Receiver) (*dial.Conn, error) {
	p.asked <- struct{}{}
	return conn, nil
}

// To prove something in advance takes octets: not over what is metered or dearer, though a connection stands by there.
func TestProvedInAdvanceWhereItCostsNothing(t *testing.T) {
	for costly, want := range map[string]int{"": 1, "wwan0": 0} {
		s := &stream{costly: costly, beside: prover{make(chan struct{}, 1)}, tried: make(chan Candidate, 1)}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s.server = l
		b, err := New(s, config.StandbyAlways, &Count{}).open(exchange.New(1, false, config.ProofTrust, s), []Candidate{{Interface: "wwan0"}})
		if err != nil {
			t.Fatal(err)
		}
		b.conn.Reset()
		if got := len(s.beside.(prover).asked); got != want {
			t.Errorf("costly %q: asked %d times", costly, got)
		}
	}
}

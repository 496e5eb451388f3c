package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"midstream/core/netif/nettest"
)

// serve runs a name server on loopback over UDP and TCP.
func serve(t *testing.T, handle func(w dns.ResponseWriter, q *dns.Msg)) netip.AddrPort {
	t.Helper()
	var packets net.PacketConn
	var at netip.AddrPort
	streams, err := net.Listener(nil), errors.New("not tried")
	for try := 0; err != nil; try++ { // the UDP port that is free may be taken for TCP
		if try == 20 {
			t.Fatal(err)
		}
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		at = packets.LocalAddr().(*net.UDPAddr).AddrPort()
		if streams, err = net.Listen("tcp", at.String()); err != nil {
			packets.Close()
		}
	}
	for _, s := range []*dns.Server{{PacketConn: packets}, {Listener: streams}} {
		s.Handler = dns.HandlerFunc(handle)
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go s.ActivateAndServe()
		<-up
		t.Cleanup(func() { s.Shutdown() })
	}
	return at
}

// zone answers from records in master file form; an unknown name is NXDOMAIN.
func zone(records ...string) func(dns.ResponseWriter, *dns.Msg) {
	var all []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			panic(err)
		}
		all = append(all, rr)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Rcode = dns.RcodeNameError
		soa, _ := dns.NewRR(". 60 IN SOA a. b. 1 2 3 4 5")
		m.Ns = []dns.RR{soa}
		name := q.Question[0].Name
		for range 20 {
			var next string
			for _, rr := range all {
				if !equalNames(rr.Header().Name, name) {
					continue
				}
				m.Rcode = dns.RcodeSuccess
				if c, ok := rr.(*dns.CNAME); ok {
					m.Answer, next = append(m.Answer, rr), c.Target
				} else if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer, m.Ns = append(m.Answer, rr), nil
				}
			}
			if next == "" {
				break
			}
			name = next
		}
		w.WriteMsg(m)
	}
}

func addrs(list ...string) (of []netip.Addr) {
	for _, a := range list {
		of = append(of, netip.MustParseAddr(a))
	}
	return of
}

func on(servers ...netip.AddrPort) *Resolver {
	return &Resolver{Servers: servers, HostsFile: "/nonexistent", Step: 50 * time.Millisecond, Timeout: 5 * time.Second}
}

func expect(t *testing.T, r *Resolver, host string, want ...string) time.Duration {
	t.Helper()
	got, ttl, err := r.Lookup(t.Context(), host)
	if err != nil || !slices.Equal(got, addrs(want...)) {
		t.Fatalf("Lookup(%s) = %v, %v; want %v", host, got, err, want)
	}
	return ttl
}

func TestLookupKeepsTheOrderOfTheAnswerAndTheShortestTTL(t *testing.T) {
	r := on(serve(t, zone(
		"www.example. 300 IN CNAME Edge.Example.", "edge.example. 40 IN A 192.0.2.9", "edge.example. 60 IN A 192.0.2.3",
		"edge.example. 50 IN AAAA 2001:db8::2", "edge.example. 50 IN AAAA 2001:db8::1")))
	if ttl := expect(t, r, "www.example", "2001:db8::2", "2001:db8::1", "192.0.2.9", "192.0.2.3"); ttl != 40*time.Second {
		t.Errorf("ttl = %v", ttl)
	}
}

func TestUnfinishedAliasIsAskedOn(t *testing.T) {
	hops := atomic.Int32{}
	full := zone("c.example. 30 IN A 192.0.2.1")
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		next := map[string]string{"a.example.": "b.example.", "b.example.": "c.example."}[q.Question[0].Name]
		if next == "" {
			full(w, q)
			return
		}
		hops.Add(1)
		m := new(dns.Msg).SetReply(q)
		m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 9}, Target: next}}
		w.WriteMsg(m)
	}))
	if ttl := expect(t, r, "a.example", "192.0.2.1"); ttl != 9*time.Second {
		t.Errorf("ttl = %v, want the aliases' 9 s", ttl)
	}
}

func TestAliasesWithoutEndAreGivenUp(t *testing.T) {
	var asked atomic.Int32
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET},
			Target: fmt.Sprintf("n%d.example.", asked.Add(1))}}
		w.WriteMsg(m)
	}))
	if _, _, err := r.Lookup(t.Context(), "loop.example"); !errors.Is(err, ErrServFail) || asked.Load() > 2*maxChain {
		t.Errorf("%v after %d questions", err, asked.Load())
	}
}

func TestTruncatedAnswerIsFetchedOverTCP(t *testing.T) {
	full := zone("big.example. 1 IN A 192.0.2.1", "big.example. 1 IN A 192.0.2.2")
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if w.LocalAddr().Network() == "udp" {
			m := new(dns.Msg).SetReply(q)
			m.Truncated = true
			w.WriteMsg(m)
			return
		}
		full(w, q)
	}))
	expect(t, r, "big.example", "192.0.2.1", "192.0.2.2")
}

func TestServerWithoutEDNSIsAskedPlainly(t *testing.T) {
	full := zone("old.example. 1 IN A 192.0.2.1")
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.IsEdns0() != nil {
			m := new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
			w.WriteMsg(m)
			return
		}
		full(w, q)
	}))
	expect(t, r, "old.example", "192.0.2.1")
}

func TestErrorsTellNoNameNoDataAndFailureApart(t *testing.T) {
	records := zone("text.example. 1 IN TXT hello")
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Name == "broken.example." {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
			return
		}
		records(w, q)
	}))
	for host, want := range map[string]error{
		"missing.example": ErrNXDomain, "text.example": ErrNoData, "broken.example": ErrServFail,
		"a..b": ErrBadName, "": ErrBadName, "exämple": ErrBadName, "a b": ErrBadName, strings.Repeat("a.", 130): ErrBadName,
	} {
		_, _, err := r.Lookup(t.Context(), host)
		if !errors.Is(err, want) {
			t.Errorf("Lookup(%q): %v, want %v", host, err, want)
		}
	}
}

func TestSilentRefusingAndFailingServersAreSteppedOver(t *testing.T) {
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	failing := serve(t, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)) })
	gone := netip.MustParseAddrPort("127.0.0.1:1") // nothing listens: ECONNREFUSED
	good := serve(t, zone("x.example. 1 IN A 192.0.2.1"))
	expect(t, on(silent, failing, gone, good), "x.example", "192.0.2.1")
}

func TestLateAnswerOfAnEarlierServerStillCounts(t *testing.T) {
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	records := zone("x.example. 1 IN A 192.0.2.1")
	var once [2]sync.Once
	slow := serve(t, func(w dns.ResponseWriter, q *dns.Msg) { // answers only the first question of a type
		i := 0
		if q.Question[0].Qtype == dns.TypeAAAA {
			i = 1
		}
		once[i].Do(func() {
			time.Sleep(120 * time.Millisecond)
			records(w, q)
		})
	})
	expect(t, on(slow, silent), "x.example", "192.0.2.1")
}

func TestSilenceEndsWithTheTimeout(t *testing.T) {
	r := on(serve(t, func(dns.ResponseWriter, *dns.Msg) {}))
	r.Timeout = 150 * time.Millisecond
	_, _, err := r.Lookup(t.Context(), "x.example")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), r.Servers[0].String()) {
		t.Errorf("%v", err)
	}
}

func TestForgedAnswersAreIgnored(t *testing.T) {
	records := zone("x.example. 1 IN A 192.0.2.1")
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		lie := func(change func(m *dns.Msg)) {
			m := new(dns.Msg).SetReply(q)
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(203, 0, 113, 66)}}
			change(m)
			w.WriteMsg(m)
		}
		lie(func(m *dns.Msg) { m.Id++ })
		lie(func(m *dns.Msg) { m.Question[0].Name = "y.example." })
		lie(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX })
		lie(func(m *dns.Msg) { m.Response = false })
		w.Write([]byte("\x01"))
		w.Write([]byte("not a message at all, only octets"))
		records(w, q)
	}))
	expect(t, r, "x.example", "192.0.2.1")
}

func TestFloodOfForgedAnswersIsBounded(t *testing.T) {
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		for range maxForged + 10 {
			m := new(dns.Msg).SetReply(q)
			m.Id++
			w.WriteMsg(m)
		}
	}))
	r.Step = 10 * time.Millisecond
	if _, _, err := r.Lookup(t.Context(), "x.example"); !errors.Is(err, errForged) {
		t.Errorf("%v", err)
	}
}

func TestAnswersForOtherNamesAndSenselessAddressesAreNotBelieved(t *testing.T) {
	r := on(serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, s := range []string{"evil.example. 1 IN A 192.0.2.66", "x.example. 1 IN A 0.0.0.0", "x.example. 1 IN A 224.0.0.1", "x.example. 1 IN A 192.0.2.1", "x.example. 1 IN A 192.0.2.1"} {
			rr, _ := dns.NewRR(s)
			m.Answer = append(m.Answer, rr)
		}
		if q.Question[0].Qtype == dns.TypeAAAA {
			m.Answer = []dns.RR{&dns.AAAA{Hdr: dns.RR_Header{Name: "x.example.", Rrtype: dns.TypeAAAA, Class: dns.ClassINET}, AAAA: net.ParseIP("::")}}
		}
		w.WriteMsg(m)
	}))
	expect(t, r, "x.example", "192.0.2.1")
}

func TestIPv4WaitsForIPv6OnlyTheResolutionDelay(t *testing.T) {
	records := zone("x.example. 1 IN A 192.0.2.1", "x.example. 1 IN AAAA 2001:db8::1")
	release := make(chan struct{})
	server := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Qtype == dns.TypeAAAA {
			<-release
		}
		records(w, q)
	})
	r := on(server)
	r.Delay = 30 * time.Millisecond
	expect(t, r, "x.example", "192.0.2.1")

	var got [][]netip.Addr
	err := r.LookupEach(t.Context(), "x.example", func(a Answer) {
		if got = append(got, a.Addrs); len(got) == 1 {
			close(release)
		}
	})
	if err != nil || len(got) != 2 || !got[0][0].Is4() || !got[1][0].Is6() {
		t.Errorf("batches %v, %v", got, err)
	}
	// Both are quick now: IPv6 comes first however the answers arrive.
	r.Delay = 5 * time.Second
	got = nil
	err = r.LookupEach(t.Context(), "x.example", func(a Answer) { got = append(got, a.Addrs) })
	if err != nil || len(got) != 2 || !got[0][0].Is6() {
		t.Errorf("batches %v, %v", got, err)
	}
}

func TestLiteralsAndHostsFileNeedNoServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	os.WriteFile(path, []byte("# comment\n192.0.2.1 a.test B.test # x.test\nfe80::1%lo link.test\n2001:db8::1\tb.test\nbad c.test\n192.0.2.2 b.test"), 0o600)
	r := &Resolver{HostsFile: path}
	expect(t, r, "192.0.2.7", "192.0.2.7")
	expect(t, r, "[2001:db8::7]", "2001:db8::7")
	expect(t, r, "::ffff:192.0.2.7", "192.0.2.7")
	expect(t, r, "b.TEST.", "2001:db8::1", "192.0.2.1", "192.0.2.2")
	expect(t, r, "localhost", "::1", "127.0.0.1")
	for _, host := range []string{"x.test", "c.test"} {
		if _, _, err := r.Lookup(t.Context(), host); err == nil || !strings.Contains(err.Error(), "no name server") {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestSystemServersComeFromResolvConf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "resolv.conf")
	for content, want := range map[string]string{
		"nameserver 192.0.2.53\nsearch x\nnameserver fe80::1%eth0\n": "[192.0.2.53:53 [fe80::1%eth0]:53]",
		"search x\n": "[127.0.0.1:53 [::1]:53]",
	} {
		os.WriteFile(path, []byte(content), 0o600)
		if got, err := systemFrom(path); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", content, got, err)
		}
	}
	if got, err := systemFrom(filepath.Join(dir, "none")); err != nil || len(got) != 2 {
		t.Errorf("missing: %v, %v", got, err)
	}
	if _, err := systemFrom(filepath.Join(path, "below-a-file")); err == nil {
		t.Error("a file that cannot be opened is no error")
	}
}

// Two networks with the same addresses: only the device says which one is meant.
func TestDeviceDecidesWhichNetworkIsAsked(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	for i, dev := range []string{"wlan0", "wwan0"} {
		place := nettest.NewPlace(t)
		place.Link(dev, "far0", []string{fmt.Sprintf("10.7.0.%d/24", i+1), fmt.Sprintf("fd07::%d/64", i+1)}, []string{"10.7.0.53/24", "fd07::53/64"})
		place.Start("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
			fmt.Sprintf("--host-record=www.test,192.0.2.%d,2001:db8::%d", i+1, i+1), "--cname=alias.test,www.test", "--local=/test/")
		place.Await("10.7.0.53:53")
		place.Await("[fd07::53]:53")
	}
	nettest.Sysctl(t, "net.ipv4.conf.all.rp_filter=0")
	for i, dev := range []string{"wlan0", "wwan0", "wlan0"} {
		for _, server := range []string{"10.7.0.53:53", "[fd07::53]:53"} {
			r := on(netip.MustParseAddrPort(server))
			r.Device = dev
			n := i%2 + 1
			expect(t, r, "alias.test", fmt.Sprintf("2001:db8::%d", n), fmt.Sprintf("192.0.2.%d", n))
		}
	}
	r := on(netip.MustParseAddrPort("10.7.0.53:53"))
	r.Device = "none0"
	if _, _, err := r.Lookup(t.Context(), "www.test"); err == nil || !strings.Contains(err.Error(), "none0") {
		t.Errorf("%v", err)
	}
}

func FuzzFollow(f *testing.F) {
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	for _, s := range []string{"a.example. 5 IN CNAME b.example.", "b.example. 5 IN A 192.0.2.1", "b.example. 5 IN CNAME a.example."} {
		rr, _ := dns.NewRR(s)
		m.Answer = append(m.Answer, rr)
	}
	wire, _ := m.Pack()
	f.Add(wire, "a.example.")
	f.Fuzz(func(t *testing.T, wire []byte, name string) {
		var m dns.Msg
		if m.Unpack(wire) != nil {
			return
		}
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			for _, a := range follow(m.Answer, name, qtype).addrs {
				if a.IsUnspecified() || a.Is4() != (qtype == dns.TypeA) {
					t.Errorf("%v for type %d", a, qtype)
				}
			}
		}
	})
}

// Files of the host's that others write.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nnameserver fe80::1%lo # x\nsearch a b\noptions ndots:5 timeout:x\n"))
	f.Add([]byte("127.0.0.1 localhost a.example.\n::1 A.EXAMPLE # b\n300.1.1.1 a.example\n"))
	path := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		servers, err := systemFrom(path)
		if err == nil && len(servers) == 0 {
			t.Error("no servers, and no error")
		}
		for _, s := range servers {
			if !s.IsValid() {
				t.Errorf("%v", s)
			}
		}
		if found := hostsLookup(path, "a.example"); len(found) > maxAddrs {
			t.Errorf("%d addresses", len(found))
		}
	})
}

// Servers that say nothing at all are given up long before the look-up's time is over; one that has said something is not.
func TestSilenceIsBounded(t *testing.T) {
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	r := on(silent, silent)
	r.Silence, r.Timeout = 100*time.Millisecond, time.Minute
	if _, _, err := r.Lookup(context.Background(), "x.example"); !errors.Is(err, errSilent) {
		t.Errorf("%v", err)
	}
	refusing := serve(t, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused)) })
	slow := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		time.Sleep(400 * time.Millisecond)
		zone("x.example. 60 IN A 192.0.2.1")(w, q)
	})
	r = on(refusing, slow)
	r.Silence, r.Timeout, r.Delay = 100*time.Millisecond, time.Minute, time.Millisecond
	expect(t, r, "x.example", "192.0.2.1")
	r = on(refusing)
	r.Silence = time.Minute
	if _, _, err := r.Lookup(context.Background(), "x.example"); !errors.Is(err, ErrServFail) {
		t.Errorf("%v", err)
	}
}

package resolve

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

func response(question string, qtype uint16, records ...string) []byte {
	m := new(dns.Msg).SetQuestion(question, qtype)
	m.Response = true
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return wire
}

func TestCacheMapsAliasesBackToTheQuestion(t *testing.T) {
	var c Cache
	c.AddMessage(response("WWW.example.", dns.TypeA, "www.example. 5 IN CNAME cdn.example.", "cdn.example. 5 IN A 192.0.2.1", "other.example. 5 IN A 192.0.2.2"))
	c.AddMessage(response("six.example.", dns.TypeAAAA, "six.example. 5 IN AAAA 2001:db8::1"))
	for addr, want := range map[string]string{"192.0.2.1": "www.example", "::ffff:192.0.2.1": "www.example", "192.0.2.2": "", "2001:db8::1": "six.example"} {
		if got, ok := c.Name(netip.MustParseAddr(addr)); got != want || ok != (want != "") {
			t.Errorf("Name(%s) = %q, %v; want %q", addr, got, ok, want)
		}
	}
}

func TestCacheIgnoresWhatIsNoPositiveResponse(t *testing.T) {
	var c Cache
	whole := response("www.example.", dns.TypeA, "www.example. 5 IN A 192.0.2.1")
	query := append([]byte(nil), whole...)
	query[2] &^= 0x80
	failed := append([]byte(nil), whole...)
	failed[3] |= dns.RcodeNameError
	for _, wire := range [][]byte{nil, whole[:len(whole)-1], whole[:12], query, failed, response("www.example.", dns.TypeANY, "www.example. 5 IN A 192.0.2.1")} {
		c.AddMessage(wire)
	}
	c.Add("192.0.2.1", addrs("192.0.2.1"))
	c.Add("bad name", addrs("192.0.2.1"))
	if name, ok := c.Name(netip.MustParseAddr("192.0.2.1")); ok {
		t.Errorf("noted %q", name)
	}
}

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	var c Cache
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range CacheSize {
		c.Add("a.example", []netip.Addr{addr(i)})
	}
	c.Name(addr(0)) // used: 1 is the oldest now
	c.Add("b.example", []netip.Addr{addr(CacheSize)})
	if _, ok := c.Name(addr(0)); !ok {
		t.Error("a used address was forgotten")
	}
	if _, ok := c.Name(addr(1)); ok {
		t.Error("the cache grows past its size")
	}
}

func TestCacheServesManyAtOnce(t *testing.T) {
	var c Cache
	var all sync.WaitGroup
	wire := response("www.example.", dns.TypeA, "www.example. 5 IN A 192.0.2.1")
	for range 4 {
		all.Go(func() {
			for range 200 {
				c.AddMessage(wire)
				c.Name(netip.MustParseAddr("192.0.2.1"))
			}
		})
	}
	all.Wait()
}

func FuzzAddMessage(f *testing.F) {
	f.Add(response("www.example.", dns.TypeA, "www.example. 5 IN CNAME cdn.example.", "cdn.example. 5 IN A 192.0.2.1"))
	f.Add(response("six.example.", dns.TypeAAAA, "six.example. 5 IN AAAA 2001:db8::1"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var c Cache
		c.AddMessage(wire)
		if c.recent.Len() != len(c.byAddr) || c.recent.Len() > maxAddrs {
			t.Errorf("%d entries, %d addresses", c.recent.Len(), len(c.byAddr))
		}
		for addr := range c.byAddr {
			if name, ok := c.Name(addr); !ok || checkName(name) != nil {
				t.Errorf("%v: %q, %v", addr, name, ok)
			}
		}
	})
}

package netmon

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"midstream/core/netif"
	"midstream/core/netif/nettest"
)

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// two is a State with two networks, and a tunnel that is gone.
func two() *State {
	wlan := netif.Interface{Name: "wlan0", Index: 2, Up: true, Carrier: true, V4: addrs("10.1.0.2"), V6: addrs("fd01::2")}
	wwan := netif.Interface{Name: "wwan0", Index: 3, Up: true, Carrier: true, V4: addrs("10.2.0.2")}
	routes := []netif.Route{
		{Index: 2, To: netip.MustParsePrefix("0.0.0.0/0"), Via: true}, {Index: 2, To: netip.MustParsePrefix("10.1.0.0/24")},
		{Index: 3, To: netip.MustParsePrefix("10.2.0.0/24")},
	}
	before := newState(nil, []netif.Interface{{Name: "wg0", Index: 7, Link: "wireguard"}}, nil, time.Now())
	return newState(before, []netif.Interface{wlan, wwan}, routes, time.Now())
}

func TestAStateRemembersInterfacesThatAreGone(t *testing.T) {
	s := two()
	if l := s.Link("wg0"); l.Index != 0 || !l.Tunnel {
		t.Errorf("wg0: %+v", l)
	}
	if l := s.Link("wlan0"); l != (Link{Index: 2}) {
		t.Errorf("wlan0: %+v", l)
	}
	if name := s.Named([]int{7, 3}); name != "wwan0" {
		t.Errorf("named %q", name)
	}
	if !s.HasDefault(2) || s.HasDefault(3) {
		t.Error("the default route is wlan0's")
	}
}

func TestALossIsOfTheNextState(t *testing.T) {
	local, server := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("192.0.2.1")
	for want, l := range map[string]netif.Loss{
		"":                             {Index: 9, Down: true},
		"the interface is down":        {Index: 2, Down: true},
		"the interface has no carrier": {Index: 2},
		"its address is gone":          {Index: 2, Addr: local},
	} {
		s := two()
		now := s.without(l)
		if why := now.Lost("wlan0", local, server); why != want {
			t.Errorf("%+v: %q, not %q", l, why, want)
		}
		if why := s.Lost("wlan0", local, server); why != "" {
			t.Errorf("%+v has changed the state before: %s", l, why)
		}
		if usable := slices.Contains(now.Usable(), "wlan0"); usable != (want == "" || l.Addr.IsValid()) {
			t.Errorf("%+v: usable %t", l, usable) // it has another address
		}
	}
	if why := two().Lost("wwan0", netip.MustParseAddr("10.2.0.2"), server); why != "no route leads to the server any more" {
		t.Error(why)
	}
	if why := two().Lost("eth0", local, server); why != "the interface is gone" {
		t.Error(why)
	}
	for _, iface := range []string{"", "lo"} {
		if why := two().Lost(iface, local, server); why != "" {
			t.Errorf("%q: %s", iface, why)
		}
	}
	if why := (&State{}).Lost("wlan0", local, server); why != "" {
		t.Errorf("where nothing is known: %s", why)
	}
}

func TestTheMonitorHearsOfLossesAndChanges(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	far := nettest.NewPlace(t)
	far.Link("wlan0", "ap0", []string{"10.1.0.2/24"}, nil)
	var m Monitor
	var losses atomic.Int32
	if err := m.Follow(t.Context(), func(whole bool) {
		if !whole {
			losses.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	before := m.State()
	if i, ok := before.Interface("wlan0"); !ok || i.Usable() != nil {
		t.Fatalf("wlan0: %+v", i)
	}
	until := func(what string, true func() bool) {
		t.Helper()
		for end := time.After(5 * time.Second); !true(); {
			select {
			case <-m.Changed():
			case <-time.After(50 * time.Millisecond): // it may have come before it was waited for
			case <-end:
				t.Fatalf("%s is not heard of", what)
			}
		}
	}
	nettest.Run(t, "ip link set wlan0 down")
	until("the loss", func() bool { i, _ := m.State().Interface("wlan0"); return !i.Up && losses.Load() > 0 })
	if i, _ := before.Interface("wlan0"); !i.Up {
		t.Error("the state before has changed")
	}
	nettest.Run(t, "ip link del wlan0")
	until("the end of wlan0", func() bool { _, ok := m.State().Interface("wlan0"); return !ok })
}

func TestTheOwnerOfAnAddressIsFound(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	far := nettest.NewPlace(t)
	far.Link("wlan0", "ap0", []string{"10.1.0.2/24", "fd01::2/64"}, nil)
	var m Monitor
	for addr, want := range map[string]string{
		"10.1.0.2": "wlan0", "::ffff:10.1.0.2": "wlan0", "fd01::2": "wlan0",
		"fe80::1%wlan0": "wlan0", "127.0.0.1": "lo", "127.3.2.1": "lo", "::1": "lo", "10.9.9.9": "", "0.0.0.0": "",
	} {
		if name, ok := m.Owner(netip.MustParseAddr(addr)); name != want || ok != (want != "") {
			t.Errorf("Owner(%s) = %q, %v; want %q", addr, name, ok, want)
		}
	}
	if name, ok := m.Owner(netip.Addr{}); ok {
		t.Errorf("the zero address belongs to %q", name)
	}
}

func TestANewAddressHasAnOwnerSoon(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	var m Monitor
	m.Owner(netip.MustParseAddr("127.0.0.1"))
	nettest.Run(t, "ip addr add 10.4.0.1/32 dev lo")
	end := time.Now().Add(ownersFresh / 2)
	for {
		if name, _ := m.Owner(netip.MustParseAddr("10.4.0.1")); name == "lo" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a miss does not look again before the state is old")
		}
		time.Sleep(ownersMiss / 5)
	}
}

func TestTheOwnerIsAskedForSeldom(t *testing.T) {
	var m Monitor
	m.Owner(netip.MustParseAddr("127.0.0.1"))
	at, start := m.State().at, time.Now()
	for range 1000 {
		m.Owner(netip.MustParseAddr("127.0.0.1"))
	}
	if time.Since(start) < ownersFresh && m.State().at != at {
		t.Error("hits within a second asked the kernel again")
	}
}

func BenchmarkOwner(b *testing.B) {
	var m Monitor
	addr := netip.MustParseAddr("127.0.0.1")
	for b.Loop() {
		m.Owner(addr)
	}
}

// Files of systemd's.
func FuzzServers(f *testing.F) {
	f.Add("192.0.2.1 [2001:db8::1]:5353 192.0.2.2:53%eth0#dns.example")
	f.Add("fe80::1%lo # [::1]")
	f.Fuzz(func(t *testing.T, list string) {
		for _, s := range parseServers(list) {
			if !s.IsValid() {
				t.Errorf("%v", s)
			}
		}
	})
}

package allowed

import (
	"context"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/core/config"
	"midstream/core/netif"
	"midstream/core/netmon"
)

const (
	tableMain = 254
	tableVPN  = 51820
)

// host is one with two networks, a tunnel, and an interface in a VRF. Its routes are those that the test says, by the interface
// that they are asked for over.
func host(t *testing.T, routes map[int]netif.Found) *Rules {
	t.Helper()
	up := func(name string, index int, driver string, master int) netif.Interface {
		return netif.Interface{Name: name, Index: index, Up: true, Carrier: true, Link: driver, Master: master,
			V4: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(index), 0, 2})}}
	}
	var networks netmon.Monitor
	networks.Use(netmon.Of([]netif.Interface{
		up("wlan0", 2, "", 0), up("wwan0", 3, "", 0), up("wg0", 4, "wireguard", 0), up("red", 5, "vrf", 0), up("eth1", 6, "", 5),
	}, nil))
	return &Rules{Config: config.Default(), Networks: &networks, Lookup: func(_ netip.Addr, over int) (netif.Found, error) {
		f, ok := routes[over]
		if !ok {
			return f, syscall.EHOSTUNREACH
		}
		return f, nil
	}}
}

func TestWhereAConnectionMayBeMade(t *testing.T) {
	server := netip.MustParseAddr("192.0.2.1")
	main := func(index int) netif.Found { return netif.Found{Index: []int{index}, Table: tableMain} }
	vpn := netif.Found{Index: []int{4}, Table: tableVPN}
	for name, c := range map[string]struct {
		own, to string
		addr    netip.Addr
		routes  map[int]netif.Found
		leave   bool
		why     string // what is said, "" if it may
	}{
		"another network":                {"wlan0", "wwan0", server, map[int]netif.Found{0: main(2), 3: main(3)}, false, ""},
		"out of a tunnel":                {"wg0", "wwan0", server, map[int]netif.Found{0: main(4)}, false, "the tunnel wg0"},
		"out of a tunnel, as allowed":    {"wg0", "wwan0", server, map[int]netif.Found{0: main(4)}, true, ""},
		"the same tunnel":                {"wg0", "wg0", server, map[int]netif.Found{0: vpn, 4: vpn}, false, ""},
		"past a tunnel":                  {"wlan0", "wwan0", server, map[int]netif.Found{0: vpn, 3: main(3)}, false, "leads through the tunnel wg0"},
		"past the administrator's rules": {"wlan0", "wwan0", server, map[int]netif.Found{0: {Index: []int{2}, Table: 77}, 3: main(3)}, false, "the kernel's rules"},
		"into a VRF":                     {"wlan0", "eth1", server, nil, false, "another VRF"},
		"nobody's, into a VRF":           {"", "eth1", server, map[int]netif.Found{}, false, ""},
		"to this host":                   {"wg0", "wwan0", netip.MustParseAddr("127.0.0.1"), nil, false, ""},
		"to any address":                 {"wlan0", "wwan0", netip.Addr{}, nil, false, ""},
		"where no route leads":           {"wlan0", "wwan0", server, map[int]netif.Found{}, false, ""},
	} {
		r := host(t, c.routes)
		r.Config.Policy.LeaveTunnel = c.leave
		if why := r.Astray(c.own, c.to, c.addr).Error(); (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, not %q", name, why, c.why)
		}
	}
}

func TestNoConnectionIsMadeWhereNoRouteLeads(t *testing.T) {
	r := host(t, map[int]netif.Found{2: {Index: []int{2}}})
	server := netip.MustParseAddr("192.0.2.1")
	for iface, want := range map[string]bool{"wlan0": false, "wwan0": true, "eth9": false} {
		if why := r.Unreachable(iface, server).Error(); (why != "") != want {
			t.Errorf("%s: %q", iface, why)
		}
	}
	if why := r.Unreachable("wwan0", netip.MustParseAddr("169.254.1.1")).Error(); why != "" {
		t.Error(why)
	}
}

func TestATunnelIsWhatTheConfigurationSays(t *testing.T) {
	r := host(t, nil)
	r.Config.Interfaces = map[string]config.Interface{"wlan0": {Kind: netif.KindTunnel}, "wg0": {Kind: netif.KindEthernet}}
	if !r.Link("wlan0").Tunnel || r.Link("wg0").Tunnel {
		t.Error("the kernel's word counts more")
	}
}

func TestWhatShowsThatANetworkHasFailed(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		ends   []error
		after  time.Duration
		failed bool
		use    bool // connecting has been of use
	}{
		"nothing is tried for long enough": {nil, 100 * time.Millisecond, false, true},
		"nobody answers":                   {[]error{context.DeadlineExceeded}, time.Second, true, true},
		"it leads nowhere":                 {[]error{syscall.EHOSTUNREACH}, 0, true, true},
		"the server refuses":               {[]error{syscall.ECONNREFUSED}, time.Second, false, false},
		"it answers again":                 {[]error{syscall.ENETUNREACH, nil}, time.Second, false, true},
	} {
		var e Evidence
		e.Begins(now)
		for _, err := range c.ends {
			e.Ends(err)
		}
		if got := e.Failed(now.Add(c.after), 0); got != c.failed || e.Useless == c.use {
			t.Errorf("%s: failed %t, useless %t", name, got, e.Useless)
		}
	}
	slow := Evidence{}
	slow.Begins(now)
	if slow.Failed(now.Add(time.Second), 800*time.Millisecond) {
		t.Error("two round trips are not over")
	}
	if e := Dead(true); !e.Failed(now, time.Hour) {
		t.Error("a probe has shown it")
	}
}

// What the kernel says of routes, and which interfaces are tunnels.
package netif

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"midstream/core/netif/nettest"
)

func TestLookupFollowsTheKernelsRules(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	far := nettest.NewPlace(t)
	far.Link("eth0", "a0", []string{"10.1.0.2/24", "fd01::2/64"}, nil)
	far.Link("wwan0", "b0", []string{"10.2.0.2/24"}, nil)
	nettest.Run(t,
		"ip route add default via 10.1.0.1 dev eth0 metric 100", "ip route add default via 10.2.0.1 dev wwan0 metric 200",
		"ip route add default via fd01::1 dev eth0",
		"ip tuntap add dev vpn0 mode tun", "ip addr add 10.8.0.2/24 dev vpn0", "ip link set vpn0 up",
	)
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]int{"": 0}
	for _, i := range all {
		index[i.Name] = i.Index
	}
	look := func(to, over string) (string, bool) {
		t.Helper()
		f, err := Lookup(netip.MustParseAddr(to), index[over])
		if err != nil {
			return err.Error(), false
		}
		for name, i := range index {
			if f.Leads(i) {
				return name, f.ByRule()
			}
		}
		return "nowhere", false
	}
	expect := func(to, over, want string, byRule bool) {
		t.Helper()
		if got, rule := look(to, over); got != want || rule != byRule {
			t.Errorf("to %s over %q: %s, %t; not %s, %t", to, over, got, rule, want, byRule)
		}
	}
	expect("192.0.2.1", "", "eth0", false)
	expect("::ffff:192.0.2.1", "wwan0", "wwan0", false)
	expect("2001:db8::1", "", "eth0", false)
	expect("2001:db8::1", "wwan0", syscall.ENETUNREACH.Error(), false)
	// connect(2) would look for it on the link.
	expect("192.0.2.1", "vpn0", syscall.EHOSTUNREACH.Error(), false)
	if f, err := Lookup(netip.MustParseAddr("10.1.0.2"), 0); err != nil || !f.Local {
		t.Errorf("an own address: %+v, %v", f, err)
	}

	// As wg-quick(8) does it, and by user.
	nettest.Run(t, "ip route add default dev vpn0 table 51820", "ip rule add not fwmark 51820 lookup 51820",
		"ip rule add lookup main suppress_prefixlength 0")
	expect("192.0.2.1", "", "vpn0", true)
	expect("10.2.0.9", "", "wwan0", false)
	expect("192.0.2.1", "wwan0", "wwan0", false)
	nettest.Run(t, "ip rule del lookup 51820", "ip rule add uidrange 0-0 lookup 77", "ip route add default via 10.2.0.1 dev wwan0 table 77")
	expect("192.0.2.1", "", "wwan0", true)
	expect("192.0.2.1", "eth0", "eth0", false)
	nettest.Run(t, "ip rule del lookup 77", "ip rule add uidrange 0-0 prohibit")
	expect("192.0.2.1", "", syscall.EACCES.Error(), false)
	// bind(2) to the interface and connect(2) would go past the rule.
	expect("192.0.2.1", "eth0", syscall.EHOSTUNREACH.Error(), false)
	nettest.Run(t, "ip rule del prohibit", "ip route add 198.51.100.0/24 nexthop via 10.1.0.1 dev eth0 nexthop via 10.2.0.1 dev wwan0")
	if f, err := Lookup(netip.MustParseAddr("198.51.100.1"), index["wwan0"]); err != nil || !f.Leads(index["wwan0"]) {
		t.Errorf("one of two hops: %+v, %v", f, err)
	}

	survey, _, err := Survey()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range survey {
		if tunnel := i.Name == "vpn0"; (i.Kind == KindTunnel) != tunnel {
			t.Errorf("%s (%s) is of the kind %s", i.Name, i.Link, i.Kind)
		}
	}
}

// link is RTM_NEWLINK as the kernel has it for that driver.
func link(index int, name, driver string, hardware uint16, master int) syscall.NetlinkMessage {
	data := make([]byte, syscall.SizeofIfInfomsg)
	binary.NativeEndian.PutUint16(data[2:], hardware)
	binary.NativeEndian.PutUint32(data[4:], uint32(index))
	attribute := func(kind uint16, value []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(syscall.SizeofRtAttr+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	data = append(data, attribute(syscall.IFLA_IFNAME, append([]byte(name), 0))...)
	data = append(data, attribute(syscall.IFLA_MASTER, binary.NativeEndian.AppendUint32(nil, uint32(master)))...)
	if driver != "" {
		data = append(data, attribute(iflaLinkInfo, attribute(iflaInfoKind, append([]byte(driver), 0)))...)
	}
	return syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: syscall.RTM_NEWLINK}, Data: data}
}

func TestTunnelsAreKnownByTheirDrivers(t *testing.T) {
	all := parse([]syscall.NetlinkMessage{
		link(2, "eth0", "", 1, 0), link(3, "br0", "bridge", 1, 0), link(4, "veth0", "veth", 1, 3), link(5, "wwan0", "", 65534, 0),
		link(6, "wg0", "wireguard", 65534, 0), link(7, "tun0", "tun", 65534, 0), link(8, "ipsec0", "xfrm", 65534, 0),
		link(9, "sit0", "", 776, 0), link(10, "ppp0", "ppp", 512, 0), link(11, "red", "vrf", 1, 0), link(12, "eth1", "", 1, 11),
		link(13, "br1", "bridge", 1, 11), link(14, "eth2", "", 1, 13),
	}, nil)
	names := func(routes []Route) (list []string) {
		for name := range Tunnels(all, routes) {
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	dsl := []Route{{Index: 10, To: netip.MustParsePrefix("0.0.0.0/0")}, {Index: 10, To: netip.MustParsePrefix("203.0.113.1/32")}}
	if got := names(dsl); !slices.Equal(got, []string{"ipsec0", "sit0", "tun0", "wg0"}) {
		t.Errorf("with PPP over a modem: %v", got)
	}
	l2tp := append(dsl, Route{Index: 2, To: netip.MustParsePrefix("198.51.100.7/32"), Via: true})
	if got := names(l2tp); !slices.Equal(got, []string{"ipsec0", "ppp0", "sit0", "tun0", "wg0"}) {
		t.Errorf("with PPP over eth0: %v", got)
	}
	for index, want := range map[int]int{2: 0, 4: 0, 11: 11, 12: 11, 14: 11, 99: 0} {
		if got := VRF(all, index); got != want {
			t.Errorf("interface %d is in VRF %d, not %d", index, got, want)
		}
	}
}

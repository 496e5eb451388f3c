package netif

import "testing"

func TestContainersBridgesAreNoNetworks(t *testing.T) {
	for _, test := range []struct {
		name, kind   string
		part, routed bool
		want         bool
	}{
		{"eth0", KindEthernet, false, true, true},
		{"enp3s0", KindEthernet, false, false, true}, // its cable is out
		{"wlan0", KindWiFi, false, false, true},
		{"wwan0", KindWWAN, false, true, true},
		{"veth12ab", KindEthernet, false, false, false},
		{"veth0", KindEthernet, false, true, true},
		{"eth0", KindEthernet, true, false, false}, // its addresses are br0's
		{"br0", KindOther, false, true, true},
		{"docker0", KindOther, false, false, false},
		{"virbr0", KindOther, false, false, false},
		{"lo", KindLoopback, false, false, false},
		{"tun0", KindTunnel, false, true, false},
	} {
		i := Interface{Name: test.name, Kind: test.kind, Defaults: make([]DefaultRoute, map[bool]int{true: 1}[test.routed])}
		if test.part {
			i.Master = 7
		}
		if got := IsNetwork(test.name, test.kind, test.part, test.routed); got != test.want || i.Offered() != (test.want || test.kind == KindTunnel) {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

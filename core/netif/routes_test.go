// Where routes lead.
package netif

import (
	"net/netip"
	"testing"
)

func TestLeads(t *testing.T) {
	routes := []Route{{Index: 2, To: netip.MustParsePrefix("10.1.0.0/16")}, {Index: 3, To: netip.MustParsePrefix("0.0.0.0/0")}, {Index: 2, To: netip.MustParsePrefix("fd00::/8")}}
	for _, test := range []struct {
		index int
		to    string
		leads bool
	}{
		{2, "10.1.2.3", true}, {2, "::ffff:10.1.2.3", true}, {2, "10.2.0.1", false}, {3, "10.2.0.1", true},
		{3, "fd00::1", false}, {2, "fd00::1%eth0", true}, {4, "10.1.2.3", false},
	} {
		if got := Leads(routes, test.index, netip.MustParseAddr(test.to)); got != test.leads {
			t.Errorf("interface %d to %s: %t", test.index, test.to, got)
		}
	}
}

func TestRoutesAreRead(t *testing.T) {
	if _, _, err := Survey(); err != nil {
		t.Error(err)
	}
	Sync(1) // returns, whatever there is
	Sync(1 << 20)
}

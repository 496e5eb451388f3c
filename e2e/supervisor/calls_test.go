package supervisor

import (
	"testing"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// Whatever a program asks of its connections, it is answered as it would be natively.
func TestConnectionsLookAsTheyWouldNatively(t *testing.T) {
	l := lab.New(t, lab.Net("wlan0", lab.Link{}))
	n := l.Network("wlan0")
	serve(t, n)
	l.Configure("[reach]\nports = \"1-65535\"\n")
	if err := n.IP("route add unreachable 10.88.0.0/16", "route add blackhole 10.89.0.0/16"); err != nil {
		t.Fatal(err)
	}
	if err := n.Command("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"); err != nil { // so that the gateway says so
		t.Fatal(err)
	}
	args := []string{l.CC("carried", "-static"), n.Content(), n.Content6(), "10.89.0.1", "10.88.0.1"}
	native := l.Command(args...).Run()
	under := l.Midstream(args...).Run()
	lab.Compare(t, native, under)
}

// A network: its addresses, how it is built, and everything that can happen to it.

package lab

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"midstream/e2e/lab/wire"
)

// Link describes the way between the phone and a network, alike in both directions. The zero Link is as fast as the machine.
type Link struct {
	Rate  int64         // bit/s; 0 is unlimited
	Delay time.Duration // one way
	Queue time.Duration // what waits at the bottleneck before frames are dropped; 0 is 60 ms
	Loss  float64       // share of frames lost, 0 to 1
}

func (k Link) wired() bool { return k.Rate != 0 || k.Delay != 0 || k.Loss != 0 }

// Direction is one way of a link, seen from the phone.
type Direction string

// The directions of Drop and Pass.
const (
	Up   Direction = wire.Up   // from the phone to the network
	Down Direction = wire.Down // from the network to the phone
	Both Direction = wire.Both
)

// Network is one of the phone's networks. Its Namespace holds its servers.
type Network struct {
	Name  string // of the phone's interface
	Index int    // 1 is the first
	Link  Link
	*Namespace

	lab   *Lab
	air   *Namespace // holds the wire; nil where the link needs none
	cable *cable
}

// inner is the name of the interface towards the phone in the network's namespace.
const inner = "phone"

var hostSysctls = map[string]string{
	"ipv4/conf/all/rp_filter":         "0", // the phone answers on whichever interface it was asked
	"ipv4/conf/default/rp_filter":     "0",
	"ipv4/tcp_no_metrics_save":        "1", // or the second download starts with what the first one learnt
	"ipv6/conf/default/accept_dad":    "0",
	"ipv6/conf/default/accept_ra":     "0",
	"ipv6/conf/all/accept_dad":        "0",
	"ipv4/ip_unprivileged_port_start": "0", // servers that refuse to run as root listen on port 80 too
	"ipv6/conf/all/keep_addr_on_down": "1", // or a network is without IPv6 after its link was down
}

var airSysctls = map[string]string{
	"ipv6/conf/all/disable_ipv6":     "1", // the wire's own ends have no voice
	"ipv6/conf/default/disable_ipv6": "1",
}

func (l *Lab) newNetwork(index int, name string, link Link) (*Network, error) {
	n := &Network{Name: name, Index: index, Link: link, lab: l}
	var err error
	if n.Namespace, err = newNamespace(name); err != nil {
		return nil, err
	}
	if err := n.Do(func() error { return sysctl(hostSysctls) }); err != nil {
		return n, err
	}
	if link.wired() {
		err = n.layCable()
	} else {
		err = ipBatch(fmt.Sprintf("link add %s type veth peer name %s netns %s", name, inner, n.Namespace.Name))
	}
	if err != nil {
		return n, err
	}
	lines := []string{"link set " + inner + " up"}
	for _, host := range []int{1, 53, 80, 81} {
		lines = append(lines,
			fmt.Sprintf("addr add %s/24 dev %s", n.Address(host), inner),
			fmt.Sprintf("addr add %s/64 dev %s nodad", n.Address6(host), inner))
	}
	if err := n.IP(lines...); err != nil {
		return n, err
	}
	if err := ipBatch(n.phoneLines()...); err != nil {
		return n, err
	}
	return n, n.settle()
}

// settle waits until both ends of the way carry packets. The kernel tells the protocols of a new
// carrier up to a second late, and IPv6 is mute until then; asking for the link makes it do so at once.
func (n *Network) settle() error {
	ends := []*Namespace{n.Namespace}
	if n.air != nil {
		ends = append(ends, n.air)
		if err := n.air.IP("link show dev "+airPhone, "link show dev "+airNetwork); err != nil {
			return err
		}
	}
	if err := n.IP("link show dev " + inner); err != nil {
		return err
	}
	if err := ipBatch("link show dev " + n.Name); err != nil {
		return err
	}
	running := func(name string) bool {
		i, err := net.InterfaceByName(name)
		return err == nil && i.Flags&net.FlagRunning != 0
	}
	for _, end := range ends {
		end.Do(func() error {
			await(Patience, func() bool { return running(inner) })
			return nil
		})
	}
	if !await(Patience, func() bool { return running(n.Name) }) {
		return fmt.Errorf("no carrier on %s after %v", n.Name, Patience)
	}
	return nil
}

// phoneLines give the phone's interface its addresses and routes.
func (n *Network) phoneLines() []string {
	return append([]string{
		"link set " + n.Name + " up",
		fmt.Sprintf("addr replace %s/24 dev %s", n.Phone(), n.Name),
		fmt.Sprintf("addr replace %s/64 dev %s nodad", n.Phone6(), n.Name),
	}, n.routeLines("replace")...)
}

func (n *Network) routeLines(verb string) []string {
	return []string{
		fmt.Sprintf("route %s default via %s dev %s metric %d", verb, n.Gateway(), n.Name, 100*n.Index),
		fmt.Sprintf("route %s default via %s dev %s metric %d", verb, n.Gateway6(), n.Name, 100*n.Index),
	}
}

func (n *Network) close() {
	command("ip", "link", "del", n.Name)
	if n.cable != nil {
		n.cable.close()
	}
	if n.air != nil {
		n.air.close()
	}
	n.Namespace.close()
}

// Address is 10.77.i.host.
func (n *Network) Address(host int) string { return fmt.Sprintf("10.77.%d.%d", n.Index, host) }

// Address6 is fd77:i::host, with the decimal digits of the host.
func (n *Network) Address6(host int) string { return fmt.Sprintf("fd77:%d::%d", n.Index, host) }

// The addresses of the network's hosts.
func (n *Network) Gateway() string   { return n.Address(1) }
func (n *Network) Gateway6() string  { return n.Address6(1) }
func (n *Network) Phone() string     { return n.Address(2) }
func (n *Network) Phone6() string    { return n.Address6(2) }
func (n *Network) Resolver() string  { return n.Address(53) }
func (n *Network) Resolver6() string { return n.Address6(53) }
func (n *Network) Content() string   { return n.Address(80) }
func (n *Network) Content6() string  { return n.Address6(80) }
func (n *Network) Proxy() string     { return n.Address(81) }

// AddAddress gives the network's server one more address, such as 203.0.113.80: with the same one in
// several networks, it is a server that is reached through each of them.
func (n *Network) AddAddress(address string) {
	n.lab.t.Helper()
	prefix := "/32 dev "
	if strings.Contains(address, ":") {
		prefix = "/128 nodad dev "
	}
	n.must(n.IP("addr add " + address + prefix + inner))
}

// CarrierDown takes the carrier from the phone's interface: the far end of its cable goes down.
func (n *Network) CarrierDown() { n.lab.t.Helper(); n.setFarEnd("down") }

// CarrierUp gives the carrier back.
func (n *Network) CarrierUp() {
	n.lab.t.Helper()
	n.setFarEnd("up")
	n.must(n.settle())
}

func (n *Network) setFarEnd(state string) {
	n.lab.t.Helper()
	if n.air != nil {
		n.must(n.air.IP("link set " + airPhone + " " + state))
		return
	}
	n.must(n.IP("link set " + inner + " " + state))
}

// Drop lets every packet of that direction vanish, silently for both ends, until Pass.
func (n *Network) Drop(d Direction) {
	n.lab.t.Helper()
	if n.cable != nil {
		n.must(n.cable.order("drop " + string(d)))
		return
	}
	lines := []string{"table inet lab", "delete table inet lab", "table inet lab {"}
	if d != Down {
		lines = append(lines, "chain up { type filter hook prerouting priority -300; iifname "+inner+" drop; }")
	}
	if d != Up {
		lines = append(lines, "chain down { type filter hook postrouting priority 300; oifname "+inner+" drop; }")
	}
	n.must(n.Command("nft", strings.Join(append(lines, "}"), "\n")))
}

// Pass ends Drop in both directions.
func (n *Network) Pass() {
	n.lab.t.Helper()
	if n.cable != nil {
		n.must(n.cable.order("pass " + wire.Both))
		return
	}
	n.must(n.Command("nft", "table inet lab\ndelete table inet lab"))
}

// RemoveAddresses takes the phone's addresses in this network away, and with them its routes.
func (n *Network) RemoveAddresses() {
	n.lab.t.Helper()
	n.must(ipBatch("addr flush dev " + n.Name + " scope global"))
}

// AddAddresses gives addresses and routes back.
func (n *Network) AddAddresses() { n.lab.t.Helper(); n.must(ipBatch(n.phoneLines()...)) }

// RemoveRoutes takes the phone's default routes through this network away; its addresses stay.
func (n *Network) RemoveRoutes() { n.lab.t.Helper(); n.must(ipBatch(n.routeLines("del")...)) }

// AddRoutes gives the default routes back.
func (n *Network) AddRoutes() { n.lab.t.Helper(); n.must(ipBatch(n.routeLines("replace")...)) }

// Unplug makes the interface vanish from the phone.
func (n *Network) Unplug() {
	n.lab.t.Helper()
	n.must(ipBatch("link set " + n.Name + " netns " + n.Namespace.Name))
}

// Plug brings the interface back, with its addresses and routes.
func (n *Network) Plug() {
	n.lab.t.Helper()
	n.must(n.IP("link set " + n.Name + " netns " + strconv.Itoa(os.Getpid())))
	n.must(ipBatch(n.phoneLines()...))
	n.must(n.settle())
}

// ResetConnections ends every TCP connection of the network's servers with RST (ss -K).
func (n *Network) ResetConnections() { n.lab.t.Helper(); n.must(n.Command("ss", "-K", "-t")) }

func (n *Network) must(err error) {
	n.lab.t.Helper()
	if err != nil {
		n.lab.t.Fatalf("lab: network %s: %v", n.Name, err)
	}
}

// What doctor says of the networks.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/display"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/resolve"
)

// Addresses that stand for all of the Internet: of documentation (RFC 5737, RFC 3849), so that they are nobody's. Nothing is sent.
var (
	somewhere4 = netip.MustParseAddr("198.51.100.1")
	somewhere6 = netip.MustParseAddr("2001:db8::1")
)

// host is what is looked at, found out once, so that what follows from it can be tested.
type host struct {
	interfaces []manager.Interface
	config     *config.Config
	system     []netip.AddrPort  // of resolv.conf
	ways       map[string]wayOut // by interface
	plain      string            // the interface that a connection takes which is not bound, "" for none
	byRule     bool              // a rule of the administrator's has chosen it
	nmcli      bool              // NetworkManager is asked by it
}

// wayOut is what is known of the routes over an interface.
type wayOut struct {
	v4, v6   error  // why no route leads out over it, nil if one does or there is no address of that family
	strict   bool   // packets that would be answered over another interface are dropped (rp_filter)
	answered string // the interface over which what comes from its IPv4 address goes, "" unknown
}

// Networks looks at the interfaces, under the configuration.
func (f *Findings) Networks(c *config.Config, list []manager.Interface) {
	h := host{interfaces: list, config: c, ways: map[string]wayOut{}}
	h.system, _ = resolve.System()
	_, err := exec.LookPath("nmcli")
	h.nmcli = err == nil
	found, err := netif.Lookup(somewhere4, 0)
	if err != nil {
		found, err = netif.Lookup(somewhere6, 0)
	}
	for _, i := range list {
		if err == nil && found.Leads(i.Index) {
			h.plain = i.Name
		}
		h.ways[i.Name] = lookOut(i)
	}
	h.byRule = err == nil && found.ByRule()
	h.networks(f)
}

// lookOut asks the kernel for the routes over an interface.
func lookOut(i manager.Interface) (w wayOut) {
	own4 := ""
	for _, a := range i.Addresses {
		switch {
		case a.Is4() && own4 == "":
			own4 = a.String()
			_, w.v4 = netif.Lookup(somewhere4, i.Index)
		case a.Is6() && w.v6 == nil:
			_, w.v6 = netif.Lookup(somewhere6, i.Index)
		}
	}
	// linux/Documentation/networking/ip-sysctl.rst: of conf/all and the interface's own, the larger value counts.
	w.strict = max(filter("all"), filter(i.Name)) == 1
	if own4 != "" {
		// "198.51.100.1 from 10.0.0.2 via 10.0.0.1 dev eth0 …"
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "ip", "-4", "-o", "route", "get", somewhere4.String(), "from", own4).Output()
		words := strings.Fields(string(out))
		if at := slices.Index(words, "dev"); err == nil && at >= 0 && at+1 < len(words) {
			w.answered = words[at+1]
		}
	}
	return w
}

func filter(name string) int {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", name, "rp_filter"))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// networks says what follows from what was found.
func (h *host) networks(f *Findings) {
	var usable []string
	for n := range h.interfaces {
		i := &h.interfaces[n]
		if !i.IsNetwork() {
			continue
		}
		w := h.ways[i.Name]
		if i.Usable() && !i.Never && (w.v4 == nil && hasFamily(i, true) || w.v6 == nil && hasFamily(i, false)) {
			usable = append(usable, i.Name)
		}
	}
	switch len(usable) {
	case 0:
		f.Add(Problem, "networks", "no interface leads to the Internet; there is nothing to download over", "ip -brief address; ip route")
	case 1:
		f.Add(Note, "networks", "only "+usable[0]+" leads out: a download that fails is continued over it, and can be moved when there is another network",
			"ip -brief link")
	default:
		f.Add(Fine, "networks", "downloads can be moved between "+strings.Join(usable[:len(usable)-1], ", ")+" and "+usable[len(usable)-1])
	}
	for n := range h.interfaces {
		i := &h.interfaces[n]
		if !i.IsNetwork() {
			continue
		}
		h.oneNetwork(f, i)
	}
	for n := range h.interfaces {
		i := &h.interfaces[n]
		if i.Kind != manager.KindTunnel || i.Name != h.plain {
			continue
		}
		text := "what goes to the Internet goes into the tunnel " + i.Name + ": Midstream does not leave it, so downloads stay there"
		if h.config.Policy.LeaveTunnel {
			f.Add(Note, i.Name, "what goes to the Internet goes into the tunnel "+i.Name+", and policy.leave_tunnel allows downloads to leave it")
			continue
		}
		f.Add(Note, i.Name, text+"; if others may see what is downloaded, in "+h.file()+":", "[policy]", "leave_tunnel = true")
	}
	if h.byRule {
		f.Add(Note, "rules", "a rule (ip rule) chooses the route to the Internet: what goes by it is not moved, unless policy.leave_tunnel says so", "ip rule")
	}
}

// file is the configuration, or where it would be.
func (h *host) file() string {
	if h.config.File != "" {
		return h.config.File
	}
	return "~/.config/midstream/config.toml"
}

func (h *host) oneNetwork(f *Findings, i *manager.Interface) {
	w := h.ways[i.Name]
	switch {
	case i.Never:
		f.Add(Note, i.Name, "the configuration says never: it is not used")
		return
	case !i.Up && !hasDevice(i.Name):
		return // nobody has use for it
	case !i.Up:
		f.Add(Note, i.Name, "it is down", "sudo ip link set "+i.Name+" up")
		return
	case !i.Carrier && i.Kind == manager.KindWiFi:
		f.Add(Note, i.Name, "it has joined no network", "nmcli device wifi connect NETWORK --ask")
		return
	case !i.Carrier:
		f.Add(Note, i.Name, "it has no carrier: the cable is out, or nobody is at its other end")
		return
	case !i.Usable():
		do := "sudo dhclient " + i.Name
		if h.nmcli {
			do = "nmcli device connect " + i.Name
		}
		f.Add(Problem, i.Name, "it has no address", do)
		return
	}
	good := true
	say := func(weight, text string, do ...string) {
		good = good && weight != Problem
		f.Add(weight, i.Name, text, do...)
	}
	if w.v4 != nil || w.v6 != nil {
		family, dash, err := "IPv4", "-4", w.v4
		if err == nil {
			family, dash, err = "IPv6", "-6", w.v6
		}
		weight := Problem
		if w.v4 == nil && hasFamily(i, true) || w.v6 == nil && hasFamily(i, false) {
			weight = Note // the other family leads out
		}
		do := "sudo ip " + dash + " route add default via GATEWAY dev " + i.Name + " metric 900"
		if h.nmcli {
			do = "nmcli connection modify \"$(nmcli -g GENERAL.CONNECTION device show " + i.Name + ")\" ipv" + dash[1:] + ".never-default no"
		}
		say(weight, "no default route of "+family+" leads out over it ("+plainly(err)+"), so nothing can be moved there; its metric need not be the best one", do)
	}
	if w.strict && w.answered != "" && w.answered != i.Name && w.v4 == nil {
		say(Problem, "reverse-path filtering is strict, and the kernel would answer over "+w.answered+": what comes in over "+i.Name+" is dropped, unless "+
			"that is made loose, or a rule sends what comes from its address over it",
			"sudo sysctl -w net.ipv4.conf."+i.Name+".rp_filter=2", "echo 'net.ipv4.conf."+i.Name+".rp_filter=2' | sudo tee /etc/sysctl.d/60-midstream.conf")
	}
	if i.Captive {
		say(Problem, "it is behind a captive portal: log in with a browser, or say that it is not so", "midstreamctl hint "+i.Name+" captive=false")
	}
	h.resolvers(i, say)
	if i.Metered {
		say(Note, "it is metered: while another network works, nothing is moved there unasked; if it costs nothing",
			"midstreamctl hint "+i.Name+" metered=false")
	}
	if good {
		f.Add(Fine, i.Name, fmt.Sprintf("%s, %s; %s", i.Kind, display.Join(i.Addresses), i.Why))
	}
}

func (h *host) resolvers(i *manager.Interface, say func(weight, text string, do ...string)) {
	if len(i.Resolvers) > 0 {
		return
	}
	configure := []string{"[interfaces." + i.Name + "]", "dns = [\"ADDRESS\"]"}
	switch {
	case len(h.system) == 0 || h.system[0].Addr().IsLoopback():
		say(Note, "its name servers are not known: names are asked of the host's resolver, which may ask over another network; in "+h.file()+":", configure...)
	default:
		at := h.system[0].Addr()
		found, err := netif.Lookup(at, i.Index)
		if err == nil && found.Leads(i.Index) {
			return
		}
		say(Note, "its name servers are not known, and that of /etc/resolv.conf, "+at.String()+", is not reached over it; in "+h.file()+":", configure...)
	}
}

// hasDevice reports whether there is a device behind the interface.
func hasDevice(name string) bool {
	_, err := os.Lstat(filepath.Join("/sys/class/net", name, "device"))
	return err == nil
}

// hasFamily reports whether it has an address of the family.
func hasFamily(i *manager.Interface, v4 bool) bool {
	return slices.ContainsFunc(i.Addresses, func(a netip.Addr) bool { return a.Is4() == v4 })
}

// plainly says what an error of the kernel's means.
func plainly(err error) string {
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "network is unreachable"
	case errors.Is(err, syscall.EACCES):
		return "a route forbids it"
	}
	return err.Error()
}

// Reach looks the host up over each interface and connects to it there, at the port, or, where that is 0, at 443, else 80.
func (f *Findings) Reach(ctx context.Context, list []manager.Interface, name string, port uint16) {
	ports := []uint16{port}
	if port == 0 {
		ports = []uint16{443, 80}
	}
	for n := range list {
		i := &list[n]
		if !i.Usable() || !i.IsNetwork() && i.Kind != manager.KindTunnel {
			continue
		}
		servers := i.Resolvers
		if len(servers) == 0 {
			servers, _ = resolve.System()
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		begun := time.Now()
		r := resolve.Resolver{Servers: servers, Device: i.Name, Timeout: 4 * time.Second, Step: resolve.DefaultStep, Delay: resolve.DefaultDelay, HostsFile: resolve.DefaultHosts}
		addresses, _, err := r.Lookup(ctx, name)
		took := time.Since(begun)
		if err != nil {
			f.Add(Problem, i.Name, fmt.Sprintf("%s cannot be looked up there: %v", name, err), "midstreamctl doctor   # says where its name servers are configured")
			cancel()
			continue
		}
		for n, p := range ports {
			var to []netip.AddrPort
			for _, a := range addresses {
				to = append(to, netip.AddrPortFrom(a, p))
			}
			conn, err := dial.Race(ctx, dial.Candidates(to...), netip.AddrPort{}, dial.Options{Device: i.Name})
			if err == nil {
				f.Add(Fine, i.Name, fmt.Sprintf("%s was looked up in %v and reached at %v in %v", name, took.Round(time.Millisecond), conn.Remote(), conn.RTT().Round(100*time.Microsecond)))
				conn.Close()
				break
			}
			if n == len(ports)-1 {
				f.Add(Problem, i.Name, fmt.Sprintf("%s cannot be reached there: %v", name, err), "ip route get "+addresses[0].String()+" oif "+i.Name)
			}
		}
		cancel()
	}
}

// Where a download must not go: over a network that costs money while its own works, out of a tunnel, where the kernel's
// rules do not lead this program, and away from where a person has put it.

package failover

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// opened is how many connections have been made to the network's servers.
func (s *site) opened(name string) (n int) {
	s.t.Helper()
	err := s.Network(name).Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, "Tcp: R") {
				n, err = strconv.Atoi(strings.Fields(lines[i+1])[slices.Index(strings.Fields(line), "PassiveOpens")])
			}
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// allowed is a download under way, and what has been done over wwan0 before it.
type allowed struct {
	*site
	*download
	t      *testing.T
	names  *lab.Server // wwan0's
	before int
}

// begin starts the program, and waits until a third of the film has arrived.
func (s *site) begin(t *testing.T, config string, args ...string) *allowed {
	t.Helper()
	s.Configure(config)
	a := &allowed{site: s, t: t, download: s.download(true, args...), before: s.opened("wwan0")}
	a.Start()
	a.halfway()
	return a
}

// unspent makes sure that no connection has been made over wwan0.
func (a *allowed) unspent() {
	a.t.Helper()
	if n := a.opened("wwan0") - a.before; n != 0 {
		a.t.Errorf("%d connections were made over wwan0", n)
	}
}

// fails waits for the end of curl, which has to be what it is without Midstream where a server ends: 18, or 56.
func (a *allowed) fails() {
	a.t.Helper()
	if r := a.Wait(); r.Status != 18 && r.Status != 56 {
		a.t.Errorf("%v", r)
	}
}

// refused makes sure that the download does not move there, because of that.
func (a *allowed) refused(to, why string) {
	a.t.Helper()
	moved, err := a.Control(a.Pid(), lab.Patience).Migrate(to)
	if err != nil || len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, why) {
		a.t.Errorf("to %s: %+v, %v; want a refusal because of %q", to, moved, err, why)
	}
}

func TestMoneyIsNotSpentWhileTheNetworkWorks(t *testing.T) {
	for _, costs := range []string{"metered = true\n", "cost = 2.5\n"} {
		name := strings.Fields(costs)[0]
		t.Run(name+", its server ends", func(t *testing.T) {
			s := newSite(t, paced, "wlan0", "wwan0")
			a := s.begin(t, costs+"[failover]\npatience = \"2s\"\n", curl.args...)
			s.web["wlan0"].Kill()
			a.fails()
			a.unspent()
		})
		if name == "cost" {
			continue // what follows is the same
		}
		t.Run(name+", its server is silent", func(t *testing.T) {
			s := newSite(t, paced, "wlan0", "wwan0")
			a := s.begin(t, costs, curl.args...)
			s.web["wlan0"].Freeze()
			time.Sleep(1200 * time.Millisecond) // what must not happen cannot be awaited
			a.unspent()
		})
		t.Run(name+", it is lost", func(t *testing.T) {
			s := newSite(t, paced, "wlan0", "wwan0")
			native := s.native(curl, "paced")
			a := s.begin(t, costs, curl.args...)
			a.unspent()
			s.Network("wlan0").Drop(lab.Both)
			s.Await("the recovery", lab.Patience, func() bool { return len(s.migrations()) == 1 })
			a.intact(native, nil)
		})
	}
	t.Run("a person asks for it", func(t *testing.T) {
		s := newSite(t, paced, "wlan0", "wwan0")
		native := s.native(curl, "paced")
		a := s.begin(t, "metered = true\n", curl.args...)
		if moved, err := a.Control(a.Pid(), lab.Patience).Migrate("wwan0"); err != nil || len(moved) != 1 || !moved[0].OK {
			t.Errorf("%+v, %v", moved, err)
		}
		a.intact(native, nil)
	})
}

// tunnelled is a site with an interface vpn0 by which the phone reaches everything, in wlan0's network: the kernel carries it in
// UDP over wlan0. Of WireGuard, IPsec and PPP it is handled alike; not every kernel has those.
func tunnelled(t *testing.T) *site {
	t.Helper()
	s := newAnycast(t)
	wlan := s.Network("wlan0")
	s.ip("link", "add", "vpn0", "type", "vxlan", "id", "7", "remote", wlan.Gateway(), "dstport", "4789", "dev", "wlan0")
	s.ip("addr", "add", "10.99.0.2/24", "dev", "vpn0")
	s.ip("link", "set", "vpn0", "up")
	s.ip("route", "add", "default", "via", "10.99.0.1", "dev", "vpn0", "metric", "1")
	if err := wlan.IP("link add vpn0 type vxlan id 7 remote "+wlan.Phone()+" dstport 4789 dev phone",
		"addr add 10.99.0.1/24 dev vpn0", "link set vpn0 up"); err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {common}})
		s.web[n.Name].Kill()
		s.web[n.Name] = n.Paced(s.root, lab.ServerOptions{LimitRate: pace, Addresses: []string{common}})
	}
	return s
}

// in waits for a download over the interface.
func (a *allowed) in(name string) *allowed {
	a.t.Helper()
	if all := a.sessions(); len(all) != 1 || all[0].Interface != name {
		a.t.Fatalf("the download is not over %s: %+v", name, all)
	}
	return a
}

func TestATunnelIsNotLeft(t *testing.T) {
	const short = "[failover]\npatience = \"1500ms\"\n"
	t.Run("its server ends", func(t *testing.T) {
		s := tunnelled(t)
		a := s.begin(t, short, curl.args...).in("vpn0")
		a.refused("wwan0", "tunnel vpn0")
		a.refused("wlan0", "tunnel vpn0")
		s.web["wlan0"].Kill()
		a.fails()
		a.unspent()
		for _, server := range s.Servers("wwan0", "dnsmasq") {
			if asked := server.Asked(); len(asked) > 0 {
				t.Errorf("wwan0 was asked for %v", asked)
			}
		}
	})
	t.Run("it is gone", func(t *testing.T) {
		s := tunnelled(t)
		a := s.begin(t, short, "curl", "-sS", "-m", "5", "-o", "out", "URL").in("vpn0")
		s.ip("link", "del", "vpn0")
		if r := a.Wait(); r.Status != 28 && r.Status != 56 {
			t.Errorf("%v", r)
		}
		a.unspent()
	})
	for what, config := range map[string]string{
		"but where it may be": "[policy]\nleave_tunnel = true\n",
		"but for one named":   "[policy]\nprefer = [\"wwan0\"]\ndwell = \"1h\"\n",
	} {
		t.Run(what, func(t *testing.T) {
			s := tunnelled(t)
			native := s.native(curl, "the common address")
			a := s.begin(t, config, curl.args...)
			s.web["wlan0"].Kill()
			s.Await("the recovery", lab.Patience, func() bool { return len(s.migrations()) > 0 })
			a.intact(native, nil)
		})
	}
}

// A rule of the administrator's that leads this user's programs one way leads them nowhere else.
func TestTheKernelsRulesAreKept(t *testing.T) {
	s := tunnelled(t)
	s.ip("link", "del", "vpn0")
	s.ip("route", "add", "default", "via", s.Network("wwan0").Gateway(), "dev", "wwan0", "table", "77")
	s.ip("rule", "add", "uidrange", "0-0", "lookup", "77")
	defer s.ip("rule", "del", "lookup", "77")
	a := s.begin(t, "[failover]\npatience = \"1500ms\"\n", curl.args...).in("wwan0")
	before := s.opened("wlan0")
	a.refused("wlan0", "the kernel's rules")
	s.web["wwan0"].Kill()
	a.fails()
	if now := s.opened("wlan0"); now != before {
		t.Errorf("%d connections were made over wlan0", now-before)
	}
}

// New connections are not taken out of the tunnel either, by what a person has ordered for all, or because it does not answer.
func TestNewConnectionsStayInTheTunnel(t *testing.T) {
	s := tunnelled(t)
	wlan, wwan := s.Network("wlan0"), s.Network("wwan0")
	s.web["wlan0"].Kill()
	s.web["wlan0"] = wlan.Nginx(s.root, lab.ServerOptions{Addresses: []string{common}})
	from := func(under bool) string {
		t.Helper()
		return s.download(under, "curl", "-sS", "--connect-timeout", "8", "-r", "0-9", "-o", "out", "-w", "%{local_ip} %{exitcode}", from).Run().Stdout
	}
	if r := s.Ctl("use", "wwan0").Run(); r.Status != 0 {
		t.Fatal(r)
	}
	if got := from(true); got != "10.99.0.2 0" {
		t.Errorf("from %s", got)
	}
	for _, allows := range []string{"[policy]\nleave_tunnel = true\n", "[policy]\nprefer = [\"wlan0\", \"wwan0\"]\n", "[interfaces.vpn0]\nkind = \"other\"\n"} {
		s.Configure(allows)
		if got := from(true); got != wwan.Phone()+" 0" {
			t.Errorf("%s: from %s", allows, got)
		}
	}
	s.Configure("")
	if r := s.Ctl("use", "auto").Run(); r.Status != 0 {
		t.Fatal(r)
	}
	// The other end of the tunnel is gone: the kernel finds out after three seconds.
	if err := wlan.IP("link del vpn0"); err != nil {
		t.Fatal(err)
	}
	before := s.opened("wwan0")
	if native, under := from(false), from(true); native != under || s.opened("wwan0") != before {
		t.Errorf("%s natively, %s under Midstream", native, under)
	}
	s.Configure("[policy]\nleave_tunnel = true\n")
	if got := from(true); !strings.HasSuffix(got, " 0") {
		t.Errorf("where it may be left: %s", got)
	}
}

// A connection that nobody answers is not made where it costs: whether its network or its server has failed is not known. It is where
// the network is lost.
func TestNewConnectionsWhereItCosts(t *testing.T) {
	s := newAnycast(t)
	get := func() lab.Result {
		return s.download(true, "curl", "-sS", "--connect-timeout", "5", "-r", "0-9", "-o", "out", "-w", "%{local_ip}", from).Run()
	}
	s.Configure("metered = true\n")
	before := s.opened("wwan0")
	s.Network("wlan0").Drop(lab.Both)
	if r := get(); r.Status != 28 || s.opened("wwan0") != before {
		t.Errorf("%v; %d connections over wwan0", r, s.opened("wwan0")-before)
	}
	s.Network("wlan0").CarrierDown()
	if r := get(); r.Status != 0 || r.Stdout != s.Network("wwan0").Phone() {
		t.Errorf("without carrier: %v", r)
	}
}

// Where requests go, by whose names, and what is not connected to.
package reach

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"midstream/core/allowed"
	"midstream/core/config"
	"midstream/core/http1"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/core/netmon"
	"midstream/core/resolve"
	"midstream/core/resume"
)

// interfaces are those that the manager knows.
type interfaces map[string]manager.Interface

func (i interfaces) Interface(name string) (manager.Interface, bool) {
	known, ok := i[name]
	return known, ok
}

// names are what a network's name servers say.
type names map[string][]netip.Addr

func (n names) LookupEach(_ context.Context, host string, each func(resolve.Answer)) error {
	each(resolve.Answer{Addrs: n[host]})
	return nil
}

// reaches is one on a host with wlan0 and wwan0, where 192.0.2.1 is known as files.example.
func reaches(c *config.Config, known interfaces) *Reach {
	var networks netmon.Monitor
	networks.Use(netmon.Of([]netif.Interface{{Name: "wlan0", Index: 2, Up: true, Carrier: true}, {Name: "wwan0", Index: 3, Up: true, Carrier: true}}, nil))
	rules := &allowed.Rules{Config: c, Networks: &networks, Lookup: func(_ netip.Addr, over int) (netif.Found, error) {
		return netif.Found{Index: []int{max(over, 2)}, Table: 254}, nil
	}}
	var cache resolve.Cache
	cache.Add("files.example", []netip.Addr{netip.MustParseAddr("192.0.2.1")})
	return New(c, known, rules, &cache)
}

func request(t *testing.T, target, host string) *http1.Request {
	t.Helper()
	r, err := http1.ParseRequest([]byte("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// place is that of a stream to files.example.
func place() Place {
	peer := netip.MustParseAddrPort("192.0.2.1:80")
	return Place{Interface: "wlan0", Server: peer, Peer: peer}
}

func TestWhereRequestsGo(t *testing.T) {
	t.Setenv("http_proxy", "http://10.9.9.9:8080")
	t.Setenv("no_proxy", "")
	c := config.Default()
	c.Interfaces["wwan0"] = config.Interface{Proxy: config.Proxy{Host: "10.0.0.1", Port: 3128}}
	c.Interfaces["eth0"] = config.Interface{Proxy: config.Proxy{Environment: true}}
	r := reaches(c, nil)
	tls, tunnelled := place(), place()
	tls.Secure, tls.Peer = true, netip.MustParseAddrPort("192.0.2.1:443")
	tunnelled.Secure, tunnelled.Peer, tunnelled.Tunnel = true, netip.MustParseAddrPort("10.0.0.1:3128"), "films.example:8443"
	for name, x := range map[string]struct {
		place        Place
		iface        string
		target, host string
		want         resume.Destination
		why          string
	}{
		"as it is":              {place(), "wlan0", "/film", "files.example", resume.Destination{Host: "files.example", Port: 80}, ""},
		"without a name":        {place(), "wlan0", "/film", "", resume.Destination{Host: "files.example", Port: 80}, ""},
		"through a proxy":       {place(), "wwan0", "/film", "files.example", resume.Destination{Host: "10.0.0.1", Port: 3128, Form: http1.Form{Kind: http1.AbsoluteForm}}, ""},
		"the program's":         {place(), "eth0", "/film", "files.example", resume.Destination{Host: "10.9.9.9", Port: 8080, Form: http1.Form{Kind: http1.AbsoluteForm}}, ""},
		"from its proxy":        {place(), "wlan0", "http://films.example:8000/a", "films.example", resume.Destination{Host: "films.example", Port: 8000, Form: http1.Form{Kind: http1.OriginForm}}, ""},
		"no http":               {place(), "wlan0", "ftp://films.example/a", "films.example", resume.Destination{}, "not http"},
		"TLS":                   {tls, "wlan0", "/film", "files.example", resume.Destination{Host: "files.example", Port: 443}, ""},
		"TLS through a proxy":   {tls, "wwan0", "/film", "files.example", resume.Destination{Host: "10.0.0.1", Port: 3128, Tunnel: &resume.Tunnel{To: "files.example:443"}}, ""},
		"out of its own tunnel": {tunnelled, "wlan0", "/film", "", resume.Destination{Host: "films.example", Port: 8443}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			q := request(t, x.target, x.host)
			d, err := r.Destination(x.place, x.iface, q)
			if x.why != "" {
				if err == nil || !strings.Contains(err.Error(), x.why) {
					t.Errorf("%+v, %v", d, err)
				}
				if or := r.DestinationOr(x.place, x.iface, q); or.Interface != x.iface || or.Host == "" || or.Port != 80 {
					t.Errorf("%+v", or)
				}
				return
			}
			x.want.Interface = x.iface
			if err != nil || !d.Same(x.want) {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

func TestWhatIsTriedFirst(t *testing.T) {
	c := config.Default()
	c.Policy.Servers = []config.Server{{Host: "*.example", Prefer: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}
	r := reaches(c, interfaces{"wwan0": {Server: "203.0.113.9"}})
	near, hinted, far := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("192.0.2.1")
	for _, x := range []struct {
		iface, host string
		known       []netip.Addr
		want        netip.Addr
	}{
		{"wlan0", "files.example", []netip.Addr{far, near}, near},
		{"wlan0", "files.test", []netip.Addr{far, near}, far},
		{"wlan0", "files.example", []netip.Addr{far}, far},
		{"wwan0", "files.example", []netip.Addr{hinted, near}, near},
		{"wwan0", "files.test", []netip.Addr{far, hinted}, hinted},
	} {
		if got := r.Preferred(t.Context(), names{x.host: x.known}, x.iface, x.host, far); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
}

func TestWhatIsNotConnectedTo(t *testing.T) {
	r := reaches(config.Default(), nil)
	redirected := resume.Destination{Interface: "wwan0", Host: "films.example", From: netip.MustParseAddr("192.0.2.1")}
	if why := r.unlawful(place(), redirected, netip.MustParseAddr("10.0.0.5")).Error(); !strings.Contains(why, "private address 10.0.0.5") {
		t.Errorf("%q", why)
	}
	for name, d := range map[string]resume.Destination{
		"not redirected": {Interface: "wwan0", Host: "films.example"},
		"to itself":      {Interface: "wwan0", Host: "films.example", From: netip.MustParseAddr("10.0.0.5")},
	} {
		if why := r.unlawful(place(), d, netip.MustParseAddr("10.0.0.5")).Error(); why != "" {
			t.Errorf("%s: %q", name, why)
		}
	}
	for host, follows := range map[string]bool{"FILES.example.": true, "192.0.2.1": true, "[192.0.2.1]": true, "other.example": false, "192.0.2.9": false} {
		if got := r.MayFollow(place(), host, "files.example"); got != follows {
			t.Errorf("%s: %v", host, got)
		}
	}
}

// The address in use is tried even where no name server answers, but for that of the program's own proxy, or where one is gone through.
func TestTheAddressInUseIsKnown(t *testing.T) {
	p := place()
	p.Server = netip.MustParseAddrPort("192.0.2.8:80")
	both := []netip.Addr{p.Server.Addr(), p.Peer.Addr()}
	for name, x := range map[string]struct {
		place Place
		d     resume.Destination
		want  []netip.Addr
	}{
		"both":          {p, resume.Destination{Port: 80}, both},
		"another port":  {p, resume.Destination{Port: 81}, nil},
		"tried":         {p, resume.Destination{Port: 80, Avoid: []netip.AddrPort{p.Server}}, both[1:]},
		"a proxy":       {p, resume.Destination{Port: 80, Form: http1.Form{Kind: http1.AbsoluteForm}}, nil},
		"its own proxy": {Place{Server: p.Server, Peer: p.Peer, Tunnel: "a:443"}, resume.Destination{Port: 80}, nil},
	} {
		if got := x.place.inUse(x.d); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatCosts(t *testing.T) {
	r := reaches(config.Default(), interfaces{"wlan0": {}, "wwan0": {Metered: true}, "eth0": {Cost: 2}})
	for _, x := range []struct {
		iface, own     string
		metered, costs bool
	}{{"wlan0", "wwan0", false, false}, {"wwan0", "wlan0", true, true}, {"eth0", "wlan0", false, true}, {"wlan0", "eth0", false, false}, {"gone", "wlan0", false, false}} {
		if r.Metered(x.iface) != x.metered || r.Costs(x.iface, x.own) != x.costs {
			t.Errorf("%+v: %v %v", x, r.Metered(x.iface), r.Costs(x.iface, x.own))
		}
	}
}

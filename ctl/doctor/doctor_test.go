package doctor

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"midstream/core/config"
	"midstream/core/manager"
)

func aNetwork(name, kind, address string) manager.Interface {
	return manager.Interface{Name: name, Kind: kind, Up: true, Carrier: true, Addresses: []netip.Addr{netip.MustParseAddr(address)},
		Routes: []manager.Route{{}}, Resolvers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:53")}, Why: "not chosen"}
}

// Each thing that can stand in the way is found, weighed, and comes with the line to type.
func TestDoctorFindsWhatStandsInTheWay(t *testing.T) {
	for name, test := range map[string]struct {
		change              func(h *host)
		about, weight, says string
		do                  string
	}{
		"nothing":    {func(*host) {}, "networks", Fine, "between wlan0 and wwan0", ""},
		"one":        {func(h *host) { h.interfaces = h.interfaces[:1] }, "networks", Note, "only wlan0 leads out", "ip -brief link"},
		"none":       {func(h *host) { h.interfaces = nil }, "networks", Problem, "no interface leads", "ip route"},
		"no address": {func(h *host) { h.interfaces[1].Addresses = nil }, "wwan0", Problem, "no address", "sudo dhclient wwan0"},
		"no address, NetworkManager": {func(h *host) { h.interfaces[1].Addresses, h.nmcli = nil, true }, "wwan0", Problem, "no address",
			"nmcli device connect wwan0"},
		"no Wi-Fi": {func(h *host) { h.interfaces[0].Carrier = false }, "wlan0", Note, "joined no network", "nmcli device wifi connect"},
		"no route": {func(h *host) { h.ways["wwan0"] = wayOut{v4: syscall.ENETUNREACH} }, "wwan0", Problem, "no default route of IPv4",
			"sudo ip -4 route add default via GATEWAY dev wwan0 metric 900"},
		"no route, NetworkManager": {func(h *host) { h.ways["wwan0"], h.nmcli = wayOut{v4: syscall.ENETUNREACH}, true }, "wwan0", Problem, "no default route of IPv4",
			"ipv4.never-default no"},
		"no route, counted": {func(h *host) { h.ways["wwan0"] = wayOut{v4: syscall.ENETUNREACH} }, "networks", Note, "only wlan0 leads out", ""},
		"no route of IPv6": {func(h *host) {
			h.interfaces[1].Addresses = append(h.interfaces[1].Addresses, netip.MustParseAddr("fd77::1"))
			h.ways["wwan0"] = wayOut{v6: syscall.ENETUNREACH}
		}, "wwan0", Note, "no default route of IPv6", "ip -6 route add"},
		"strict": {func(h *host) { h.ways["wwan0"] = wayOut{strict: true, answered: "wlan0"} }, "wwan0", Problem, "answer over wlan0",
			"net.ipv4.conf.wwan0.rp_filter=2"},
		"strict, with a rule": {func(h *host) { h.ways["wwan0"] = wayOut{strict: true, answered: "wwan0"} }, "wwan0", Fine, "wwan, 10.0.1.2", ""},
		"captive":             {func(h *host) { h.interfaces[0].Captive = true }, "wlan0", Problem, "captive portal", "midstreamctl hint wlan0 captive=false"},
		"metered":             {func(h *host) { h.interfaces[1].Metered = true }, "wwan0", Note, "metered", "midstreamctl hint wwan0 metered=false"},
		"no resolvers": {func(h *host) { h.interfaces[1].Resolvers = nil }, "wwan0", Note, "name servers are not known",
			"[interfaces.wwan0]"},
		"a tunnel": {func(h *host) { h.plain = "wg0" }, "wg0", Note, "does not leave it", "leave_tunnel = true"},
		"a tunnel that may be left": {func(h *host) {
			h.plain = "wg0"
			h.config.Policy.LeaveTunnel = true
		}, "wg0", Note, "allows downloads to leave it", ""},
		"a rule": {func(h *host) { h.byRule = true }, "rules", Note, "a rule (ip rule)", "ip rule"},
		"never":  {func(h *host) { h.interfaces[1].Never = true }, "wwan0", Note, "says never", ""},
	} {
		h := host{config: config.Default(), ways: map[string]wayOut{}, plain: "wlan0", interfaces: []manager.Interface{
			aNetwork("wlan0", manager.KindWiFi, "10.0.0.2"), aNetwork("wwan0", manager.KindWWAN, "10.0.1.2"), aNetwork("wg0", manager.KindTunnel, "10.9.0.2"),
			{Name: "docker0", Kind: manager.KindOther, Up: true, Carrier: true}, {Name: "lo", Kind: manager.KindLoopback, Up: true, Carrier: true},
		}}
		test.change(&h)
		var f Findings
		h.networks(&f)
		at := slices.IndexFunc(f, func(one Finding) bool { return one.About == test.about && strings.Contains(one.Text, test.says) })
		if at < 0 || f[at].Weight != test.weight || !strings.Contains(strings.Join(f[at].Do, "\n"), test.do) {
			t.Errorf("%s: %+v", name, f)
		}
		if name == "nothing" && slices.ContainsFunc(f, func(one Finding) bool { return one.Weight != Fine }) {
			t.Errorf("of a host on which all is well: %+v", f)
		}
		for _, line := range strings.Split(string(f.Text(80)), "\n") {
			if n := utf8.RuneCountInString(line); n > 80 && !strings.Contains(line, "    ") {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

// What is said of programs without a look at them is what was found when they were tried.
func TestDoctorSaysOfProgramsWhatWasFound(t *testing.T) {
	text, err := os.ReadFile("../../docs/programs.md")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string][]string{} // what became of it: "y n n" and the like
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			continue
		}
		name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(cells[1])), " ")
		name = strings.TrimSuffix(name, ",")
		for _, cell := range cells[2:6] {
			if cell = strings.TrimSpace(cell); len(cell) >= 5 && (cell[0] == 'y' || cell[0] == 'n') {
				tried[name] = append(tried[name], cell[:5])
			}
		}
	}
	if len(tried) < 30 {
		t.Fatalf("%d programs", len(tried))
	}
	same := map[string]string{"firefox-esr": "firefox"}
	for name, says := range partly {
		if same[name] != "" {
			name = same[name]
		}
		found := tried[name]
		if len(found) > 0 && !slices.ContainsFunc(found, func(f string) bool { return f[2] == 'n' }) {
			t.Errorf("%s: %q, and yet all of it was moved", name, says)
		}
		if strings.Contains(says, "nothing of it") && slices.ContainsFunc(found, func(f string) bool { return f[2] == 'y' }) {
			t.Errorf("%s: %q, and yet some of it was moved", name, says)
		}
	}
}

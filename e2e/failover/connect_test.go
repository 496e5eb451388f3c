// Connections that have no way over the interface the kernel chooses: they are made over another, before the program is
// told, unless somebody has said otherwise.

package failover

import (
	"testing"

	"midstream/e2e/lab"
)

// common is an address that a server has in every network.
const common = "203.0.113.80"

// newAnycast raises two networks with that server.
func newAnycast(t *testing.T) *site {
	s := &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	for _, n := range s.Networks() {
		n.AddAddress(common)
		s.web[n.Name] = n.Nginx(s.root, lab.ServerOptions{Addresses: []string{common}})
	}
	return s
}

func (s *site) ip(args ...string) {
	s.t.Helper()
	if r := s.Command(append([]string{"ip"}, args...)...).Run(); r.Status != 0 {
		s.t.Fatalf("%v", r)
	}
}

const from = "http://" + common + "/film.mkv"

// connecting are programs that connect in different ways.
var connecting = []program{
	{"curl", []string{"curl", "-sS", "--connect-timeout", "8", "-o", "out", from}, nil},                                                                    // without blocking
	{"wget", []string{"wget", "-q", "-t", "1", "-O", "out", from}, nil},                                                                                    // blocking
	{"wget with a limit", []string{"wget", "-q", "-T", "8", "-t", "1", "-O", "out", from}, nil},                                                            // leaves connect by siglongjmp
	{"python", []string{"python3", "-c", `import urllib.request; open("out", "wb").write(urllib.request.urlopen("` + from + `", timeout=8).read())`}, nil}, // poll
}

func (s *site) arrives(p program, under bool) {
	s.t.Helper()
	d := s.download(under, p.args...)
	if r := d.Run(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
		s.t.Errorf("%s: %v", p.name, r)
	}
}

func TestConnectingWithoutCarrier(t *testing.T) {
	s := newAnycast(t)
	s.Network("wlan0").CarrierDown()
	for _, p := range connecting {
		s.arrives(p, true)
	}
	local := []string{"curl", "-sS", "--connect-timeout", "1", "-o", "out", "-w", "%{local_ip}", from}
	if r := s.download(true, local...).Run(); r.Stdout != s.Network("wwan0").Phone() {
		t.Errorf("%v", r)
	}
	// What the program itself has bound goes where it says.
	if r := s.download(true, append(local, "--interface", s.Network("wlan0").Phone())...).Run(); r.Status != 28 {
		t.Errorf("bound: %v", r)
	}
	// A host on the lost link itself is not looked for in other networks.
	near := []string{"curl", "-sS", "--connect-timeout", "1", "-o", "out", "http://" + s.Network("wlan0").Content() + "/film.mkv"}
	if r := s.download(true, near...).Run(); r.Status != 28 {
		t.Errorf("near: %v", r)
	}
	for _, forbids := range []string{
		"[failover]\nenabled = false\n",
		"never = true\n", // the laboratory's own text ends with the table of wwan0
		"[policy]\n[[policy.rules]]\nwhen = 'wwan0.metered'\navoid = \"wwan0\"\n",
	} {
		s.Configure(forbids)
		if r := s.download(true, local...).Run(); r.Status != 28 && r.Status != 7 {
			t.Errorf("%q: %v", forbids, r)
		}
	}
}

// Which interface leads there may be known only to whoever asks for that interface.
func TestConnectingWithoutARoute(t *testing.T) {
	s := newAnycast(t)
	wwan := s.Network("wwan0")
	s.ip("route", "add", "default", "via", wwan.Gateway(), "dev", "wwan0", "table", "100")
	s.ip("rule", "add", "oif", "wwan0", "lookup", "100")
	defer s.ip("rule", "delete", "oif", "wwan0", "lookup", "100")
	s.Network("wlan0").RemoveRoutes()
	wwan.RemoveRoutes()
	for _, p := range connecting {
		if r := s.download(false, p.args...).Run(); r.Status == 0 {
			t.Errorf("%s arrives by itself", p.name)
		}
		s.arrives(p, true)
	}
	// An administrator's refusal is respected, and told as it is.
	s.ip("route", "add", "unreachable", common+"/32", "table", "100")
	defer s.ip("route", "flush", "table", "100")
	const script = `import socket
for blocking in True, False:
    s = socket.socket()
    s.setblocking(blocking)
    print(s.connect_ex(("` + common + `", 80)), s.getsockname(), s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16))`
	lab.Compare(t, s.Command("python3", "-c", script).Run(), s.Midstream("python3", "-c", script).Run())
}

// The link is there, but the router is not: the kernel finds out after three seconds. Only a program that
// waits in connect can be helped then.
func TestConnectingWithoutARouter(t *testing.T) {
	s := newAnycast(t)
	wlan := s.Network("wlan0")
	if err := wlan.IP("addr del " + wlan.Gateway() + "/24 dev phone"); err != nil {
		t.Fatal(err)
	}
	s.ip("neighbour", "flush", "dev", "wlan0")
	s.arrives(connecting[1], true)
}

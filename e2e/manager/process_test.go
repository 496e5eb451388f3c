// The manager inside each process, where no daemon runs.

package manager

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestUseMovesDownloadsAndThoseStartedLater(t *testing.T) {
	s := newStage(t)
	a, b := s.download(), s.download()
	a.on("wlan0")
	b.on("wlan0")
	s.ctl("use", "wwan0")
	for _, d := range []*download{a, b} {
		if x := d.on("wwan0"); len(x.Migrations) != 1 || x.Migrations[0].Trigger != "use" {
			t.Errorf("%+v", x.Migrations)
		}
	}
	later := s.download()
	later.on("wwan0")
	if r := s.Ctl("use", "nowhere0").Run(); r.Status != 1 || !strings.Contains(r.Stderr, "wwan0") {
		t.Errorf("%v", r)
	}
	s.ctl("use", "auto")
	a.whole()
	b.whole()
	later.whole()
}

func TestUseForOneProcess(t *testing.T) {
	s := newStage(t)
	a, b := s.download(), s.download()
	a.on("wlan0")
	b.on("wlan0")
	s.ctl("use", "wwan0", "--pid", strconv.Itoa(a.Pid()))
	a.on("wwan0")
	if x := b.session(); x == nil || x.Interface != "wlan0" {
		t.Errorf("the other one: %+v", x)
	}
	a.stop()
	b.stop()
	if r := s.Ctl("use", "wwan0", "--pid", "999999").Run(); r.Status != 3 {
		t.Errorf("%v", r)
	}
}

func TestNewConnectionsAreBoundUnlessTheProgramDoes(t *testing.T) {
	s := newStage(t)
	for _, n := range s.Networks() {
		n.AddAddress("203.0.113.80")
		n.AddAddress("2001:db8::80")
		n.Nginx(s.root, lab.ServerOptions{Addresses: []string{"203.0.113.80", "2001:db8::80"}})
	}
	t.Run("IPv4", func(t *testing.T) {
		s.t = t
		s.boundConnections(t, "203.0.113.80", (*lab.Network).Phone, (*lab.Network).Content)
	})
	t.Run("IPv6", func(t *testing.T) {
		s.t = t
		six := func(n *lab.Network) string { return "[" + n.Content6() + "]" }
		s.boundConnections(t, "[2001:db8::80]", (*lab.Network).Phone6, six)
	})
}

// boundConnections looks where connections come from, to a server that there is in every network, at that address.
func (s *stage) boundConnections(t *testing.T, common string, phone, content func(*lab.Network) string) {
	peer := func(extra ...string) string {
		t.Helper()
		args := append([]string{"curl", "-sS", "-o", "/dev/null", "-r", "0-9", "-w", "%{local_ip}", "http://" + common + "/film"}, extra...)
		r := s.Midstream(args...).Run()
		if r.Status != 0 {
			t.Fatalf("%v", r)
		}
		return r.Stdout
	}
	one, two := phone(s.Network("wlan0")), phone(s.Network("wwan0"))
	if got := peer(); got != one {
		t.Errorf("by default from %s", got)
	}
	s.ctl("use", "wwan0")
	if got := peer(); got != two {
		t.Errorf("using wwan0 from %s", got)
	}
	if got := peer("--interface", one); got != one {
		t.Errorf("bound by the program to %s, from %s", one, got)
	}
	// A server on a network of the host's own is not looked for elsewhere.
	r := s.Midstream("curl", "-sS", "-o", "/dev/null", "-r", "0-9", "-w", "%{local_ip}", "http://"+content(s.Network("wlan0"))+"/film").Run()
	if r.Status != 0 || r.Stdout != one {
		t.Errorf("%v", r)
	}
	s.Network("wwan0").CarrierDown()
	s.Await("the kernel to tell of it", limit, func() bool { return !s.interfaces()["wwan0"].Carrier })
	if got := peer(); got != one {
		t.Errorf("without carrier from %s", got)
	}
	s.Network("wwan0").CarrierUp()
	s.ctl("use", "auto")
	if got := peer(); got != one {
		t.Errorf("in the end from %s", got)
	}
}

func TestHintOfCongestionMovesByRule(t *testing.T) {
	s := newStage(t)
	s.Configure("[policy]\ndwell = \"1s\"\nprefer = [\"wlan0\"]\n[[policy.rules]]\nwhen = 'wlan0.congestion > 0.5'\nuse = \"wwan0\"\n")
	d := s.download()
	d.on("wlan0")
	w := d.watch()
	s.ctl("hint", "wlan0", "congestion=0.6", "--expire", "3s")
	if x := d.on("wwan0"); x.Migrations[0].Trigger != "rule" {
		t.Errorf("%+v", x.Migrations)
	}
	if i := s.interfaces()["wlan0"]; i.Congestion != 0.6 || i.Rank != 2 || !strings.Contains(i.Why, "rule 1") {
		t.Errorf("%+v", i)
	}
	w.saw("trigger", "rule 1: wlan0.congestion > 0.5")
	d.on("wlan0") // once the hint has expired
	d.whole()
}

func TestWhenFiresOnce(t *testing.T) {
	s := newStage(t)
	d := s.download()
	d.on("wlan0")
	s.ctl("when", "wwan0.provider == \"telco\"", "use", "wwan0", "--once")
	if !strings.Contains(s.ctl("when"), "telco") {
		t.Error("not listed")
	}
	w := d.watch()
	s.ctl("hint", "wwan0", "provider=telco")
	d.on("wwan0")
	w.saw("trigger", "the condition came true")
	s.Await("the trigger to be forgotten", limit, func() bool { return s.ctl("when") == "no triggers" })
	s.ctl("use", "auto")
	s.ctl("hint", "wwan0", "provider=")
	s.ctl("use", "wlan0")
	d.on("wlan0")
	s.ctl("hint", "wwan0", "provider=telco")
	time.Sleep(1500 * time.Millisecond) // longer than the manager lets pass between two looks
	if x := d.session(); x == nil || x.Interface != "wlan0" {
		t.Errorf("fired again: %+v", x)
	}
	if r := s.Ctl("when", "wlan0.nonsense > 1", "use", "wwan0").Run(); r.Status != 2 || !strings.Contains(r.Stderr, `no "nonsense"`) {
		t.Errorf("%v", r)
	}
	d.whole()
}

func TestMeteredInterfaceIsAvoidedForLongDownloads(t *testing.T) {
	s := newStage(t)
	// The laboratory's own text ends with the table of the last network.
	s.Configure("metered = true\n[[policy.rules]]\nwhen = 'wwan0.metered && session.length > 10_000_000'\navoid = \"wwan0\"\n")
	d := s.download()
	d.on("wlan0")
	if i := s.interfaces()["wwan0"]; !i.Metered {
		t.Errorf("%+v", i)
	}
	s.ctl("migrate", "--to", "wwan0")
	x := d.on("wlan0")
	s.Await("to be moved off again", limit, func() bool { x = *d.session(); return len(x.Migrations) == 2 && x.Interface == "wlan0" })
	if x.Migrations[1].Trigger != "avoid" {
		t.Errorf("%+v", x.Migrations)
	}
	d.whole()
}

func TestPreferredInterfaceIsUsedAgainAfterDwellAndAFlappingOneIsNot(t *testing.T) {
	s := newStage(t)
	s.Configure("[policy]\nprefer = [\"wwan0\", \"wlan0\"]\ndwell = \"3s\"\n")
	wwan := s.Network("wwan0")
	wwan.CarrierDown()
	d := s.download()
	d.on("wlan0")
	w := d.watch()
	for range 2 {
		wwan.CarrierUp()
		w.saw("declined", "has not been usable for")
		wwan.CarrierDown()
	}
	begun := time.Now()
	wwan.CarrierUp()
	x := d.on("wwan0")
	if after := time.Since(begun); after < 3*time.Second || x.Migrations[0].Trigger != "better" {
		t.Errorf("after %v: %+v", after, x.Migrations)
	}
	d.whole()
}

func TestSessionsCanBeExcluded(t *testing.T) {
	for _, test := range []struct{ criteria, why string }{
		{"[[sessions.exclude]]\ncommand = \"cu*\"\n", `excludes it: [[sessions.exclude]] command = "cu*"`},
		{"[[sessions.exclude]]\nhost = \"*.example\"\n", "excludes it"},
		{"[[sessions.exclude]]\nport = 80\n", "excludes it"},
		{"[[sessions.exclude]]\nsmaller = \"1GB\"\n", "excludes it"},
		{"[[sessions.include]]\ncommand = \"wget*\"\n", "include"},
		{"[[sessions.exclude]]\nhost = \"*.org\"\n[[sessions.exclude]]\nport = 8080\n[[sessions.include]]\ncommand = \"cu*\"\n", ""},
	} {
		t.Run(test.criteria, func(t *testing.T) {
			s := newStage(t)
			s.Configure(test.criteria)
			d := s.download()
			d.on("wlan0")
			if x := d.session(); x.Movable != (test.why == "") || !strings.Contains(x.Why, test.why) {
				t.Errorf("%+v", x)
			}
			d.stop()
		})
	}
}

func TestInterfacesShowsWhatIsKnown(t *testing.T) {
	s := newStage(t)
	d := s.download()
	d.on("wlan0")
	s.Await("a measurement", limit, func() bool { return s.interfaces()["wlan0"].Throughput > 0 })
	all := s.interfaces()
	i := all["wlan0"]
	if i.Kind != "ethernet" || !i.Carrier || len(i.Addresses) != 2 || len(i.Routes) != 2 || i.RTT <= 0 ||
		len(i.Resolvers) != 2 || i.Rank != 1 || !strings.HasPrefix(i.Why, "chosen: ") {
		t.Errorf("%+v", i)
	}
	if i.Throughput < rate*8/2 || i.Throughput > rate*8*2 {
		t.Errorf("throughput %v", i.Throughput)
	}
	if all["lo"].Rank != 0 || all["lo"].Kind != "loopback" {
		t.Errorf("%+v", all["lo"])
	}
	if text := s.ctl("interfaces"); !strings.Contains(text, "wlan0: chosen: ") || strings.Contains(text, "\x1b") {
		t.Error(text)
	}
	d.stop()
}

// A download sends nothing that could be timed: its own queue is seen in what arrives.
func TestRoundTripTimeOfADownload(t *testing.T) {
	s := &stage{Lab: lab.New(t, lab.Net("wlan0", lab.Link{Rate: 20e6, Delay: 10 * time.Millisecond, Queue: 250 * time.Millisecond})), t: t, root: t.TempDir()}
	s.sum = lab.Content(t, s.root, "film", size, 7)
	n := s.Network("wlan0")
	n.DNS(map[string][]string{host: {n.Content(), n.Content6()}})
	n.Nginx(s.root, lab.ServerOptions{})
	// It fills the queue, which BBR avoids.
	if err := n.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0o644)
	}); err != nil {
		t.Skip(err)
	}
	d := s.download()
	d.on("wlan0")
	s.Await("the queue in the RTT", limit, func() bool { return s.interfaces()["wlan0"].RTT > 100 })
	d.stop()
}

func TestPreferredServerIsTriedFirst(t *testing.T) {
	s := newStage(t)
	s.Configure("[[policy.servers]]\nhost = \"*.example\"\nprefer = [\"" + s.Network("wwan0").Content() + "\"]\n")
	d := s.download()
	d.on("wlan0")
	s.ctl("migrate", "--to", "wwan0")
	if x := d.on("wwan0"); x.Server != s.Network("wwan0").Content()+":80" {
		t.Errorf("%+v", x)
	}
	d.stop()
}

func TestHostWithOneInterfaceAndNoFailoverIsNotTracked(t *testing.T) {
	s := newStage(t, "wlan0")
	s.Configure("[failover]\nenabled = false\n")
	d := s.download()
	s.Await("the file to grow", limit, func() bool {
		info, err := os.Stat(d.file)
		return err == nil && info.Size() > 3<<20
	})
	if x := d.session(); x != nil {
		t.Errorf("%+v", x)
	}
	d.whole()
}

// A preference for a server is followed by downloads that run, without a change of the interface.
func TestPreferenceForAServerMovesDownloads(t *testing.T) {
	for _, way := range []string{"hint", "policy"} {
		t.Run(way, func(t *testing.T) {
			s := &stage{Lab: lab.New(t, lab.Net("wlan0", lab.Link{})), t: t, root: t.TempDir()}
			s.sum = lab.Content(t, s.root, "film", size, 7)
			n := s.Network("wlan0")
			others := []string{n.Address(82), n.Address(83)}
			for _, a := range others {
				n.AddAddress(a)
				n.Paced(s.root, lab.ServerOptions{Addresses: []string{a}, LimitRate: rate})
			}
			n.DNS(map[string][]string{host: others})
			if way == "policy" {
				s.Configure("[[policy.servers]]\nhost = \"" + host + "\"\nprefer = [\"" + others[0] + "/32\"]\n")
			}
			d := s.Midstream("curl", "-sS", "-o", "/dev/null", "--resolve", host+":80:"+others[1], "http://"+host+"/film")
			d.Start()
			x := &download{Program: d, s: s}
			if way == "hint" {
				if on := x.on("wlan0"); on.Server != others[1]+":80" {
					t.Fatalf("%+v", on)
				}
				s.ctl("hint", "wlan0", "server="+others[0])
			}
			s.Await("the preferred server", limit, func() bool {
				on := x.session()
				return on != nil && on.Server == others[0]+":80" && on.Interface == "wlan0" && len(on.Migrations) == 1 &&
					on.Migrations[0].Trigger == "server"
			})
			x.stop()
		})
	}
}

// A network that answers with a login page is known as such until it answers otherwise.
func TestCaptivePortal(t *testing.T) {
	s := &stage{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir()}
	s.sum = lab.Content(t, s.root, "film", size, 7)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
	}
	s.Network("wlan0").Paced(s.root, lab.ServerOptions{LimitRate: rate})
	portal := s.Network("wwan0").Nginx(s.root, lab.ServerOptions{
		Extra: "location = /film { default_type text/html; return 200 '<html>Welcome to the hotel</html>'; }"})
	d := s.download()
	d.on("wlan0")
	if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status == 0 || !strings.Contains(r.Stdout+r.Stderr, "login page") {
		t.Errorf("%v", r)
	}
	if i := s.interfaces()["wwan0"]; !i.Captive || i.Rank != 2 {
		t.Errorf("%+v", i)
	}
	portal.Kill()
	s.Network("wwan0").Paced(s.root, lab.ServerOptions{LimitRate: rate})
	s.ctl("migrate", "--to", "wwan0")
	d.on("wwan0")
	if i := s.interfaces()["wwan0"]; i.Captive {
		t.Errorf("%+v", i)
	}
	d.stop()
}

// What a person has asked for by migrate is undone by no preference; by another word of the person's it is.
func TestAPersonsMoveHolds(t *testing.T) {
	s := newStage(t)
	s.Configure("[policy]\ndwell = \"0s\"\nprefer = [\"wlan0\"]\n")
	d := s.download()
	at := d.on("wlan0").Received
	s.ctl("migrate", "--to", "wwan0")
	s.Await("the manager to have looked several times", limit, func() bool {
		x := d.session()
		return x != nil && x.Received > at+3*rate
	})
	if x := d.on("wwan0"); len(x.Migrations) != 1 {
		t.Errorf("%+v", x.Migrations)
	}
	s.ctl("use", "auto")
	if x := d.on("wlan0"); x.Migrations[1].Trigger != "better" {
		t.Errorf("%+v", x.Migrations)
	}
	s.ctl("migrate", "--to", "wwan0")
	s.Network("wwan0").CarrierDown()
	d.on("wlan0")
	d.whole()
}

// What a person holds stays where it is, when another network is better for the others.
func TestAHeldDownloadStays(t *testing.T) {
	s := newStage(t)
	s.Configure("[policy]\ndwell = \"0s\"\n")
	held, other := s.download(), s.download()
	id := held.on("wlan0").ID
	other.on("wlan0")
	s.ctl("hold", id)
	s.ctl("hint", "wwan0", "preferred=true")
	other.on("wwan0")
	if x := held.session(); x == nil || x.Interface != "wlan0" {
		t.Errorf("%+v", x)
	}
	s.ctl("release", id)
	held.on("wwan0")
	held.stop()
	other.stop()
}

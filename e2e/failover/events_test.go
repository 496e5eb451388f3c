// Everything that can happen to a network or a server during a download, to programs as people use them.

package failover

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// program is a way of downloading URL into the file "out" of FOLDER.
type program struct {
	name  string
	args  []string
	clean lab.Normaliser // takes out what differs from run to run
}

func without(expression string) lab.Normaliser {
	pattern := regexp.MustCompile(expression)
	return func(output string) string { return pattern.ReplaceAllString(output, "") }
}

var (
	curl   = program{"curl", []string{"curl", "-sS", "--happy-eyeballs-timeout-ms", "30000", "-w", "%{http_code} %{size_download} %{num_connects} %{remote_ip}", "-o", "out", "URL"}, nil}
	wget   = program{"wget", []string{"wget", "-nv", "-O", "out", "URL"}, without(`(?m)^[0-9-]* [0-9:]* `)}
	python = program{"python urllib", []string{"python3", "-c", `import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=30) as r, open("out", "wb") as f:
    while b := r.read(70000): f.write(b)
    print(r.status, r.headers["Content-Length"], r.headers["ETag"])`, "URL"}, nil}
	aria2  = program{"aria2", []string{"aria2c", "--no-conf", "-q", "--file-allocation=none", "-o", "out", "URL"}, nil}
	ffmpeg = program{"ffmpeg", []string{"ffmpeg", "-nostdin", "-v", "error", "-f", "s16le", "-ar", "48000", "-ac", "2", "-i", "URL", "-f", "s16le", "out"}, nil}
	apt    = program{"apt", []string{"/usr/lib/apt/apt-helper", "-qq", "-o", "Dir::Cache=FOLDER", "-o", "Dir::State=FOLDER", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "download-file", "URL", "FOLDER/out"}, nil}
)

// The other family: without this, they all use IPv6.
var curl4, wget4 = curl.over4(), wget.over4()

func (p program) over4() program {
	p.name += " over IPv4"
	p.args = append([]string{p.args[0], "-4"}, p.args[1:]...)
	return p
}

// event happens to the first network, and ends with it.
type event struct {
	name   string
	server serve
	kind   string // of the server
	strike func(s *site, first *lab.Network)
	by     []program
}

var events = []event{
	{"the server is killed", nginx, "nginx", func(s *site, n *lab.Network) { s.web[n.Name].Kill() }, []program{curl4, curl, wget, python, aria2, ffmpeg, apt}},
	{"the connection is reset", apache, "apache", func(s *site, n *lab.Network) { n.ResetConnections() }, []program{curl4, curl, wget, python, aria2, ffmpeg, apt}},
	{"the server freezes", nginx, "nginx", func(s *site, n *lab.Network) { s.web[n.Name].Freeze() }, []program{curl4, curl, aria2}},
	{"the path drops everything", paced, "paced", func(s *site, n *lab.Network) { n.Drop(lab.Both) }, []program{curl4, curl, wget, python, aria2, ffmpeg, apt}},
	{"the path drops what comes", paced, "paced", func(s *site, n *lab.Network) { n.Drop(lab.Down) }, []program{curl4, curl, ffmpeg}},
	{"the path drops what goes", paced, "paced", func(s *site, n *lab.Network) { n.Drop(lab.Up) }, []program{wget4, wget, aria2}},
	{"the carrier is lost", paced, "paced", func(s *site, n *lab.Network) { n.CarrierDown() }, []program{curl4, curl, wget, python, aria2, ffmpeg, apt}},
	{"the addresses are removed", paced, "paced", func(s *site, n *lab.Network) { n.RemoveAddresses() }, []program{curl4, curl, python}},
	{"the interface is deleted", paced, "paced", func(s *site, n *lab.Network) { n.Unplug() }, []program{wget4, wget, aria2}},
}

// All programs of an event are struck by it at once.
func TestProgramsDoNotNotice(t *testing.T) {
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			s := newSite(t, e.server, "wlan0", "wwan0")
			s.strike(e.by, e.kind, func() { e.strike(s, s.Network("wlan0")) })
		})
	}
}

// Node starts more slowly than the others, and takes a short read for the last one where it has been told of the end beside it.
func TestNodeDoesNotNotice(t *testing.T) {
	by := []program{
		{"node http", []string{"node", "-e", `require("http").get(process.argv[1], r => r.pipe(require("fs").createWriteStream("out")))`, "URL"}, nil},
		{"node http by io_uring", []string{"env", "UV_USE_IO_URING=1", "node", "-e", `require("http").get(process.argv[1], r => r.pipe(require("fs").createWriteStream("out")))`, "URL"}, nil},
		{"node fetch", []string{"node", "-e", `fetch(process.argv[1]).then(r => r.arrayBuffer()).then(b => require("fs").writeFileSync("out", Buffer.from(b)))`, "URL"}, nil},
	}
	for _, e := range events[:2] {
		t.Run(e.name, func(t *testing.T) {
			s := newSite(t, e.server, "wlan0", "wwan0")
			s.strike(by, e.kind, func() { e.strike(s, s.Network("wlan0")) })
		})
	}
}

// strike runs the programs, undisturbed and native, and then under Midstream with something happening on their way. What
// is seen of them has to be the same.
func (s *site) strike(by []program, server string, happen func()) {
	s.t.Helper()
	native := s.undisturbed(by, server)
	var all []*download
	for _, p := range by {
		d := s.download(true, p.args...)
		d.Start()
		all = append(all, d)
	}
	// On a busy machine the first may be done before the last has begun: it waits.
	under, stopped := map[int]bool{}, map[int]bool{}
	s.Await("a part of every film", lab.Patience, func() bool {
		for i, d := range all {
			select {
			case <-d.Ended():
				s.t.Fatalf("%s ended before it could be disturbed: %v", by[i].name, d.Wait())
			default:
			}
		}
		for pid, received := range s.receivedBy(stopped) {
			if received > size/8 {
				under[pid] = true
			}
			if received > size/2 && len(under) < len(by) {
				stopped[pid] = syscall.Kill(pid, syscall.SIGSTOP) == nil
			}
		}
		return len(under) >= len(by)
	})
	for pid := range stopped {
		syscall.Kill(pid, syscall.SIGCONT)
	}
	happen()
	for i, d := range all {
		d.named(by[i].name).intact(native[i], by[i].clean)
	}
}

// receivedBy is how many octets each process has been handed, but for those that are stopped, and could not answer.
func (s *site) receivedBy(stopped map[int]bool) map[int]int64 {
	all := map[int]int64{}
	sockets, _ := filepath.Glob(filepath.Join(s.RuntimeDir(), "*.sock"))
	for _, path := range sockets {
		pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".sock"))
		if err != nil || stopped[pid] {
			continue
		}
		c, err := s.ControlSocket(path)
		if err != nil {
			continue // it has ended
		}
		sessions, _ := c.Sessions()
		for _, one := range sessions {
			all[pid] += one.Received
		}
		c.Close()
	}
	return all
}

// What happens to other networks, and what changes in its own without harm, is nothing to a download that has been moved.
func TestAMovedDownloadStaysWhereItIs(t *testing.T) {
	s := newSite(t, paced, "wlan0", "wwan0", "usb0")
	native := s.native(curl, "paced")
	d := s.download(true, curl.args...)
	d.Start()
	d.halfway()
	s.Network("wlan0").Unplug()
	s.Await("to be moved", lab.Patience, func() bool { return len(s.migrations()) > 0 })
	s.Network("usb0").RemoveAddresses()
	s.ip("addr", "add", "192.0.2.9/32", "dev", "wwan0")
	s.ip("addr", "delete", "192.0.2.9/32", "dev", "wwan0")
	s.Await("most of the film", lab.Patience, func() bool { return s.received() > size*3/4 })
	if all := s.migrations(); len(all) != 1 || all[0].To.Interface != "wwan0" {
		t.Errorf("%+v", all)
	}
	d.intact(native, nil)
}

// Nothing is on the link that the server is on but a route: when it goes, the connection is dead though carrier and
// address are there.
func TestARouteIsRemoved(t *testing.T) {
	const far, far6 = "203.0.113.80", "2001:db8::80"
	s := &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	for _, n := range s.Networks() {
		n.AddAddress(far)
		n.AddAddress(far6)
		n.DNS(map[string][]string{host: {far, far6}})
		s.web[n.Name] = n.Paced(s.root, lab.ServerOptions{Addresses: []string{far, far6}, LimitRate: pace})
	}
	native := s.download(false, curl.args...).Run()
	d := s.download(true, curl.args...)
	d.Start()
	d.halfway()
	s.Network("wlan0").RemoveRoutes()
	d.intact(native, nil)
}

// A host with one interface gains as well: the server comes back.
func TestTheOnlyServerIsRestarted(t *testing.T) {
	s := newSite(t, nginx, "eth0")
	s.strike([]program{curl, wget, python, aria2}, "nginx", func() {
		s.web["eth0"].Kill()
		time.Sleep(time.Second) // the server is away for so long
		s.web["eth0"].Restart()
	})
}

// A tunnel: no network at all, then one of them.
func TestAllNetworksAreGoneForAWhile(t *testing.T) {
	s := newSite(t, paced, "wlan0", "wwan0")
	s.strike([]program{curl, wget, python, aria2, ffmpeg}, "paced", func() {
		s.Network("wwan0").CarrierDown()
		s.Network("wlan0").RemoveAddresses()
		time.Sleep(2 * time.Second)
		s.Network("wwan0").CarrierUp()
	})
}

// If nothing helps, the program sees the original bytes, then the original error.
func TestNothingHelps(t *testing.T) {
	for _, test := range []struct {
		name   string
		strike func(s *site)
	}{
		{"FIN", func(s *site) { s.web["eth0"].Kill() }},
		{"RST", func(s *site) {
			s.web["eth0"].Freeze()
			s.Network("eth0").ResetConnections()
			s.web["eth0"].Kill()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, nginx, "eth0")
			s.Configure("[failover]\npatience = \"1s\"\n")
			// What is said of the octets received differs from run to run.
			count := without(`[0-9]+ bytes remaining|[0-9]+ out of [0-9]+|[0-9]{6,}`)
			var ends []lab.Result
			for _, under := range []bool{false, true} {
				d := s.download(under, "curl", "-sS", "-o", "out", "URL")
				d.Start()
				if under {
					d.halfway()
				} else {
					s.Await("the download to run", lab.Patience, func() bool { return fileSize(d.out()) > size/3 })
				}
				test.strike(s)
				ends = append(ends, d.Wait())
				if got := fileSize(d.out()); got < size/3 || got >= size {
					t.Errorf("it got %d octets", got)
				}
				s.web["eth0"].Restart()
			}
			if ends[0].Status == 0 {
				t.Fatalf("the native run was not disturbed")
			}
			lab.Compare(t, ends[0], ends[1], count)
		})
	}
}

// tries are the candidates that the only program has tried to connect to so far, in that order.
func (s *site) tries() (all []string) {
	s.t.Helper()
	text, err := os.ReadFile(s.LogFile())
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var l struct {
			Message, Over string
			Other         bool
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Message == "tries to connect" {
			all = append(all, l.Over+map[bool]string{true: ", another server"}[l.Other])
		}
	}
	return all
}

// The candidates in their order, where no connection stands by: another server of the name in the same network, then the
// networks as the manager ranks them. The first that answers is taken, and each is asked 3 ms after the one before: how many
// are asked depends on how busy the machine is.
func TestTheOrderOfCandidates(t *testing.T) {
	s := &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}), lab.Net("usb0", lab.Link{})), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.Configure("[policy]\nprefer = [\"wlan0\", \"usb0\", \"wwan0\"]\n[failover]\nstandby = \"never\"\n")
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	servers := map[string]*lab.Server{} // of each network, two
	for _, n := range s.Networks() {
		n.AddAddress(n.Address(82))
		n.DNS(map[string][]string{host: {n.Content(), n.Address(82)}})
		for _, a := range []string{n.Content(), n.Address(82)} {
			servers[a] = n.Paced(s.root, lab.ServerOptions{Addresses: []string{a}, LimitRate: pace / 2})
		}
	}
	native := s.download(false, curl.args...).Run()
	d := s.download(true, curl.args...)
	d.Start()
	d.halfway()
	c := s.Control(d.Pid(), lab.Patience)
	now := func() lab.Session {
		t.Helper()
		all, err := c.Sessions()
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		return all[0]
	}
	// struck has something happen, and looks at what is tried then.
	struck := func(happen func(lab.Session), order func(own string) []string) {
		t.Helper()
		before, from := len(s.tries()), now()
		happen(from)
		s.Await("to be moved", lab.Patience, func() bool { return len(now().Migrations) > len(from.Migrations) })
		m, tried, want := now().Migrations[len(from.Migrations)], s.tries()[before:], order(from.Interface)
		first := tried[:min(len(tried), len(want))]
		if !slices.Equal(first, want[:len(first)]) || m.To.Server == from.Server ||
			!slices.ContainsFunc(tried, func(one string) bool { return strings.HasPrefix(one, m.To.Interface) }) {
			t.Errorf("%+v, having tried %q; the order is %q", m, tried, want)
		}
	}
	others := func(own string) []string {
		return slices.DeleteFunc([]string{"wlan0", "usb0", "wwan0"}, func(name string) bool { return name == own })
	}
	struck(func(at lab.Session) { servers[strings.TrimSuffix(at.Server, ":80")].Kill() }, func(own string) []string {
		return append(append([]string{own + ", another server"}, others(own)...), own)
	})
	struck(func(at lab.Session) { s.Network(at.Interface).CarrierDown() }, others)
	d.intact(native, without(` [0-9.]+$`))
}

// What policy forbids is not used in need either, unless it says so.
func TestAForbiddenNetworkInNeed(t *testing.T) {
	for _, test := range []struct {
		name, text string
		moves      bool
	}{
		{"never", "never = true\n", false},
		{"avoided", "metered = true\n[policy]\n[[policy.rules]]\nwhen = 'wwan0.metered'\navoid = \"wwan0\"\n", false},
		{"in need", "never = true\n[policy]\nin_need = true\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, paced, "wlan0", "wwan0")
			s.Configure(test.text) // the laboratory's own text ends with the table of wwan0
			native := s.native(curl, "paced")
			d := s.download(true, curl.args...)
			d.Start()
			d.halfway()
			s.Network("wlan0").CarrierDown()
			if test.moves {
				s.Await("to be moved", lab.Patience, func() bool { return len(s.migrations()) == 1 })
			} else {
				time.Sleep(time.Second) // many times as long as a recovery takes
				if all := s.migrations(); len(all) > 0 {
					t.Errorf("%+v", all)
				}
				s.Network("wlan0").CarrierUp()
			}
			d.intact(native, nil)
		})
	}
}

// Several networks feed one download together: real programs, servers of different make.
package aggregate

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const host = "download.example"

// mostRequests are as many as blocks of the least length would be, for 9 MB, were half of all octets fetched in those.
const mostRequests = 150

// raise makes a laboratory with those networks of 48 Mbit/s, each with a server of another make and the same content.
func raise(t *testing.T, size int64, networks ...string) (l *lab.Lab, sum string, servers []*lab.Server) {
	t.Helper()
	var options []lab.Option
	for _, name := range networks {
		options = append(options, lab.Net(name, lab.Link{Rate: 48e6, Delay: 5 * time.Millisecond}))
	}
	l = lab.New(t, options...)
	root := t.TempDir()
	sum = lab.Content(t, root, "file.bin", size, 5)
	for i, n := range l.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		switch i {
		case 0:
			servers = append(servers, n.Nginx(root, lab.ServerOptions{}))
		case 1:
			servers = append(servers, n.Apache(root, lab.ServerOptions{}))
		default:
			servers = append(servers, n.Lighttpd(root, lab.ServerOptions{Extra: `mimetype.assign = ("" => "application/octet-stream")` + "\n"}))
		}
	}
	return l, sum, servers
}

func sumOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// under prepares a program that all networks are to feed together.
func under(t *testing.T, l *lab.Lab, argv ...string) *lab.Program {
	t.Helper()
	p := l.Midstream(argv...)
	p.Args = append([]string{p.Args[0], "--aggregate", "--"}, argv...)
	p.Dir = t.TempDir()
	return p
}

// fetch asks for the end of the connection with each request, as many programs do, and reads up to it.
const fetch = `import sys, urllib.request, http.client
r = urllib.request.urlopen(sys.argv[1])
with open("got", "wb") as f:
    while octets := r.fp.read1(1 << 16): f.write(octets)
`

func TestNetworksFeedOneDownload(t *testing.T) {
	const size = 9 << 20
	for _, c := range []struct {
		networks []string
		argv     []string
	}{
		{[]string{"wlan0", "wwan0"}, []string{"curl", "-sS", "-o", "got", "http://" + host + "/file.bin"}},
		{[]string{"wlan0", "wwan0"}, []string{"python3", "-c", fetch, "http://" + host + "/file.bin"}},
		{[]string{"wlan0", "wwan0", "eth0"}, []string{"aria2c", "-q", "-x1", "-s1", "-o", "got", "http://" + host + "/file.bin"}},
	} {
		t.Run(c.argv[0], func(t *testing.T) {
			l, sum, servers := raise(t, size, c.networks...)
			p := under(t, l, c.argv...)
			if r := p.Run(); r.Status != 0 || r.Stderr != "" {
				t.Fatal(r)
			}
			if got := sumOf(t, filepath.Join(p.Dir, "got")); got != sum {
				t.Error("it has received other octets")
			}
			for _, n := range l.Networks() {
				if got := n.Counters().Received; got < 700<<10 {
					t.Errorf("%s brought %d octets", n.Name, got)
				}
			}
			// By itself the program makes one request. Here it is that one, some six a second of each network, and those that prove servers.
			l.Await("the servers to have written down the program's own request", lab.Patience, func() bool { return len(servers[0].Requests()) > 0 })
			requests := 0
			for _, s := range servers {
				requests += len(s.Requests())
			}
			if t.Logf("%d requests", requests); requests > mostRequests {
				t.Errorf("%d requests", requests)
			}
			if t.Failed() {
				t.Log(strings.Join(c.argv, " "))
			}
		})
	}
}

// While one network lives, the loss of another is nothing that the program is told, or that starts a recovery.
func TestNetworksAreLostAmidTheDownload(t *testing.T) {
	for _, lost := range []string{"wlan0", "wwan0"} {
		t.Run(lost, func(t *testing.T) {
			l, sum, _ := raise(t, 12<<20, "wlan0", "wwan0")
			n := l.Network(lost)
			p := under(t, l, "curl", "-sS", "-o", "got", "http://"+host+"/file.bin").Start()
			l.Await("both networks to feed it", lab.Patience, func() bool {
				return l.Network("wlan0").Counters().Received > 2<<20 && l.Network("wwan0").Counters().Received > 1<<20
			})
			n.Drop(lab.Both)
			if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
				t.Fatal(r)
			}
			if got := sumOf(t, filepath.Join(p.Dir, "got")); got != sum {
				t.Error("it has received other octets")
			}
		})
	}
}

// A person lets several networks feed a download that runs, sees what each brings, and has one feed it again.
func TestAPersonSaysSo(t *testing.T) {
	l, sum, _ := raise(t, 20<<20, "wlan0", "wwan0")
	second := func() int64 { return l.Network("wwan0").Counters().Received }
	p := l.Midstream("curl", "-sS", "-o", "got", "http://"+host+"/file.bin")
	p.Dir = t.TempDir()
	p.Start()
	l.Await("the download to run", lab.Patience, func() bool { return l.Network("wlan0").Counters().Received > 1<<20 })
	if n := second(); n > 100<<10 {
		t.Errorf("the second network has carried %d octets before anybody has asked for it", n)
	}
	if r := l.Ctl("aggregate", "on").Run(); r.Status != 0 || !strings.HasPrefix(r.Stdout, "fed by several networks from now on: ") {
		t.Error(r)
	}
	l.Await("the second network to feed it", lab.Patience, func() bool { return second() > 1<<20 })
	if r := l.Ctl("sessions").Run(); !strings.Contains(r.Stdout, " is fed over wlan0 from 10.77.1.80:80: ") || !strings.Contains(r.Stdout, " is fed over wwan0 from 10.77.2.80:80: ") {
		t.Error(r)
	}
	if r := l.Ctl("aggregate", "off").Run(); r.Status != 0 || !strings.HasPrefix(r.Stdout, "fed by one network from now on: ") {
		t.Error(r)
	}
	if r := l.Ctl("sessions").Run(); strings.Contains(r.Stdout, " is fed over ") {
		t.Error(r)
	}
	if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
		t.Fatal(r)
	}
	if got := sumOf(t, filepath.Join(p.Dir, "got")); got != sum {
		t.Error("it has received other octets")
	}
	if r := l.Ctl("aggregate", "perhaps").Run(); r.Status != 2 {
		t.Error(r)
	}
}

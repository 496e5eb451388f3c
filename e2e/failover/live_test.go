// What is no failure: pauses of congestion, of slow servers and of programs that take their time. And what the user
// has to say in it.

package failover

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// migrations are those that the sessions of a process have behind them, while it runs.
func (s *site) migrations() (all []lab.Migration) {
	for _, one := range s.sessions() {
		all = append(all, one.Migrations...)
	}
	return all
}

// staysUntouched runs a download under Midstream to its end, and fails if it was moved.
func (s *site) staysUntouched(args ...string) {
	s.t.Helper()
	d := s.download(true, args...)
	d.Start()
	var moved []lab.Migration
	for {
		select {
		case <-d.Ended():
			if r := d.Wait(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
				s.t.Errorf("%v: %d octets", r, fileSize(d.out()))
			}
			if len(moved) > 0 {
				s.t.Errorf("it was moved: %+v", moved)
			}
			return
		case <-time.After(100 * time.Millisecond):
			if m := s.migrations(); len(m) > 0 {
				moved = m
			}
		}
	}
}

// Cubic's own losses on a full link of 40 Mbit/s with a short queue pause a download for up to 190 ms.
func TestCongestionIsNoFailure(t *testing.T) {
	link := lab.Link{Rate: 40e6, Delay: 10 * time.Millisecond}
	s := &site{Lab: lab.New(t, lab.Net("wlan0", link), lab.Net("wwan0", link)), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", 30<<20, 7)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content(), n.Content6()}})
		s.web[n.Name] = n.Nginx(s.root, lab.ServerOptions{})
	}
	s.staysUntouched("curl", "-sS", "-o", "out", "URL")
}

// nginx with limit_rate alone sends a burst and then nothing for a second or more.
func TestBurstsAreNoFailure(t *testing.T) {
	s := newSite(t, func(n *lab.Network, root string) *lab.Server {
		return n.Nginx(root, lab.ServerOptions{LimitRate: 600 << 10, Extra: "limit_rate_after 1m;"})
	}, "wlan0", "wwan0")
	s.staysUntouched("curl", "-sS", "-o", "out", "URL")
}

// A program that does not read is no silent server.
func TestAProgramThatPausesIsLeftAlone(t *testing.T) {
	s := newSite(t, paced, "wlan0", "wwan0")
	s.staysUntouched("python3", "-c", `import sys, time, urllib.request
with urllib.request.urlopen(sys.argv[1]) as r, open("out", "wb") as f:
    while b := r.read(500000):
        f.write(b)
        if f.tell() in range(1000000, 2000000): time.sleep(1.2)`, "URL")
}

// A connection that falls silent for longer than a pause may last, and speaks again before another one has proved
// itself, stays.
func TestTheOldConnectionStaysIfItSpeaksFirst(t *testing.T) {
	const script = `import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1], "rb") as f:
            self.send_response(200)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(os.fstat(f.fileno()).st_size))
            self.end_headers()
            while b := f.read(32768):
                self.wfile.write(b)
                time.sleep(0.01)
http.server.HTTPServer(("10.77.1.80", 80), Handler).serve_forever()`
	// One connection at a time: nobody else is answered before the old one.
	s := newSite(t, func(n *lab.Network, root string) *lab.Server { return nil }, "wlan0", "wwan0")
	server := exec.Command("python3", "-c", script, filepath.Join(s.root, "film.mkv"))
	if err := s.Network("wlan0").Start(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	s.Await("the server", lab.Patience, func() bool {
		c, err := net.Dial("tcp", "10.77.1.80:80")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	s.Configure("[failover]\nstandby = \"never\"\n")
	s.Network("wwan0").Drop(lab.Both) // nothing can prove itself there
	d := s.download(true, "curl", "-4sS", "-o", "out", "URL")
	d.Start()
	d.halfway()
	server.Process.Signal(syscall.SIGSTOP)
	time.Sleep(700 * time.Millisecond)
	server.Process.Signal(syscall.SIGCONT)
	var moved []lab.Migration
	s.Await("its end", lab.Patience, func() bool {
		if m := s.migrations(); len(m) > 0 {
			moved = m
		}
		select {
		case <-d.Ended():
			return true
		default:
			return false
		}
	})
	if r := d.Wait(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
		t.Errorf("%v", r)
	}
	if len(moved) > 0 {
		t.Errorf("it was moved: %+v", moved)
	}
}

// Before the answer has begun the request is simply made again.
func TestTheServerDiesBeforeItAnswers(t *testing.T) {
	s := newSite(t, nginx, "wlan0", "wwan0")
	native := s.native(curl, "nginx")
	s.web["wlan0"].Freeze() // the kernel still accepts connections
	d := s.download(true, curl.args...)
	d.Start()
	s.requested()
	s.web["wlan0"].Kill()
	d.intact(native, nil)
}

// A path that has swallowed the request is not waited for.
func TestThePathIsDeadBeforeTheAnswer(t *testing.T) {
	s := newSite(t, nginx, "wlan0", "wwan0")
	by := []program{curl, wget, python}
	native := s.undisturbed(by, "nginx")
	s.web["wlan0"].Freeze() // the kernel still accepts connections
	var all []*download
	for _, p := range by {
		d := s.download(true, p.args...)
		d.Start()
		all = append(all, d)
	}
	s.Await("the requests", lab.Patience, func() bool { return len(s.sessions()) >= len(by) })
	s.Network("wlan0").Drop(lab.Both)
	s.web["wlan0"].Thaw()
	for i, d := range all {
		d.named(by[i].name).intact(native[i], by[i].clean)
	}
}

// A server that thinks for long is heard, and nobody else is asked what it has been asked.
func TestASlowAnswer(t *testing.T) {
	for _, networks := range [][]string{{"wlan0", "wwan0"}, {"eth0"}} {
		t.Run(fmt.Sprint(len(networks)), func(t *testing.T) {
			s := newSite(t, nginx, networks...)
			native := s.native(curl, "nginx")
			first := s.web[networks[0]]
			before := len(first.Requests())
			first.Freeze()
			d := s.download(true, curl.args...)
			d.Start()
			s.requested()
			time.Sleep(3 * time.Second) // so long the server thinks: four times as long as it takes to look for its host
			first.Thaw()
			d.intact(native, nil)
			for i, name := range networks {
				if n := len(s.web[name].Requests()); i == 0 && n != before+1 || i > 0 && n != 0 {
					t.Errorf("%d requests over %s", n, name)
				}
			}
		})
	}
}

func (s *site) requested() {
	s.t.Helper()
	s.Await("the request", lab.Patience, func() bool {
		for _, one := range s.sessions() {
			if strings.Contains(one.URL, "film") {
				return true
			}
		}
		return false
	})
}

// An idle connection over a network that is lost does not fail the next request.
func TestIdleConnections(t *testing.T) {
	for _, strike := range []struct {
		name string
		do   func(*lab.Network)
	}{
		{"carrier", func(n *lab.Network) { n.CarrierDown() }},
		{"address", func(n *lab.Network) { n.RemoveAddresses() }},
	} {
		t.Run(strike.name, func(t *testing.T) {
			s := newSite(t, nginx, "wlan0", "wwan0")
			d := s.download(true, "python3", "-c", `import http.client, sys, os, time
c = http.client.HTTPConnection("download.example", timeout=10)
for i in range(2):
    c.request("GET", "/film.mkv")
    data = c.getresponse().read()
    print(len(data))
    open("out%d" % i, "wb").write(data)
    while i == 0 and not os.path.exists("go"): time.sleep(0.01)`)
			d.Start()
			s.Await("the first file", lab.Patience, func() bool { return fileSize(filepath.Join(d.folder, "out0")) == size })
			strike.do(s.Network("wlan0"))
			s.Await("the idle connection to move", lab.Patience, func() bool { return len(s.migrations()) == 1 })
			if err := os.WriteFile(filepath.Join(d.folder, "go"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%d\n%d\n", size, size)
			if r := d.Wait(); r.Status != 0 || r.Stdout != want || lab.Sum(filepath.Join(d.folder, "out1")) != s.sum {
				t.Errorf("%v", r)
			}
		})
	}
}

// Programs that pause between two files, and would use their connection again.
func TestIdleConnectionsOfPrograms(t *testing.T) {
	s := newSite(t, nginx, "wlan0", "wwan0")
	second := []string{"out1", "film.mkv?two"}
	all := []*download{
		s.download(true, "curl", "-sS", "--rate", "15/m", "-o", "out0", "URL", "-o", "out1", "URL"),
		s.download(true, "wget", "-q", "-w", "4", "-t", "1", "-T", "5", "URL", "URL?two"),
	}
	for _, d := range all {
		d.Start()
	}
	s.Await("the first files", lab.Patience, func() bool {
		return fileSize(filepath.Join(all[0].folder, "out0")) == size && fileSize(filepath.Join(all[1].folder, "film.mkv")) == size
	})
	s.Network("wlan0").CarrierDown()
	for i, d := range all {
		if r := d.Wait(); r.Status != 0 || lab.Sum(filepath.Join(d.folder, second[i])) != s.sum {
			t.Errorf("%v", r)
		}
	}
}

// Where the other network costs money, nothing is kept ready there, unless that is asked for.
func TestStandbyWhereItCosts(t *testing.T) {
	for _, test := range []struct {
		standby, text string
		kept          bool
	}{
		{"auto", "", true},
		{"auto", "metered = true\n", false},
		{"always", "metered = true\n", true},
		{"never", "", false},
	} {
		t.Run(test.standby+" "+strings.TrimSpace(test.text), func(t *testing.T) {
			s := newSite(t, paced, "wlan0", "wwan0")
			s.Configure(test.text + "[failover]\nstandby = \"" + test.standby + "\"\n")
			d := s.download(true, curl.args...)
			d.Start()
			events, err := s.Control(d.Pid(), lab.Patience).Watch()
			if err != nil {
				t.Fatal(err)
			}
			kept := false
			for e := range events {
				kept = kept || e.Kind == "standby" && e.Fields["interface"] == "wwan0"
			}
			if kept != test.kept {
				t.Errorf("a standby over wwan0: %t", kept)
			}
		})
	}
}

// A standby that the server closes is renewed.
func TestAStandbyIsRenewed(t *testing.T) {
	s := newSite(t, paced, "wlan0", "wwan0")
	s.sum = lab.Content(t, s.root, "film.mkv", 30<<20, 7)
	d := s.download(true, curl.args...)
	d.Start()
	events, err := s.Control(d.Pid(), lab.Patience).Watch()
	if err != nil {
		t.Fatal(err)
	}
	standby := func() {
		t.Helper()
		for limit := time.After(15 * time.Second); ; {
			select {
			case e := <-events:
				if e.Kind == "standby" && e.Fields["interface"] == "wwan0" {
					return
				}
			case <-limit:
				t.Fatal("no standby")
			}
		}
	}
	standby()
	s.Network("wwan0").ResetConnections()
	standby()
	s.web["wlan0"].Kill()
	s.Await("the recovery", lab.Patience, func() bool { return len(s.migrations()) == 1 })
}

// With failover switched off the program sees everything as it comes.
func TestSwitchedOff(t *testing.T) {
	s := newSite(t, nginx, "wlan0", "wwan0")
	s.Configure("[failover]\nenabled = false\n")
	d := s.download(true, "curl", "-sS", "-o", "out", "URL")
	d.Start()
	d.halfway()
	s.web["wlan0"].Kill()
	if r := d.Wait(); r.Status != 18 {
		t.Errorf("%v", r)
	}
}

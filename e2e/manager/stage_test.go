// Package manager tests the interface manager from the outside: midstreamctl's commands, midstreamd, policy and
// hints, with real programs that download while it decides.
package manager

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	limit = 20 * time.Second
	host  = "download.example"
	size  = 24 << 20
	rate  = 2 << 20 // octets a second and connection: a download takes about 12 s
)

// stage is a phone with networks that serve the same file under the same name.
type stage struct {
	*lab.Lab
	t    *testing.T
	sum  string
	root string
	next int
}

func newStage(t *testing.T, names ...string) *stage {
	t.Helper()
	if len(names) == 0 {
		names = []string{"wlan0", "wwan0"}
	}
	var options []lab.Option
	for _, name := range names {
		options = append(options, lab.Net(name, lab.Link{}))
	}
	s := &stage{Lab: lab.New(t, options...), t: t, root: t.TempDir()}
	s.sum = lab.Content(t, s.root, "film", size, 7)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content(), n.Content6()}})
		n.Paced(s.root, lab.ServerOptions{LimitRate: rate})
	}
	return s
}

// download is a curl under Midstream.
type download struct {
	*lab.Program
	s    *stage
	file string
}

func (s *stage) download() *download {
	s.t.Helper()
	s.next++
	d := &download{s: s, file: filepath.Join(s.t.TempDir(), fmt.Sprint("film", s.next))}
	d.Program = s.Midstream("curl", "-sS", "-o", d.file, "http://"+host+"/film")
	d.Start()
	return d
}

// session returns the download's session, nil while there is none.
func (d *download) session() *lab.Session {
	for _, x := range d.s.CtlSessions() {
		if x.PID == d.Pid() {
			return &x
		}
	}
	return nil
}

// on waits until the download goes over the interface.
func (d *download) on(name string) lab.Session {
	d.s.t.Helper()
	var last *lab.Session
	d.s.Await(fmt.Sprintf("download %d over %s", d.Pid(), name), limit, func() bool {
		last = d.session()
		return last != nil && last.Interface == name && last.Received > 0
	})
	return *last
}

// whole waits for the end and compares the file; moves is how often it has changed its interface.
func (d *download) whole() {
	d.s.t.Helper()
	if r := d.Wait(); r.Status != 0 {
		d.s.t.Fatalf("%v", r)
	}
	if lab.Sum(d.file) != d.s.sum {
		d.s.t.Errorf("the file is another one")
	}
}

// stop ends a download that has shown what it was for.
func (d *download) stop() { d.Process.Kill(); <-d.Ended() }

// ctl runs midstreamctl, which has to succeed.
func (s *stage) ctl(args ...string) string {
	s.t.Helper()
	r := s.Ctl(args...).Run()
	if r.Status != 0 {
		s.t.Fatalf("%v", r)
	}
	return strings.TrimSpace(r.Stdout)
}

type iface struct {
	Name, Kind, Provider, Why          string
	Rank                               int
	Up, Carrier, Metered, Captive      bool
	Roaming                            bool
	Signal                             int `json:"signal_dbm"`
	Cost, Congestion, Throughput, Loss float64
	RTT                                float64 `json:"rtt_ms"`
	Addresses, Resolvers               []string
	Routes                             []struct{ Via string }
	Hints                              []struct{ Key, Value string }
}

func (s *stage) interfaces() map[string]iface {
	s.t.Helper()
	var list []iface
	if err := json.Unmarshal([]byte(s.ctl("interfaces", "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]iface{}
	for _, i := range list {
		all[i.Name] = i
	}
	return all
}

// watch collects the events of a download's process from now on.
type watch struct {
	s      *stage
	events <-chan lab.Event
	seen   []lab.Event
}

func (d *download) watch() *watch {
	d.s.t.Helper()
	events, err := d.s.Control(d.Pid(), limit).Watch()
	if err != nil {
		d.s.t.Fatal(err)
	}
	return &watch{s: d.s, events: events}
}

// saw waits for an event of the kind whose text contains the words.
func (w *watch) saw(kind, words string) {
	w.s.t.Helper()
	w.s.Await(kind+" event: "+words, limit, func() bool { return w.has(kind, words) > 0 })
}

func (w *watch) has(kind, words string) (n int) {
	for {
		select {
		case e, ok := <-w.events:
			if ok {
				w.seen = append(w.seen, e)
				continue
			}
		default:
		}
		break
	}
	for _, e := range w.seen {
		if e.Kind == kind && strings.Contains(e.Text, words) {
			n++
		}
	}
	return n
}

// daemon starts midstreamd and waits until it serves.
func (s *stage) daemon() *lab.Program {
	s.t.Helper()
	p := s.Command(lab.Build(s.t, "midstreamd"))
	p.Start()
	socket := filepath.Join(s.RuntimeDir(), "midstreamd.sock")
	s.Await(socket, limit, func() bool {
		_, err := os.Stat(socket)
		return err == nil
	})
	return p
}

// await looks for a condition, without failing the test.
func await(condition func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}

// The laboratory as these tests use it, and the one download that most of them disturb.

package failover

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	host = "download.example"
	size = 4 << 20
	pace = 3 << 19 // octets a second of each connection: slow enough for the last of several programs to start before the first ends
)

// site is a phone with networks, each of which serves the same file under the same name.
type site struct {
	*lab.Lab
	t    *testing.T
	root string
	sum  string
	web  map[string]*lab.Server
	runs int
}

// serve starts a content server in a network.
type serve func(n *lab.Network, root string) *lab.Server

func nginx(n *lab.Network, root string) *lab.Server {
	// After the first part at once, little by little: by itself nginx would send two megabytes and then pause.
	return n.Nginx(root, lab.ServerOptions{LimitRate: pace, Extra: "sendfile_max_chunk 32k; limit_rate_after 64k;"})
}

func paced(n *lab.Network, root string) *lab.Server {
	return n.Paced(root, lab.ServerOptions{LimitRate: pace})
}

func apache(n *lab.Network, root string) *lab.Server {
	return n.Apache(root, lab.ServerOptions{Extra: "LoadModule ratelimit_module /usr/lib/apache2/modules/mod_ratelimit.so\n" +
		"LoadModule env_module /usr/lib/apache2/modules/mod_env.so\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 1536\n"})
}

// newSite raises the networks of those names with DNS and content servers.
func newSite(t *testing.T, server serve, networks ...string) *site {
	t.Helper()
	var options []lab.Option
	for _, name := range networks {
		options = append(options, lab.Net(name, lab.Link{}))
	}
	s := &site{Lab: lab.New(t, options...), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content(), n.Content6()}})
		s.web[n.Name] = server(n, s.root)
	}
	return s
}

// download is a program that downloads the film into the file "out" of a folder of its own.
type download struct {
	*lab.Program
	s      *site
	folder string
	name   string // for failures, where several run
}

func (d *download) named(name string) *download { d.name = name; return d }

func (s *site) download(under bool, args ...string) *download {
	s.t.Helper()
	folder := s.t.TempDir()
	filled := make([]string, len(args))
	for i, a := range args {
		filled[i] = strings.NewReplacer("FOLDER", folder, "URL", "http://"+host+"/film.mkv").Replace(a)
	}
	d := &download{s: s, folder: folder}
	if under {
		d.Program = s.Midstream(filled...)
	} else {
		d.Program = s.Command(filled...)
	}
	d.Dir = folder
	d.Env = append(d.Env, "LC_ALL=C", "HOME="+folder)
	return d
}

// natives are results of undisturbed native runs, which are the same in every laboratory.
var natives = map[string]lab.Result{}

// native runs the program as it is, with nothing happening.
func (s *site) native(p program, server string) lab.Result {
	s.t.Helper()
	return s.undisturbed([]program{p}, server)[0]
}

// undisturbed is native for several programs, which run at the same time.
func (s *site) undisturbed(by []program, server string) (all []lab.Result) {
	s.t.Helper()
	running := map[string]*download{}
	for _, p := range by {
		key := p.name + " from " + server
		if _, known := natives[key]; !known {
			running[key] = s.download(false, p.args...)
			running[key].Start()
		}
	}
	for key, d := range running {
		natives[key] = d.Wait()
	}
	for _, p := range by {
		all = append(all, natives[p.name+" from "+server])
	}
	return all
}

func (d *download) out() string { return filepath.Join(d.folder, "out") }

// received is how many octets the program has been handed, by the list of sessions of all processes.
func (s *site) received() (sum int64) {
	for _, one := range s.sessions() {
		sum += one.Received
	}
	return sum
}

// sessions are those of all processes. A process that ends while it is asked is no mistake here.
func (s *site) sessions() (all []lab.Session) {
	r := s.Ctl("sessions", "--json").Run()
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil {
		s.t.Logf("no list of sessions: %v", r)
	}
	return all
}

// halfway waits until the program has received a good part.
func (d *download) halfway() {
	d.s.t.Helper()
	d.s.Await("a third of the film", lab.Patience, func() bool {
		select {
		case <-d.Ended():
			d.s.t.Fatalf("it ended before it could be disturbed: %v", d.Wait())
		default:
		}
		return d.s.received() > size/3
	})
}

// intact compares a disturbed run under Midstream with an undisturbed native one.
func (d *download) intact(native lab.Result, clean lab.Normaliser) {
	d.s.t.Helper()
	r := d.Wait()
	if clean == nil {
		clean = func(s string) string { return s }
	}
	lab.Compare(d.s.t, native, r, clean)
	if got := lab.Sum(d.out()); got != d.s.sum {
		info, _ := os.Stat(d.out())
		have := int64(-1)
		if info != nil {
			have = info.Size()
		}
		d.s.t.Errorf("%s: the file is not what the server has (%d octets of %d)", d.name, have, size)
	}
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

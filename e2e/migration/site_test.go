// The laboratory as these tests use it: the same content and the same name in each network.

package migration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// waitLimit bounds every wait for something that should happen soon.
const waitLimit = lab.Patience

const host = "download.example"

// site is a phone with networks, each of which serves the same files under the same name.
type site struct {
	*lab.Lab
	t    *testing.T
	root string
	web  map[string]*lab.Server
	dns  map[string]*lab.Server
	work string // for what programs write

	prepare func(*job) // called for every job before it starts, unless nil
}

// newSite raises the networks of those names (wlan0 and wwan0 by default) with DNS servers, but no content servers.
func newSite(t *testing.T, networks ...string) *site {
	t.Helper()
	if len(networks) == 0 {
		networks = []string{"wlan0", "wwan0"}
	}
	return raise(t, networks, func(n *lab.Network) []string { return []string{n.Content(), n.Content6()} })
}

// newSiteOf raises wlan0 and wwan0, where the host has the given addresses.
func newSiteOf(t *testing.T, addresses map[string]func(*lab.Network) []string) *site {
	t.Helper()
	return raise(t, []string{"wlan0", "wwan0"}, func(n *lab.Network) []string { return addresses[n.Name](n) })
}

func raise(t *testing.T, networks []string, addresses func(*lab.Network) []string) *site {
	t.Helper()
	return raiseOver(t, lab.Link{}, networks, addresses)
}

// raiseOver has all networks linked like that.
func raiseOver(t *testing.T, link lab.Link, networks []string, addresses func(*lab.Network) []string) *site {
	t.Helper()
	var options []lab.Option
	for _, name := range networks {
		options = append(options, lab.Net(name, link))
	}
	s := &site{Lab: lab.New(t, options...), t: t, root: t.TempDir(), work: t.TempDir(),
		web: map[string]*lab.Server{}, dns: map[string]*lab.Server{}}
	for _, n := range s.Networks() {
		s.dns[n.Name] = n.DNS(map[string][]string{host: addresses(n)})
	}
	return s
}

// file adds content of that many octets to every server and returns its SHA-256.
func (s *site) file(name string, size int64) string { return lab.Content(s.t, s.root, name, size, 7) }

// nginx starts one in each network.
func (s *site) nginx(o lab.ServerOptions) *site {
	for _, n := range s.Networks() {
		s.web[n.Name] = n.Nginx(s.root, o)
	}
	return s
}

// steady starts an nginx in each network that sends so many octets a second on each connection, after a second's worth
// at once, and little by little: by itself it would send two megabytes and then pause.
func (s *site) steady(rate int64) *site {
	return s.nginx(lab.ServerOptions{LimitRate: rate, Extra: "sendfile_max_chunk 32k;"})
}

// paced starts a content server with an even flow of so many octets a second and connection in each network.
func (s *site) paced(rate int64) *site {
	for _, n := range s.Networks() {
		s.web[n.Name] = n.Paced(s.root, lab.ServerOptions{LimitRate: rate})
	}
	return s
}

func url(name string) string { return "http://" + host + "/" + name }

// job is one program with a folder and a runtime directory of its own, so that its sessions can be told from others'.
type job struct {
	*lab.Program
	s       *site
	runtime string
	folder  string
	sockets map[string]*lab.Control
}

// job prepares a program natively (or under Midstream) in a folder of its own. The words FOLDER in args stand for that folder.
func (s *site) job(under bool, args ...string) *job {
	s.t.Helper()
	folder, err := os.MkdirTemp(s.work, "")
	if err != nil {
		s.t.Fatal(err)
	}
	// The socket's path has to be short, and the folder of one user's.
	runtime, err := os.MkdirTemp(s.RuntimeDir(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	filled := make([]string, len(args))
	for i, a := range args {
		filled[i] = strings.ReplaceAll(a, "FOLDER", folder)
	}
	j := &job{s: s, runtime: runtime, folder: folder, sockets: map[string]*lab.Control{}}
	if under {
		j.Program = s.Midstream(filled...)
	} else {
		j.Program = s.Command(filled...)
	}
	j.Dir = folder
	j.Env = append(j.Env, "MIDSTREAM_RUNTIME_DIR="+runtime, "LC_ALL=C", "HOME="+folder)
	if s.prepare != nil {
		s.prepare(j)
	}
	return j
}

// under is a started program under Midstream.
func (s *site) under(args ...string) *job {
	s.t.Helper()
	j := s.job(true, args...)
	j.Start()
	return j
}

func (j *job) path(name string) string { return filepath.Join(j.folder, name) }

// ctl runs midstreamctl for this program alone.
func (j *job) ctl(args ...string) lab.Result {
	j.s.t.Helper()
	p := j.s.Ctl(args...)
	p.Env = append(p.Env, "MIDSTREAM_RUNTIME_DIR="+j.runtime)
	return p.Run()
}

// controls are the control sockets of the program and its children, kept open: midstreamctl would take time to start.
func (j *job) controls() map[string]*lab.Control {
	paths, _ := filepath.Glob(filepath.Join(j.runtime, "*.sock"))
	for _, path := range paths {
		if j.sockets[path] == nil {
			if c, err := j.s.ControlSocket(path); err == nil {
				j.sockets[path] = c
				j.s.t.Cleanup(c.Close)
			}
		}
	}
	return j.sockets
}

// sessions are those of the program and its children.
func (j *job) sessions() []lab.Session {
	var all []lab.Session
	for path, c := range j.controls() {
		list, err := c.Sessions()
		if err != nil {
			c.Close()
			delete(j.sockets, path)
			continue
		}
		all = append(all, list...)
	}
	return all
}

// migrate moves everything of the program. A process that refuses altogether counts as one stream that does.
func (j *job) migrate(to string) []lab.Moved {
	var all []lab.Moved
	for _, c := range j.controls() {
		moved, err := c.Migrate(to)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			moved = append(moved, lab.Moved{Reason: err.Error()})
		}
		all = append(all, moved...)
	}
	return all
}

// mustMigrate moves everything of the program and fails the test if something did not move.
func (j *job) mustMigrate(to string) []lab.Moved {
	j.s.t.Helper()
	moved := j.migrate(to)
	ok := len(moved) > 0
	for _, m := range moved {
		ok = ok && m.OK
	}
	if !ok {
		out, err := j.Output()
		select {
		case <-j.Ended():
			j.s.t.Fatalf("not moved to %s: %+v; it has ended: %v", to, moved, j.Wait())
		default:
		}
		j.s.t.Fatalf("not moved to %s: %+v\n%s%s", to, moved, out, err)
	}
	return moved
}

// mustRefuse asks for a migration, which has to be refused with a reason that holds the words.
func (j *job) mustRefuse(to, words string) {
	j.s.t.Helper()
	moved := j.migrate(to)
	if len(moved) == 0 {
		j.s.t.Fatalf("nothing to be moved to %s", to)
	}
	for _, m := range moved {
		if m.OK || !strings.Contains(m.Reason, words) {
			j.s.t.Errorf("to %s: %+v; want a reason with %q", to, m, words)
		}
	}
}

// await waits for a session of the program for which ready holds.
func (j *job) await(what string, ready func(lab.Session) bool) lab.Session {
	j.s.t.Helper()
	var found lab.Session
	j.s.Await(what, waitLimit, func() bool {
		for _, session := range j.sessions() {
			if ready(session) {
				found = session
				return true
			}
		}
		return false
	})
	return found
}

// awaitReceived waits until the program has received that many octets of one exchange.
func (j *job) awaitReceived(octets int64) lab.Session {
	j.s.t.Helper()
	return j.await(fmt.Sprintf("%d octets received", octets), func(s lab.Session) bool { return s.Received >= octets })
}

// succeeds waits for the end of the program, which has to have status 0 and the file with that sum.
func (j *job) succeeds(file, sum string) lab.Result {
	j.s.t.Helper()
	r := j.Wait()
	if r.Status != 0 {
		j.s.t.Errorf("%v", r)
	}
	if got := lab.Sum(j.path(file)); got != sum {
		j.s.t.Errorf("the file's SHA-256 is %s, want %s", got, sum)
	}
	return r
}

// resumed checks that the network's server has answered with a 206 that leads to the migration's octet. To be called
// when that answer has ended: it is logged then.
func (s *site) resumed(network string, m lab.Migration, first int64) {
	s.t.Helper()
	s.web[network].WaitRequest(fmt.Sprintf("206 for octet %d", first+m.Offset), waitLimit, func(r lab.Request) bool {
		// Octets that the old connection delivered faster than expected are asked for, but dropped.
		return r.Status == 206 && r.FirstOctet() <= first+m.Offset && r.FirstOctet() > first+m.Offset-(1<<20) && r.IfRange != ""
	})
	for _, q := range s.dns[network].Asked() {
		if strings.HasPrefix(q, host+" ") {
			return
		}
	}
	s.t.Errorf("the DNS server of %s was not asked for %s", network, host)
}

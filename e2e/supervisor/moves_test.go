package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const (
	host = "download.example"
	size = 6 << 20
	pace = 1 << 19 // octets a second of each connection, until it is released
)

// site is a phone with two networks, each of which serves the same file under the same name.
type site struct {
	*lab.Lab
	t         *testing.T
	root, sum string
	web       map[string]*lab.Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content(), n.Content6()}})
		s.web[n.Name] = n.Paced(s.root, lab.ServerOptions{LimitRate: pace})
	}
	s.UseResolver(s.Network("wlan0"))
	s.Configure("[failover]\nstandby = \"always\"\n")
	return s
}

// goFetch builds a program that copies what it is sent from each URL to a file of the name of its last part.
func goFetch(t *testing.T, name string) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "main.go")
	const text = `package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	r, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	f, _ := os.Create(os.Args[2])
	n, err := io.Copy(f, r.Body)
	fmt.Println(r.StatusCode, n, err)
}
`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return goProgram(t, name, source)
}

// goProgram builds a static program.
func goProgram(t *testing.T, name, source string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	c := exec.Command("go", "build", "-trimpath", "-o", program, source)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// session waits for the download of a process.
func (s *site) session(pid int) (found lab.Session) {
	s.t.Helper()
	s.Await("the session", lab.Patience, func() bool {
		for _, one := range s.CtlSessions() {
			if one.PID == pid && one.Via != "" && one.Received > 64<<10 {
				found = one
			}
		}
		return found.ID != ""
	})
	return found
}

// movesAndOutlives moves a running download to the other network and back, kills its server there, and lets the other one go on. `is` says
// whether its session looks as it should. The server is back after the test.
func (s *site) movesAndOutlives(t *testing.T, p *lab.Program, is func(lab.Session) bool) {
	t.Helper()
	for _, to := range []string{"wwan0", "wlan0"} {
		if before := s.session(p.Pid()); !is(before) {
			t.Errorf("%+v", before)
		}
		if r := s.Ctl("migrate", "--to", to, "--pid", strconv.Itoa(p.Pid())).Run(); r.Status != 0 {
			t.Errorf("%v", r)
		}
		if after := s.session(p.Pid()); after.Interface != to {
			t.Errorf("%+v", after)
		}
	}
	s.web["wlan0"].Kill()
	t.Cleanup(func() { s.web["wlan0"].Restart() })
	s.Await("the other server", lab.Patience, func() bool { return s.session(p.Pid()).Interface == "wwan0" })
	s.web["wwan0"].Release()
}

// The programs that no library can be preloaded into: their downloads move, and survive the end of their server.
func TestDownloadsOfUnreachablePrograms(t *testing.T) {
	s := newSite(t)
	first, other := s.Network("wlan0"), s.Network("wwan0")
	for _, c := range []struct {
		name, program string
		args          func(n *lab.Network, from string) []string
	}{
		{"static Go", goFetch(t, "fetch"), func(_ *lab.Network, from string) []string { return []string{"http://" + from + "/film.mkv"} }},
		{"static, raw system calls", s.CC("raw", "-static"), func(n *lab.Network, from string) []string { return []string{n.Content(), from, "/film.mkv"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			native := s.Command(append(append([]string{c.program}, c.args(other, other.Content())...), out+".native")...).Start()
			p := s.Midstream(append(append([]string{c.program}, c.args(first, host)...), out)...).Start()
			s.movesAndOutlives(t, p, func(at lab.Session) bool {
				return at.Via == "supervisor" && strings.Contains(at.Command, filepath.Base(c.program)) && isSocket(p.Pid(), at.FD)
			})
			lab.Compare(t, native.Wait(), p.Wait())
			for _, file := range []string{out, out + ".native"} {
				if lab.Sum(file) != s.sum {
					t.Errorf("%s is another file", file)
				}
			}
		})
	}
}

func isSocket(pid, fd int) bool {
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	return strings.HasPrefix(link, "socket:")
}

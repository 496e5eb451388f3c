// Programs of several processes, of which each downloads: forked workers, and apt's methods under a filter.

package attack

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A child of a process that has a core gets one of its own with its first request, and its downloads move.
func TestForkedWorkersMove(t *testing.T) {
	const workers = 4
	s := newSite(t)
	all, path := s.film(300_000)
	last := make(chan struct{})
	s.serve("wlan0", part(all, 100_000, func(net.Conn) { <-last }))
	s.serve("wwan0", held(all, last))
	p := s.Midstream("python3", "-W", "ignore:This process:DeprecationWarning", "-c", asks+`
import multiprocessing
def work(n):
    return is_film(read(ask(), b"", 300000))
first = ask()
b = read(first, b"", 100000)
with multiprocessing.get_context("fork").Pool(`+strconv.Itoa(workers)+`) as pool:
    print(pool.map(work, range(`+strconv.Itoa(workers)+`), 1))
print(is_film(read(first, b, 300000)))`, host, path)
	p.Start()
	var children []lab.Session
	s.Await("every worker downloads", waitLimit, func() bool {
		children = nil
		for _, x := range s.CtlSessions() {
			if x.PID != p.Pid() && x.Received >= 100_000 {
				children = append(children, x)
			}
		}
		return len(children) == workers
	})
	for _, x := range children {
		moved, err := s.Control(x.PID, waitLimit).Migrate("wwan0")
		if err != nil || len(moved) != 1 || !moved[0].OK {
			t.Errorf("process %d: %+v, %v", x.PID, moved, err)
		}
	}
	close(last)
	s.succeeds(p, "["+strings.TrimSuffix(strings.Repeat("True, ", workers), ", ")+"]\nTrue")
}

// apt's methods set a filter that traps all that they do not do by themselves; a new thread is among it.
func TestAptUnderItsFilter(t *testing.T) {
	s := newSite(t)
	all, _ := s.film(300_000)
	s.serve("wlan0", right(all))
	s.serve("wwan0", right(all))
	file := filepath.Join(t.TempDir(), "film")
	native, under := s.Both(func(*lab.Program) { os.Remove(file) }, "/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::Seccomp=true",
		"-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=0", "download-file", "http://"+host+"/film.mkv", file)
	got, err := os.ReadFile(file)
	if native.Status != 0 || under.Status != 0 || err != nil || string(got) != string(all) {
		t.Errorf("natively %v, under Midstream %v, %d octets, %v", native, under, len(got), err)
	}
}

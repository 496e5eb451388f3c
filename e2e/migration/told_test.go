// What cannot be followed is named, with the reason, and runs as it would without Midstream.

package migration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// listed waits until midstreamctl lists a session of the program with such a reason.
func (j *job) listed(words string) (found lab.Session) {
	j.s.t.Helper()
	last := ""
	defer func() {
		if found.ID == "" {
			j.s.t.Errorf("the last list: %s", last)
		}
	}()
	j.s.Await("a session that is not followed: "+words, waitLimit, func() bool {
		var all []lab.Session
		last = j.ctl("sessions", "--json").Stdout
		if err := json.Unmarshal([]byte(last), &all); err != nil {
			j.s.t.Fatalf("%v: %s", err, last)
		}
		for _, s := range all {
			if strings.Contains(s.Why, words) && !s.Movable {
				found = s
				return true
			}
		}
		select {
		case <-j.Ended():
			j.s.t.Fatalf("it has ended: %v\nthe last list: %s", j.Wait(), last)
		default:
		}
		return false
	})
	return found
}

// goClient makes a program of Go's that downloads a URL to a file.
func (s *site) goClient(name string, cgo string, flags ...string) string {
	s.t.Helper()
	source, program := filepath.Join(s.work, "main.go"), filepath.Join(s.work, name)
	text := `package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	r, err := http.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	f, _ := os.Create(os.Args[2])
	io.Copy(f, r.Body)
}
`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	c := exec.Command("go", append(append([]string{"build"}, flags...), "-o", program, source)...)
	c.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func TestWhatIsNotFollowedIsNamed(t *testing.T) {
	s := newSite(t)
	sum := s.file("film.mkv", 3<<20)
	s.steady(1 << 20)
	// The laboratory's folder, with what was built, is root's alone; other tests open it.
	if err := os.Chmod("/run/lab", 0o700); err != nil {
		t.Fatal(err)
	}
	other := `import os, sys, urllib.request
f = open("out", "wb")
os.setgroups([]); os.setgid(65534); os.setuid(65534)
f.write(urllib.request.urlopen(sys.argv[1]).read())`
	for _, c := range []struct {
		name string
		args []string
		why  string
	}{
		{"stdio", []string{"busybox", "wget", "-q", "-O", "out", url("film.mkv")}, "through stdio"},
		{"Go, linked dynamically", []string{"sh", "-c", s.goClient("dynamic", "1", "-ldflags=-linkmode=external") + " " + url("film.mkv") + " out; exit 3"}, "Go program"},
		{"static", []string{"sh", "-c", s.goClient("static", "0") + " " + url("film.mkv") + " out; exit 3"}, "statically linked"},
		{"of another user", []string{"/usr/bin/python3", "-c", other, url("film.mkv")}, "cannot open libmidstream-core.so: /run/lab"},
		{"not HTTP", []string{"bash", "-c", `exec 3<>/dev/tcp/download.example/80; sleep 1; printf 'GET /film.mkv HTTP/1.0\r\n\r\n' >&3; sed '1,/^.$/d' <&3 >out`}, "no HTTP request has been seen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			native, j := s.job(false, c.args...), s.job(true, c.args...)
			if strings.Contains(c.name, "user") && exec.Command("setpriv", "--reuid=65534", "true").Run() != nil {
				t.Skip("there is no other user in this namespace")
			}
			native.Start()
			j.Start()
			found := j.listed(c.why)
			if found.Server == "" || found.Interface != "wlan0" {
				t.Errorf("%+v", found)
			}
			want, got := native.Wait(), j.Wait()
			lab.Compare(t, want, got)
			for _, each := range []*job{native, j} {
				if lab.Sum(each.path("out")) != sum {
					t.Error("the file is another one")
				}
			}
		})
	}
}

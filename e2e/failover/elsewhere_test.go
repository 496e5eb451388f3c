// Other URLs with the same content: what the user says (mirrors), and what a server says (Link: rel=duplicate).

package failover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A download whose own server is not to be had on the other network, or any more, goes on where the same content is said to be, if it is
// the same. What authenticates the program does not go there.
func TestItGoesOnAtAMirror(t *testing.T) {
	s := &site{Lab: lab.New(t), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	s.sum = lab.Content(t, s.root, "mapped/film.mkv", size, 7)
	lab.Content(t, s.root, "mapped/other.mkv", size, 8)
	mirror := t.TempDir()
	lab.Content(t, mirror, "pub/film.mkv", size, 7)
	lab.Content(t, mirror, "pub/other.mkv", size, 9)
	if err := os.Symlink(filepath.Join(s.root, "mapped"), filepath.Join(s.root, "linked")); err != nil {
		t.Fatal(err)
	}
	const address = "198.51.100.80" // no private one: a server's word leads to none
	here, there := s.Network("wlan0"), s.Network("wwan0")
	there.AddAddress(address)
	there.AddAddress("198.51.100.81")
	here.DNS(map[string][]string{host: {here.Content()}})
	there.DNS(map[string][]string{"mirror.example": {address}, "old.example": {"198.51.100.81"}})
	options := lab.ServerOptions{LimitRate: pace, Addresses: []string{here.Content()}, Extra: "sendfile_max_chunk 32k; limit_rate_after 64k;" +
		"location /linked/ { add_header Link '<http://mirror.example/pub/film.mkv>; rel=duplicate; pri=1'; }"}
	s.web["wlan0"] = here.Nginx(s.root, options)
	options.Addresses, options.Extra = []string{address, "198.51.100.81"}, "if ($http_authorization) { return 403; } if ($http_cookie) { return 403; }"
	s.web["wwan0"] = there.Nginx(mirror, options)
	s.Configure("[[mirrors]]\nfrom = \"http://" + host + "/mapped/\"\nto = [\"http://old.example/nothing/\", \"http://mirror.example/pub/\"]\n")

	get := func(under bool, path string) *download {
		d := s.download(under, "curl", "-sS", "-u", "me:secret", "-b", "a=secret", "-o", "out", "http://"+host+"/"+path).named(path)
		d.Start()
		return d
	}
	native := get(false, "mapped/other.mkv")
	moved, failed, linked, other := get(true, "mapped/film.mkv"), get(true, "mapped/film.mkv"), get(true, "linked/film.mkv"), get(true, "mapped/other.mkv")
	s.Await("a part of each", lab.Patience, func() bool {
		for _, d := range []*download{native, moved, failed, linked, other} {
			if fileSize(d.out()) < size/4 {
				return false
			}
		}
		return true
	})
	if m, err := s.Control(moved.Pid(), lab.Patience).Migrate("wwan0"); err != nil || len(m) != 1 || !m[0].OK {
		t.Errorf("%+v, %v", m, err)
	}
	m, err := s.Control(other.Pid(), lab.Patience).Migrate("wwan0")
	if err != nil || len(m) != 1 || m[0].OK {
		t.Errorf("other content: %+v, %v", m, err)
	}
	s.web["wlan0"].Kill()
	want := native.Wait()
	for _, d := range []*download{moved, failed, linked} {
		if r := d.Wait(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	if r := other.Wait(); r.Status != want.Status || !strings.HasPrefix(string(read(t, filepath.Join(s.root, "mapped/other.mkv"))), string(read(t, other.out()))) {
		t.Errorf("%v\nnatively %v", r, want)
	}
	for _, r := range s.web["wwan0"].Requests() {
		if r.Status == 403 {
			t.Errorf("the mirror was sent what authenticates: %+v", r)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

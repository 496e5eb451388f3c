// The same over TLS: a server of another name shows a certificate for that, which the program's library verifies as it would have done had
// the program been sent there.

package failover

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

func TestItGoesOnUnderAnotherName(t *testing.T) {
	s := &site{Lab: lab.New(t), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	ca := lab.Authority(t, filepath.Join(t.TempDir(), "ca"))
	s.sum = lab.Content(t, s.root, "film.mkv", size, 7)
	small := lab.Content(t, s.root, "small", 1000, 8)
	lab.Content(t, s.root, "mapped/empty", 0, 0)
	wheel(t, filepath.Join(s.root, "mapped/film-1.0-py3-none-any.whl"), filepath.Join(s.root, "film.mkv"))
	lab.Content(t, s.root, "wrong/film.mkv", size, 7)
	for i, names := range []string{"node0.example,DNS:hub.example", "node1.example,DNS:hub.example,DNS:mirror.example"} {
		n := s.Networks()[i]
		node := []string{"198.51.100.80", "198.51.100.81"}[i]
		n.AddAddress(node)
		named := map[string][]string{"hub.example": {n.Content()}}
		for _, name := range [][]string{{"node0.example"}, {"node1.example", "mirror.example", "wrong.example"}}[i] {
			named[name] = []string{node}
		}
		n.DNS(named)
		certificate, key := lab.Certificate(t, ca, n.Name, names)
		redirect := "location /latest/ { rewrite ^/latest/(.*) https://" + []string{"node0", "node1"}[i] + ".example/$1 redirect; }"
		options := lab.ServerOptions{Addresses: []string{n.Content(), node}, Port: 443, Listen: "ssl", LimitRate: pace, Extra: redirect +
			"ssl_certificate " + certificate + "; ssl_certificate_key " + key + "; sendfile_max_chunk 32k; limit_rate_after 64k;"}
		plain := lab.ServerOptions{Addresses: []string{n.Content()}, Extra: redirect}
		if i == 0 {
			options.LimitRate = pace / 4
		} else {
			options.Extra += "if ($http_authorization) { return 403; } if ($http_cookie) { return 403; }"
			plain.Extra += "if ($http_cookie) { return 403; }"
		}
		s.web[n.Name] = n.Nginx(s.root, options)
		n.Nginx(s.root, plain)
	}
	s.Configure("[[mirrors]]\nfrom = \"https://node0.example/mapped/\"\nto = [\"https://mirror.example/mapped/\"]\n" +
		"[[mirrors]]\nfrom = \"https://node0.example/wrong/\"\nto = [\"https://wrong.example/wrong/\"]\n")

	const film, whl = "https://hub.example/latest/film.mkv", "film-1.0-py3-none-any.whl"
	one := func(name, out string, args ...string) *redirected {
		d := &redirected{s.download(true, args...).named(name), out}
		d.Env = append(d.Env, "TMPDIR="+d.folder, "REQUESTS_CA_BUNDLE="+ca)
		return d
	}
	moved := []*redirected{
		one("curl", "out", "curl", "-sSL", "--cacert", ca, "-b", "a=secret", film, "-o", "out", "https://node0.example/small", "-o", "small"),
		one("pip", whl, "/usr/bin/python3", "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-index",
			"--cert", ca, "-d", ".", "https://node0.example/mapped/"+whl),
	}
	failed := []*redirected{
		one("wget", "out", "wget", "-q", "-t", "1", "--ca-certificate="+ca, "-O", "out", film),
		one("curl that fails", "out", "curl", "-sSL", "--cacert", ca, "-o", "out", film),
	}
	refused := []*redirected{
		one("a certificate for other names", "out", "curl", "-sS", "--cacert", ca, "-o", "out", "https://node0.example/wrong/film.mkv"),
		one("the same, and GnuTLS", "out", "wget", "-q", "-t", "1", "--ca-certificate="+ca, "-O", "out", "https://node0.example/wrong/film.mkv"),
		one("a program that verifies nothing", "out", "curl", "-sSkL", "-o", "out", film),
		one("redirected from http, where nobody knows who answers", "out", "curl", "-sSL", "--cacert", ca, "-b", "a=secret", "-o", "out", "http://hub.example/latest/film.mkv"),
		one("nowhere else", "out", "curl", "-sS", "--cacert", ca, "-o", "out", "https://node0.example/film.mkv"),
	}
	all := slices.Concat(moved, failed, refused)
	for _, d := range all {
		d.Start()
	}
	for _, d := range all {
		s.Await("a part of "+d.name, lab.Patience, func() bool { return d.has() > size/8 })
	}
	for _, d := range slices.Concat(moved, refused) {
		m, err := s.Control(d.Pid(), lab.Patience).Migrate("wwan0")
		if ok := slices.Contains(moved, d); err != nil || len(m) == 0 || m[len(m)-1].OK != ok {
			t.Errorf("%s: %+v, %v", d.name, m, err)
		}
	}
	for _, d := range moved {
		path := "film.mkv"
		if d.out == whl {
			path = "mapped/" + whl
		}
		if r := d.Wait(); r.Status != 0 || lab.Sum(filepath.Join(d.folder, d.out)) != lab.Sum(filepath.Join(s.root, path)) {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	// What is asked on the same connection afterwards goes to the program's own server.
	if got := lab.Sum(filepath.Join(moved[0].folder, "small")); got != small {
		t.Errorf("the next file: %s", got)
	}
	s.web["wlan0"].Kill()
	for _, d := range failed {
		if r := d.Wait(); r.Status != 0 || lab.Sum(filepath.Join(d.folder, d.out)) != s.sum {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	for _, d := range refused {
		if r := d.Wait(); r.Status == 0 || !strings.HasPrefix(string(read(t, filepath.Join(s.root, "film.mkv"))), string(read(t, filepath.Join(d.folder, "out")))) {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	for _, r := range s.web["wwan0"].Requests() {
		if r.Status == 403 || strings.HasSuffix(r.Target, "/small") {
			t.Errorf("another name's server was sent %+v", r)
		}
	}
}

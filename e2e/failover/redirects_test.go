// Where the program was redirected is asked again over the other network: where that leads now has the same content.

package failover

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// hubs are two networks, in each of which hub.example redirects to a node that only that network knows, and of which it says nothing
// else. In wwan0 the node has another version of other.mkv.
func hubs(t *testing.T) *site {
	t.Helper()
	s := &site{Lab: lab.New(t), t: t, root: t.TempDir(), web: map[string]*lab.Server{}}
	there := t.TempDir()
	for _, root := range []string{s.root, there} {
		s.sum = lab.Content(t, root, "film.mkv", size, 7)
		wheel(t, filepath.Join(root, "film-1.0-py3-none-any.whl"), filepath.Join(root, "film.mkv"))
	}
	lab.Content(t, s.root, "other.mkv", size, 8)
	lab.Content(t, there, "other.mkv", size, 9)
	describe(t, s.root, there)
	repository(t, s.root, there)
	for i, n := range s.Networks() {
		node := fmt.Sprintf("198.51.100.%d", 80+i) // no private one: a server's word leads to none
		n.AddAddress(node)
		n.DNS(map[string][]string{"hub.example": {n.Content()}, "deb.example": {n.Content()}, fmt.Sprintf("node%d.example", i): {node}, "meta.example": {node}})
		options := lab.ServerOptions{LimitRate: pace, Addresses: []string{n.Content(), node}, Extra: "sendfile_max_chunk 32k; limit_rate_after 64k;" +
			"location = /described/film.mkv { add_header Link '<http://meta.example/film.meta4>; rel=describedby; type=\"application/metalink4+xml\"'; }" +
			"location = /wrong/film.mkv { add_header Link '<http://meta.example/wrong.meta4>; rel=describedby; type=\"application/metalink4+xml\"'; }" +
			fmt.Sprintf("location /latest/ { rewrite ^/latest/(.*) http://node%d.example/$1 redirect; }", i)}
		root := s.root
		if i == 0 {
			options.LimitRate = pace / 4 // the last program begins before the first one ends
		} else {
			root = there
			options.Extra += "location /deb/ { return 404; } if ($http_authorization) { return 403; } if ($http_cookie) { return 403; }"
			options.Addresses = append(options.Addresses, "198.51.100.90")
			n.AddAddress("198.51.100.90")
		}
		s.web[n.Name] = n.Nginx(root, options)
	}
	s.Configure("[failover]\npatience = \"4s\"\n[[mirrors]]\nfrom = \"http://deb.example/deb/\"\nto = [\"http://198.51.100.90/other-deb/\"]\n")
	return s
}

// describe puts a film into root that only its description says where else it is; there, one is of another date, and one has another octet.
func describe(t *testing.T, root, there string) {
	t.Helper()
	film := read(t, filepath.Join(root, "film.mkv"))
	for name, wrong := range map[string]int{"described": -1, "wrong": size - size/8} {
		lab.Content(t, root, name+"/film.mkv", size, 7)
		lab.Content(t, there, name+"/film.mkv", size, 7)
		path := filepath.Join(there, name, "film.mkv")
		if octets := read(t, path); wrong >= 0 {
			octets[wrong]++
			if err := os.WriteFile(path, octets, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		os.Chtimes(path, lab.Modified.Add(time.Hour), lab.Modified.Add(time.Hour))
		text := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="film.mkv"><size>%d</size><pieces length="262144" type="sha-256">`, size)
		for piece := range slices.Chunk(film, 262144) {
			text += fmt.Sprintf("<hash>%x</hash>", sha256.Sum256(piece))
		}
		text += "</pieces><url>http://node1.example/" + name + "/film.mkv</url></file></metalink>"
		if name == "described" {
			name = "film"
		}
		if err := os.WriteFile(filepath.Join(there, name+".meta4"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// wheel is a package for pip with the film in it.
func wheel(t *testing.T, path, film string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	for _, file := range []struct{ name, text string }{
		{"film/data", string(read(t, film))},
		{"film-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: film\nVersion: 1.0\n"},
		{"film-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"film-1.0.dist-info/RECORD", ""},
	} {
		part, err := w.CreateHeader(&zip.FileHeader{Name: file.name, Method: zip.Store, Modified: lab.Modified})
		if err != nil {
			t.Fatal(err)
		}
		part.Write([]byte(file.text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(path, lab.Modified, lab.Modified)
}

// repository makes one for apt, with one package, as deb in the one root and as other-deb in the other.
func repository(t *testing.T, root, there string) {
	t.Helper()
	folder := t.TempDir()
	lab.Content(t, folder, "film/usr/share/film", size, 7)
	lab.Content(t, folder, "film/DEBIAN/control", 0, 0)
	control := "Package: film\nVersion: 1.0\nArchitecture: all\nMaintainer: lab\nDescription: a film\n"
	if err := os.WriteFile(filepath.Join(folder, "film/DEBIAN/control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "-b", filepath.Join(folder, "film"), filepath.Join(folder, "film.deb")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	deb := read(t, filepath.Join(folder, "film.deb"))
	sum := sha256.Sum256(deb)
	index := control + fmt.Sprintf("Filename: ./film_1.0_all.deb\nSize: %d\nSHA256: %s\n", len(deb), hex.EncodeToString(sum[:]))
	for _, to := range []string{filepath.Join(root, "deb"), filepath.Join(there, "other-deb")} {
		os.MkdirAll(to, 0o755)
		for name, octets := range map[string][]byte{"film_1.0_all.deb": deb, "Packages": []byte(index)} {
			if err := os.WriteFile(filepath.Join(to, name), octets, 0o644); err != nil {
				t.Fatal(err)
			}
			os.Chtimes(filepath.Join(to, name), lab.Modified, lab.Modified)
		}
	}
}

// aptGet is apt-get with folders of its own, in which it has the repository's list.
func (s *site) aptGet(under bool) *download {
	s.t.Helper()
	d := s.download(under, "apt-get")
	for _, name := range []string{"lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d"} {
		os.MkdirAll(filepath.Join(d.folder, name), 0o755)
	}
	os.WriteFile(filepath.Join(d.folder, "status"), nil, 0o644)
	os.WriteFile(filepath.Join(d.folder, "sources"), []byte("deb [trusted=yes] http://deb.example/deb ./\n"), 0o644)
	args := []string{"-qq", "-o", "Dir::Etc=" + d.folder + "/etc", "-o", "Dir::Etc::SourceList=" + d.folder + "/sources", "-o", "Dir::State::Lists=" + d.folder + "/lists",
		"-o", "Dir::State::Status=" + d.folder + "/status", "-o", "Dir::Cache=" + d.folder + "/cache", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=0"}
	update := s.Command(append(append([]string{"apt-get"}, args...), "update")...)
	if r := update.Run(); r.Status != 0 {
		s.t.Fatalf("%v", r)
	}
	args = append(args, "download", "film")
	d.Args = append(d.Args[:len(d.Args):len(d.Args)], args...)
	return d
}

func TestItGoesOnWhereItIsRedirectedNow(t *testing.T) {
	s := hubs(t)
	const film, other, whl = "http://hub.example/latest/film.mkv", "http://hub.example/latest/other.mkv", "film-1.0-py3-none-any.whl"
	one := func(under bool, name, out string, args ...string) *redirected {
		d := &redirected{s.download(under, args...).named(name), out}
		d.Env = append(d.Env, "TMPDIR="+d.folder) // where pip has it first
		return d
	}
	pip := []string{"/usr/bin/python3", "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-index",
		"--trusted-host", "hub.example", "--trusted-host", "node0.example", "-d", ".", "http://hub.example/latest/" + whl}
	moved := []*redirected{
		one(true, "curl", "out", "curl", "-sSL", "-u", "me:secret", "-b", "a=secret", "-o", "out", film),
		one(true, "pip", whl, pip...),
	}
	failed := []*redirected{
		one(true, "wget", "out", "wget", "-q", "-t", "1", "-O", "out", film),
		one(true, "ffmpeg", "out", "ffmpeg", "-nostdin", "-v", "error", "-f", "s16le", "-ar", "48000", "-ac", "2", "-i", film, "-flush_packets", "1", "-f", "s16le", "out"),
		{s.aptGet(true).named("apt-get"), "film_1.0_all.deb"},
	}
	version := one(true, "another version", "out", "curl", "-sSL", "-o", "out", other)
	described := one(true, "another date", "out", "curl", "-sS", "-o", "out", "http://node0.example/described/film.mkv")
	failed = append(failed, one(true, "another date, failed", "out", "wget", "-q", "-t", "1", "-O", "out", "http://node0.example/described/film.mkv"))
	wrong := one(true, "another octet", "out", "curl", "-sS", "-o", "out", "http://node0.example/wrong/film.mkv")
	moved = append(moved, described)
	native := one(false, "another version, natively", "out", "curl", "-sSL", "-o", "out", other)
	all := append(append([]*redirected{version, wrong, native}, moved...), failed...)
	for _, d := range all {
		d.Start()
	}
	for _, d := range all {
		s.Await("a part of "+d.name, lab.Patience, func() bool { return d.has() > size/8 })
	}
	for _, d := range append(moved, version) {
		m, err := s.Control(d.Pid(), lab.Patience).Migrate("wwan0")
		if ok := d != version; err != nil || len(m) == 0 || m[len(m)-1].OK != ok {
			t.Errorf("%s: %+v, %v", d.name, m, err)
		}
	}
	s.web["wlan0"].Kill()
	want := native.Wait()
	for _, d := range append(moved, failed...) {
		r := d.Wait()
		path := "film.mkv"
		switch d.out {
		case whl:
			path = whl
		case "film_1.0_all.deb":
			path = "deb/film_1.0_all.deb"
		}
		if r.Status != 0 || lab.Sum(filepath.Join(d.folder, d.out)) != lab.Sum(filepath.Join(s.root, path)) {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	if r := version.Wait(); r.Status != want.Status || !strings.HasPrefix(string(read(t, filepath.Join(s.root, "other.mkv"))), string(read(t, filepath.Join(version.folder, "out")))) {
		t.Errorf("%v\nnatively %v", r, want)
	}
	if r := wrong.Wait(); r.Status == 0 || fileSize(filepath.Join(wrong.folder, "out")) != size-size/8 ||
		!strings.HasPrefix(string(read(t, filepath.Join(s.root, "film.mkv"))), string(read(t, filepath.Join(wrong.folder, "out")))) {
		t.Errorf("another octet: %v, %d octets", r, fileSize(filepath.Join(wrong.folder, "out")))
	}
	for _, r := range s.web["wwan0"].Requests() {
		if r.Status == 403 {
			t.Errorf("what authenticates was sent with %+v", r)
		}
	}
}

// redirected is a download of what a URL redirects to, into a file.
type redirected struct {
	*download
	out string
}

// has is how much of it has arrived, under whatever name.
func (d *redirected) has() (most int64) {
	filepath.WalkDir(d.folder, func(path string, f os.DirEntry, err error) error {
		if err == nil && f.Type().IsRegular() {
			most = max(most, fileSize(path))
		}
		return nil
	})
	return most
}

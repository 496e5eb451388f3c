package tls

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const nodeHTTPS = `
const https = require("https"), fs = require("fs");
const [, ca, url, out] = process.argv;
https.get(url, { ca: fs.readFileSync(ca) }, (answer) => answer.pipe(fs.createWriteStream(out)))
  .on("error", (e) => { console.error(e); process.exit(1); });
`

const nodeFetch = `
const fs = require("fs"), { Readable } = require("stream");
const [, ca, url, out] = process.argv;
fetch(url).then((answer) => Readable.fromWeb(answer.body).pipe(fs.createWriteStream(out)))
  .catch((e) => { console.error(e); process.exit(1); });
`

// Node has OpenSSL within itself.
func TestNode(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not there")
	}
	s := newSite(t, lab.Link{})
	s.rate *= 2
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": s.ca.again("again", host, id)})
	for label, script := range map[string]string{"https": nodeHTTPS, "fetch": nodeFetch} {
		t.Run(label, func(t *testing.T) {
			s.t = t
			out := s.out(label)
			args := []string{"node", "-e", script, s.ca.certificate, s.url(), out}
			native := s.Command(args...)
			native.Env = append(native.Environ(), "NODE_EXTRA_CA_CERTS="+s.ca.certificate)
			want := native.Run()
			s.intact("natively", out)
			os.Remove(out)
			p := s.Midstream(args...)
			p.Env = append(p.Environ(), "NODE_EXTRA_CA_CERTS="+s.ca.certificate)
			r, moved := s.move(p, out, 3)
			lab.Compare(t, want, r)
			s.intact(label, out)
			if len(moved) == 0 {
				t.Error("nothing was moved")
			}
			for _, m := range moved {
				if !m.OK {
					t.Errorf("not moved: %s", m.Reason)
				} else {
					t.Logf("at octet %d, stall %.2f ms", m.Migration.Offset, m.Migration.StallMS)
				}
			}
		})
	}
}

// A function of the program's, called by its library within a call, may use the session: here it sends the request.
func TestSentWithinHandshake(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.rate *= 2
	s.serve(nil)
	out := s.out("out")
	args := []string{s.fetcher(false), s.ca.certificate, host, "443", "/" + name, out, "inside"}
	native := s.Command(args...).Run()
	s.intact("natively", out)
	os.Remove(out)
	r, moved := s.move(s.Midstream(args...), out, 2)
	lab.Compare(t, native, r)
	s.intact("inside", out)
	if len(moved) == 0 || !moved[0].OK {
		t.Errorf("%+v", moved)
	}
}

// archive makes a package for npm with the film in it.
func (s *site) archive(path string) {
	s.t.Helper()
	film, err := os.ReadFile(filepath.Join(s.folder, "content", name))
	if err != nil {
		s.t.Fatal(err)
	}
	var packed bytes.Buffer
	zipped, _ := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	w := tar.NewWriter(zipped)
	for _, file := range []struct{ name, text string }{
		{"package/package.json", `{"name":"film","version":"1.0.0"}`},
		{"package/film.bin", string(film)},
	} {
		err = w.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.text)), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = w.Write([]byte(file.text))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close(), os.WriteFile(path, packed.Bytes(), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}

func TestNPM(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not there")
	}
	s := newSite(t, lab.Link{})
	s.archive(filepath.Join(s.folder, "content", "film.tgz"))
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": id})
	folder := s.out("npm")
	run := func(p *lab.Program, move bool) (r lab.Result, moved []lab.Moved) {
		os.RemoveAll(folder)
		p.Start()
		if move {
			s.Await("a part of the file", lab.Patience, func() bool { return largest(folder) > size/8 })
			moved = s.migrate("wwan0")
		}
		r = p.Wait()
		s.intact("npm", filepath.Join(folder, "node_modules", "film", name))
		return r, moved
	}
	args := []string{"npm", "install", "--silent", "--no-audit", "--no-fund", "--no-update-notifier", "--cafile", s.ca.certificate,
		"--cache", filepath.Join(folder, "cache"), "--prefix", folder, "https://" + host + "/film.tgz"}
	native, _ := run(s.Command(args...), false)
	under, moved := run(s.Midstream(args...), true)
	if native.Status != 0 || under.Status != 0 || native.Stdout != under.Stdout || native.Stderr != under.Stderr {
		t.Errorf("natively: %v %s%s; moved: %v %s%s", native, native.Stdout, native.Stderr, under, under.Stdout, under.Stderr)
	}
	if len(moved) != 1 || !moved[0].OK {
		t.Errorf("%+v", moved)
	}
}

// Its downloads survive, too.
func TestNodeFailures(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not there")
	}
	s := newSite(t, lab.Link{})
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": id})
	node := program{"node", func(s *site, out string) []string {
		return []string{"node", "-e", nodeHTTPS, s.ca.certificate, s.url(), out}
	}}
	s.fail(node, 0.3, func() { s.web["wlan0"].Freeze() })
	s.web["wlan0"].Thaw()
	s.fail(node, 0.3, func() { s.web["wlan0"].Kill() })
}

// whatOpenSSLNeeds is what a program has to be linked with beside libssl.a and libcrypto.a, which differs between releases.
func whatOpenSSLNeeds(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("pkg-config", "--static", "--libs", "libcrypto").Output()
	if err != nil {
		t.Fatal("pkg-config: ", err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(flag string) bool { return flag == "-lcrypto" })
}

// A program has OpenSSL linked into it, by its static libraries, and exports its functions.
func TestLinkedIn(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.rate *= 2
	s.serve(nil)
	linked := s.Dir + "/tlsfetch-linked"
	s.CC("tlsfetch", append([]string{"-rdynamic", "-o", linked, "-Wl,--whole-archive", "-l:libssl.a", "-l:libcrypto.a",
		"-Wl,--no-whole-archive"}, whatOpenSSLNeeds(t)...)...)
	for _, setting := range []string{"plain", "callback", "epoll", "digest"} {
		t.Run(setting, func(t *testing.T) {
			s.t = t
			out := s.out(setting)
			args := []string{linked, s.ca.certificate, host, "443", "/" + name, out, setting}
			native := s.Command(args...).Run()
			s.intact("natively", out)
			os.Remove(out)
			times := 3
			if setting == "digest" {
				times = 1
			}
			r, moved := s.move(s.Midstream(args...), out, times)
			if setting != "callback" { // which says how often it was called
				lab.Compare(t, native, r)
			}
			s.intact(setting, out)
			if len(moved) == 0 {
				t.Error("nothing was moved")
			}
			for _, m := range moved {
				if m.OK == (setting == "digest") {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

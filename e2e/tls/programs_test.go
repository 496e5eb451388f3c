package tls

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// Content that is compressed or chunked moves, or is refused with a reason, and arrives whole either way.
func TestCodedResponses(t *testing.T) {
	s := newSite(t, lab.Link{})
	const lines = 300000
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "line %d of a text that can be compressed, %x\n", i, uint32(i)*2654435761)
	}
	path := filepath.Join(s.folder, "content", "text.txt")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	want := lab.Sum(path)
	s.rate = 6 << 20
	const gzip = " gzip on; gzip_types *; gzip_comp_level 1; gzip_proxied any;"
	chunked := " location /chunked/ { ssi on; ssi_types *; ssi_last_modified on; alias " + filepath.Join(s.folder, "content") + "/; }"
	s.serve(map[string]identity{"wlan0": {extra: gzip + chunked}, "wwan0": {extra: gzip + chunked}})
	url := "https://" + host
	for label, args := range map[string][]string{
		"gzip":         {"--compressed", url + "/text.txt"},
		"chunked":      {url + "/chunked/text.txt"},
		"chunked gzip": {"--compressed", url + "/chunked/text.txt"},
	} {
		t.Run(label, func(t *testing.T) {
			s.t = t
			out := s.out(strings.ReplaceAll(label, " ", "-"))
			args := append([]string{"curl", "-sSN", "-D", out + ".head", "--cacert", s.ca.certificate, "-o", out}, args...)
			native := s.Command(args...).Run()
			if native.Status != 0 || lab.Sum(out) != want {
				t.Fatalf("natively: %v", native)
			}
			head, _ := os.ReadFile(out + ".head")
			if !strings.Contains(string(head), "chunked") {
				t.Fatalf("not chunked: %s", head)
			}
			os.Remove(out)
			r, moved := s.move(s.Midstream(args...), out, 2)
			if r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			if lab.Sum(out) != want {
				t.Error("content differs")
			}
			for _, m := range moved {
				if !m.OK && m.Reason == "" {
					t.Error("refused without a reason")
				}
				t.Logf("moved: %v %s", m.OK, m.Reason)
			}
			if len(moved) == 0 {
				t.Error("nothing was tried")
			}
		})
	}
}

const threads = `
import hashlib, http.client, ssl, sys, threading
context = ssl.create_default_context(cafile=sys.argv[1])
sums = [None] * 4
def fetch(i):
    c = http.client.HTTPSConnection(sys.argv[2], context=context)
    c.request("GET", "/film.bin")
    answer, sum = c.getresponse(), hashlib.sha256()
    with open(sys.argv[3] + (str(i) if i else ""), "wb") as out:
        while piece := answer.read(30000):
            sum.update(piece)
            out.write(piece)
            out.flush()
    sums[i] = sum.hexdigest()
list = [threading.Thread(target=fetch, args=(i,)) for i in range(4)]
for t in list: t.start()
for t in list: t.join()
print(sums)
`

// Several threads download at once, and all of them move.
func TestThreads(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	out := s.out("threads")
	args := []string{"/usr/bin/python3", "-c", threads, s.ca.certificate, host, out}
	native, under := s.Both(nil, args...)
	lab.Compare(t, native, under)
	os.Remove(out)
	r, moved := s.move(s.Midstream(args...), out, 2)
	lab.Compare(t, native, r)
	ok := 0
	for _, m := range moved {
		if m.OK {
			ok++
		} else {
			t.Errorf("not moved: %s", m.Reason)
		}
	}
	if ok < 4 {
		t.Errorf("moved %d times", ok)
	}
}

// repository makes a bare one with a single large pack, to be served as files.
func (s *site) repository(folder string) {
	s.t.Helper()
	work := s.out("work")
	lab.Content(s.t, work, name, size, 9)
	git := func(args ...string) {
		s.t.Helper()
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			s.t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main", work)
	git("-C", work, "add", name)
	git("-C", work, "-c", "user.name=a", "-c", "user.email=a@files.example", "commit", "-q", "-m", "film")
	git("clone", "-q", "--bare", work, folder)
	git("-C", folder, "repack", "-q", "-a", "-d")
	git("-C", folder, "update-server-info")
}

// wheel makes a package of Python's with a large file in it.
func (s *site) wheel(path string) {
	s.t.Helper()
	film, err := os.ReadFile(s.out("content/" + name))
	if err != nil {
		s.t.Fatal(err)
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, file := range []struct{ name, text string }{
		{"film.bin", string(film)},
		{"film-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: film\nVersion: 1.0\n"},
		{"film-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"film-1.0.dist-info/RECORD", ""},
	} {
		part, err := w.CreateHeader(&zip.FileHeader{Name: file.name, Method: zip.Store})
		if err == nil {
			_, err = part.Write([]byte(file.text))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// largest returns the size of the largest file in a folder and those in it.
func largest(folder string) (most int64) {
	filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err == nil {
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				most = max(most, info.Size())
			}
		}
		return nil
	})
	return most
}

// Programs that come with their own rules for files and folders: natively, under Midstream, and moved on the way.
func TestFetchers(t *testing.T) {
	s := newSite(t, lab.Link{})
	content := filepath.Join(s.folder, "content")
	s.repository(filepath.Join(content, "film.git"))
	s.wheel(filepath.Join(content, "film-1.0-py3-none-any.whl"))
	s.serve(nil)
	fetchers := map[string]struct {
		args   []string
		folder string   // where the file grows
		result []string // prints what was fetched
	}{
		"git": {
			[]string{"env", "GIT_SSL_CAINFO=" + s.ca.certificate, "git", "clone", "-q", "https://" + host + "/film.git", s.out("clone")},
			s.out("clone"), []string{"sha256sum", filepath.Join(s.out("clone"), name)},
		},
		"apt": {
			[]string{"sh", "-c", `mkdir -p "$1" && printf '601 Configuration\nConfig-Item: Acquire::https::CaInfo=%s\nConfig-Item: APT::Sandbox::User=root\n\n600 URI Acquire\nURI: %s\nFilename: %s/film\n\n' "$2" "$3" "$1" | { cat; while ! grep -q '^201' "$1/log"; do sleep 0.1; done; } | /usr/lib/apt/methods/https >"$1/log"; grep -E '^(SHA256-Hash|201|400|Message)' "$1/log"`,
				"sh", s.out("apt"), s.ca.certificate, s.url()},
			s.out("apt"), []string{"sha256sum", filepath.Join(s.out("apt"), "film")},
		},
		"pip": {
			[]string{"env", "REQUESTS_CA_BUNDLE=" + s.ca.certificate, "TMPDIR=" + s.out("pip.tmp"), "/usr/bin/python3", "-m", "pip", "download", "-q", "--no-cache-dir", "--no-deps",
				"--disable-pip-version-check", "--no-index", "--cert", s.ca.certificate, "-d", s.out("pip"), "https://" + host + "/film-1.0-py3-none-any.whl"},
			s.out("pip.tmp"), []string{"sha256sum", s.out("pip/film-1.0-py3-none-any.whl")},
		},
	}
	for label, f := range fetchers {
		t.Run(label, func(t *testing.T) {
			s.t = t
			run := func(p *lab.Program, move bool) (lab.Result, string, []lab.Moved) {
				os.RemoveAll(f.folder)
				os.RemoveAll(s.out("pip"))
				if label != "git" {
					os.Mkdir(f.folder, 0o755)
				}
				var moved []lab.Moved
				p.Start()
				if move {
					s.Await("a part of the file", lab.Patience, func() bool { return largest(f.folder) > size/4 })
					moved = s.migrate("wwan0")
				}
				r := p.Wait()
				return r, s.Command(f.result...).Run().Stdout, moved
			}
			native, want, _ := run(s.Command(f.args...), false)
			if native.Status != 0 || want == "" {
				t.Fatalf("natively: %v %s%s", native, native.Stderr, want)
			}
			under, got, _ := run(s.Midstream(f.args...), false)
			lab.Compare(t, native, under)
			if got != want {
				t.Errorf("unmoved: %s, not %s", got, want)
			}
			under, got, moved := run(s.Midstream(f.args...), true)
			lab.Compare(t, native, under)
			if got != want {
				t.Errorf("moved: %s, not %s", got, want)
			}
			if len(moved) != 1 || !moved[0].OK {
				t.Errorf("%+v", moved)
			}
		})
	}
}

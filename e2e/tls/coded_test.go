package tls

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// Responses that Apache compresses on the way: in chunks, and without ranges, so that a new server sends all of it.

const codedPython = `
import gzip, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
request = urllib.request.Request(sys.argv[2], headers={"Accept-Encoding": "gzip"})
octets = b""
with urllib.request.urlopen(request, context=context) as answer:
    print(answer.headers["Content-Encoding"], answer.headers["Transfer-Encoding"])
    while piece := answer.read(5000):
        octets += piece
        with open(sys.argv[3] + ".coded", "ab") as f:
            f.write(piece)
with open(sys.argv[3], "wb") as f:
    f.write(gzip.decompress(octets))
`

var codedPrograms = []program{
	{"curl", func(s *site, out string) []string {
		return []string{"curl", "-sS", "--compressed", "--cacert", s.ca.certificate, "-o", out, s.url()}
	}},
	{"wget", func(s *site, out string) []string {
		return []string{"wget", "-q", "--compression=gzip", "--ca-certificate=" + s.ca.certificate, "-O", out, s.url()}
	}},
	{"aria2", func(s *site, out string) []string {
		return []string{"aria2c", "-q", "--no-conf", "--file-allocation=none", "--allow-overwrite", "--split=1", "--http-accept-gzip=true",
			"--ca-certificate=" + s.ca.certificate, "-d", filepath.Dir(out), "-o", filepath.Base(out), s.url()}
	}},
	{"python", func(s *site, out string) []string {
		return []string{"/usr/bin/python3", "-c", codedPython, s.ca.certificate, s.url(), out}
	}},
}

// newCodedSite has Apache in both networks; the second is the faster one, as it has to catch up: it compresses everything once
// more, on a machine that may be busy, while the first one, which has done so already, sends the rest.
func newCodedSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, folder: t.TempDir(), web: map[string]*lab.Server{}}
	s.Lab = lab.New(t, lab.Net("wlan0", lab.Link{Rate: 6_000_000}), lab.Net("wwan0", lab.Link{Rate: 200_000_000}))
	s.ca = newAuthority(t, s.folder, "ca")
	os.Chmod(s.folder, 0o755)
	content := filepath.Join(s.folder, "content")
	os.Mkdir(content, 0o755)
	random := make([]byte, 3_000_000)
	rand.NewChaCha8([32]byte{5}).Read(random)
	if err := os.WriteFile(filepath.Join(content, name), []byte(hex.EncodeToString(random)), 0o644); err != nil {
		t.Fatal(err)
	}
	// Apache's entity tags are weak as long as a file is new.
	earlier := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(content, name), earlier, earlier); err != nil {
		t.Fatal(err)
	}
	s.sum = lab.Sum(filepath.Join(content, name))
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		id := s.ca.issue(n.Name, host, 30)
		os.Chmod(id.key, 0o644)
		s.web[n.Name] = n.Apache(content, lab.ServerOptions{Port: 443, Extra: fmt.Sprintf(`
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so
LoadModule filter_module /usr/lib/apache2/modules/mod_filter.so
SSLEngine on
SSLCertificateFile %q
SSLCertificateKeyFile %q
SetOutputFilter DEFLATE
DeflateCompressionLevel 1
`, id.certificate, id.key)})
	}
	return s
}

// received waits until the program has received so many octets of content.
func (s *site) received(p *lab.Program, octets int64) {
	s.t.Helper()
	control := s.Control(p.Pid(), lab.Patience)
	defer control.Close()
	s.Await("some content", lab.Patience, func() bool {
		all, err := control.Sessions()
		return err == nil && len(all) == 1 && all[0].Received > octets
	})
}

// Compressed responses are moved, and continued after failures, as others are.
func TestCompressedOnTheWay(t *testing.T) {
	s := newCodedSite(t)
	s.moveCoded([]way{
		{"moved", nil, func() {}},
		{"reset", func() { s.Network("wlan0").ResetConnections() }, func() {}},
		{"killed", func() { s.web["wlan0"].Kill() }, func() { s.web["wlan0"].Restart() }},
		{"frozen", func() { s.web["wlan0"].Freeze() }, func() { s.web["wlan0"].Thaw() }},
		{"carrier", func() { s.Network("wlan0").CarrierDown() }, func() { s.Network("wlan0").CarrierUp() }},
	})
}

// Where only one of the interfaces can be up, the old connection goes first.
func TestCompressedBreaksBeforeItMakes(t *testing.T) {
	s := newCodedSite(t)
	s.Configure("[migration]\nsingle = true\n")
	s.moveCoded([]way{{"moved", nil, func() {}}})
}

// way is what happens to a download: do, or, if that is nil, a migration.
type way struct {
	name     string
	do, undo func()
}

func (s *site) moveCoded(ways []way) {
	t := s.t
	for _, p := range codedPrograms {
		t.Run(p.name, func(t *testing.T) {
			s.t = t
			out := s.out(p.name)
			s.UseResolver(s.Network("wwan0")) // which does not take as long
			native := s.Command(p.args(s, out)...).Run()
			s.UseResolver(s.Network("wlan0"))
			s.intact("natively", out)
			for _, way := range ways {
				t.Run(way.name, func(t *testing.T) {
					s.t = t
					os.Remove(out)
					run := s.Midstream(p.args(s, out)...).Start()
					s.received(run, 600_000)
					if way.do != nil {
						way.do()
						defer way.undo()
					} else {
						for _, m := range s.migrate("wwan0") {
							if !m.OK {
								t.Errorf("not moved: %s", m.Reason)
							} else {
								t.Logf("at %d, %s, %.1f ms", m.Migration.Offset, m.Migration.Delivery, m.Migration.StallMS)
							}
						}
					}
					under := run.Wait()
					if under.Status != native.Status || under.Stdout != native.Stdout || strings.TrimSpace(under.Stderr) != strings.TrimSpace(native.Stderr) {
						t.Errorf("natively %v\nunder Midstream %v", native, under)
					}
					s.intact(way.name, out)
				})
			}
		})
	}
}

// Answers are reframed by a shim compiled for AddressSanitizer and UndefinedBehaviorSanitizer.
func TestSanitizersReframe(t *testing.T) {
	s := newCodedSite(t)
	for _, p := range codedPrograms {
		if p.name == "curl" || p.name == "aria2" {
			continue // they have threads for names, and hang under the sanitizer
		}
		t.Run(p.name, func(t *testing.T) {
			s.t = t
			out := s.out(p.name)
			run, reports := s.sanitized(p.name, p.args(s, out))
			run.Start()
			s.received(run, 300_000)
			for _, m := range s.migrate("wwan0") {
				if !m.OK {
					t.Errorf("not moved: %s", m.Reason)
				}
			}
			s.Network("wwan0").ResetConnections()
			if r := run.Wait(); r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			s.intact(p.name, out)
			reports()
		})
	}
}

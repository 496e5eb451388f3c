package tls

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// older are programs of Debian 11 with OpenSSL 1.1, as older.sh has unpacked them.
func older(t *testing.T) []program {
	t.Helper()
	root := filepath.Join(lab.Root(t), "build/openssl-1.1")
	libraries, _ := filepath.Glob(filepath.Join(root, "usr/lib/*/libssl.so.1.1"))
	if len(libraries) == 0 {
		t.Skip("OpenSSL 1.1 could not be had: sh e2e/tls/older.sh says why")
	}
	under := func(args ...string) []string {
		return append([]string{"env", "LD_LIBRARY_PATH=" + filepath.Dir(libraries[0]), "PYTHONHOME=" + filepath.Join(root, "usr")}, args...)
	}
	python39 := filepath.Join(root, "usr/bin/python3.9")
	return []program{
		{"curl", func(s *site, out string) []string {
			return under(filepath.Join(root, "usr/bin/curl"), "-sS", "--cacert", s.ca.certificate, "-o", out, s.url())
		}},
		{"python", func(s *site, out string) []string {
			return under(python39, "-c", python, s.ca.certificate, s.url(), out)
		}},
		{"asyncio", func(s *site, out string) []string {
			return under(append([]string{python39}, s.asyncio(out, "")[1:]...)...)
		}},
		{"memory", func(s *site, out string) []string {
			return under(append([]string{python39}, s.memory("poll", out)[1:]...)...)
		}},
	}
}

// Programs with OpenSSL 1.1 do and say the same unmoved and moved as natively, and survive a server that goes.
func TestOpenSSL11(t *testing.T) {
	list := older(t)
	for _, version := range []string{"TLSv1.3", "TLSv1.2"} {
		t.Run(version, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.rate *= 2
			id := identity{extra: "ssl_protocols " + version + ";"}
			s.serve(map[string]identity{"wlan0": id, "wwan0": id})
			for _, p := range list {
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					out := s.out(p.name + version)
					native := s.Command(p.args(s, out)...).Run()
					os.Remove(out)
					under, moved := s.move(s.Midstream(p.args(s, out)...), out, 3)
					lab.Compare(t, native, under)
					s.intact(p.name, out)
					if len(moved) == 0 {
						t.Error("nothing was moved")
					}
					for _, m := range moved {
						if !m.OK {
							t.Errorf("not moved: %s", m.Reason)
						}
					}
				})
			}
			if version == "TLSv1.2" {
				return
			}
			for _, p := range list {
				t.Run(p.name+" without its server", func(t *testing.T) {
					s.t = t
					s.fail(p, 0.3, func() {
						if said := s.Ctl("sessions", "--json").Run().Stdout; !strings.Contains(said, "OpenSSL 1.1") {
							t.Errorf("listed as %s", said)
						}
						s.web["wlan0"].Kill()
					})
					s.web["wlan0"].Restart()
				})
			}
		})
	}
}

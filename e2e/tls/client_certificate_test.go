package tls

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

const pythonWithCertificate = `
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
context.post_handshake_auth = True
context.load_cert_chain(sys.argv[4], sys.argv[5])
with urllib.request.urlopen(sys.argv[2], context=context) as answer, open(sys.argv[3], "wb") as out:
    while piece := answer.read(50000):
        out.write(piece)
        out.flush()
`

// own is the program's certificate: of an authority below the one that servers know, which comes with it.
func (s *site) own() identity {
	s.t.Helper()
	return s.ca.below("middle").chained("ann", "ann")
}

// withCertificate are programs that have a certificate to show.
func (s *site) withCertificate(id identity) []program {
	return []program{
		{"curl", func(s *site, out string) []string {
			return []string{"curl", "-sS", "--cacert", s.ca.certificate, "--cert", id.certificate, "--key", id.key, "-o", out, s.url()}
		}},
		{"python", func(s *site, out string) []string {
			return []string{"/usr/bin/python3", "-c", pythonWithCertificate, s.ca.certificate, s.url(), out, id.certificate, id.key}
		}},
		{"wget", func(s *site, out string) []string {
			return []string{"wget", "-q", "--ca-certificate=" + s.ca.certificate, "--certificate=" + id.certificate, "--private-key=" + id.key, "-O", out, s.url()}
		}},
		{"lftp", func(s *site, out string) []string {
			return []string{"lftp", "-c", "set ssl:ca-file " + s.ca.certificate + "; set ssl:cert-file " + id.certificate +
				"; set ssl:key-file " + id.key + "; set xfer:clobber yes; get " + s.url() + " -o " + out}
		}},
		{"aria2", func(s *site, out string) []string {
			return []string{"aria2c", "-q", "--no-conf", "--file-allocation=none", "--allow-overwrite", "--split=1",
				"--ca-certificate=" + s.ca.certificate, "--certificate=" + id.certificate, "--private-key=" + id.key,
				"-d", filepath.Dir(out), "-o", filepath.Base(out), s.url()}
		}},
	}
}

// demands is nginx's configuration for who wants a certificate.
func (s *site) demands(how string) string {
	return fmt.Sprintf("ssl_client_certificate %s; ssl_verify_client %s; ssl_verify_depth 3;", s.ca.certificate, how)
}

// A program that has shown its certificate to the old server shows it to the new one, which is asked for the rest.
func TestClientCertificates(t *testing.T) {
	for _, version := range []string{"TLSv1.3", "TLSv1.2"} {
		t.Run(version, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.rate *= 2
			id := identity{extra: s.demands("on") + " ssl_protocols " + version + ";"}
			s.serve(map[string]identity{"wlan0": id, "wwan0": id})
			for _, p := range s.withCertificate(s.own()) {
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					out := s.out(p.name)
					native := s.Command(p.args(s, out)...).Run()
					s.intact("natively", out)
					os.Remove(out)
					r, moved := s.move(s.Midstream(p.args(s, out)...), out, 3)
					lab.Compare(t, native, r)
					s.intact(p.name, out)
					if len(moved) == 0 || slices.ContainsFunc(moved, func(m lab.Moved) bool { return !m.OK }) {
						t.Errorf("%+v", moved)
					}
				})
			}
		})
	}
}

// A certificate that the old server has not asked for is shown to nobody: a server that demands one is refused, and one that
// would like to see it does not.
func TestCertificateIsKept(t *testing.T) {
	for how, movable := range map[string]bool{"on": false, "optional": true} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.serveAt(s.Network("wwan0"), identity{extra: s.demands(how) + " if ($ssl_client_verify = SUCCESS) { return 403; }"})
			near := s.slow("wlan0")
			for _, p := range s.withCertificate(s.own()) {
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					out := s.out(p.name)
					r, moved := s.moveOnce(s.Midstream(p.args(s, out)...), out, near)
					if r.Status != 0 || r.Stderr != "" {
						t.Errorf("%v", r)
					}
					s.intact(p.name, out)
					gnu := p.name != "curl" && p.name != "python" // GnuTLS would show it: the twin ends where it is asked
					reason := "answered 400"
					if gnu {
						reason = "asks for a client certificate"
					}
					if len(moved) != 1 || moved[0].OK != (movable && !gnu) || !moved[0].OK && !strings.Contains(moved[0].Reason, reason) {
						t.Errorf("%+v", moved)
					}
				})
			}
		})
	}
}

package tls

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A server that the program would not have taken, or that is another than the old one, is refused, and the download ends
// on the old one.
func TestRefused(t *testing.T) {
	cases := []struct {
		name     string
		identity func(s *site) identity
		insecure bool // the program does not verify
		reason   string
	}{
		{"wrong name", func(s *site) identity { return s.ca.issue("other", "other.example", 30) }, false, "certificate"},
		{"expired", func(s *site) identity { return s.ca.issue("old", host, -1) }, false, "certificate"},
		{"other authority", func(s *site) identity {
			return newAuthority(s.t, s.folder, "strangers").issue("strange", host, 30)
		}, false, "certificate"},
		{"self-signed", func(s *site) identity { return selfSigned(s.t, s.folder, "self", host) }, false, "certificate"},
		{"another certificate, unverified", func(s *site) identity { return s.ca.issue("second", host, 30) }, true, "certificate"},
		{"older version", func(s *site) identity { return identity{extra: "ssl_protocols TLSv1.2;"} }, false, "TLS"},
		{"client certificate demanded", func(s *site) identity {
			return identity{extra: "ssl_client_certificate " + s.ca.certificate + "; ssl_verify_client on;"}
		}, false, ""},
		{"other content", func(s *site) identity {
			folder := filepath.Join(s.folder, "others")
			lab.Content(s.t, folder, name, size-1, 8)
			return identity{extra: "location / { root " + folder + "; }"}
		}, false, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.serveAt(s.Network("wwan0"), c.identity(s))
			near := s.slow("wlan0")
			for _, p := range programs[:3] {
				if c.insecure && p.name != "curl" {
					continue
				}
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					out := s.out(p.name)
					args := p.args(s, out)
					if c.insecure {
						args = append(args, "-k")
					}
					r, moved := s.moveOnce(s.Midstream(args...), out, near)
					if r.Status != 0 || r.Stderr != "" {
						t.Errorf("%v", r)
					}
					s.intact(p.name, out)
					if len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, c.reason) {
						t.Errorf("%+v", moved)
					} else {
						t.Log(moved[0].Reason)
					}
				})
			}
		})
	}
}

const pinning = `
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
c = http.client.HTTPSConnection(sys.argv[2], context=context)
c.connect()
assert c.sock.getpeercert(binary_form=True)
c.request("GET", "/film.bin")
answer = c.getresponse()
with open(sys.argv[3], "wb") as out:
    while piece := answer.read(50000):
        out.write(piece)
        out.flush()
`

// A program that compares the certificate or its key with a pin stays where they are the same.
func TestPinned(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serveAt(s.Network("wwan0"), identity{})
	near := s.slow("wlan0")
	key := s.out("wlan0.public")
	openssl(t, "x509", "-in", s.out("wlan0.pem"), "-noout", "-pubkey", "-out", key)
	for label, args := range map[string][]string{
		"curl":   {"curl", "-sS", "--cacert", s.ca.certificate, "--pinnedpubkey", key, "-o", s.out("curl"), s.url()},
		"wget":   {"wget", "-q", "--ca-certificate=" + s.ca.certificate, "--pinnedpubkey=" + key, "-O", s.out("wget"), s.url()},
		"python": {"/usr/bin/python3", "-c", pinning, s.ca.certificate, host, s.out("python")},
	} {
		t.Run(label, func(t *testing.T) {
			s.t = t
			r, moved := s.moveOnce(s.Midstream(args...), s.out(label), near)
			if r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			s.intact(label, s.out(label))
			if len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, "itself") {
				t.Errorf("%+v", moved)
			}
		})
	}
}

// An unverified program moves to a server that shows the very same certificate.
func TestSameCertificate(t *testing.T) {
	s := newSite(t, lab.Link{})
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": id})
	out := s.out("out")
	r, moved := s.move(s.Midstream("curl", "-sSk", "-o", out, s.url()), out, 2)
	if r.Status != 0 || len(moved) == 0 {
		t.Errorf("%v", r)
	}
	for _, m := range moved {
		if !m.OK {
			t.Error(m.Reason)
		}
	}
	s.intact("curl", out)
}

// The session is shown as what it is.
func TestSessions(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	for _, p := range programs {
		out := s.out(p.name)
		run := s.Midstream(p.args(s, out)...).Start()
		s.reached(run, out, size/4)
		list := s.Ctl("sessions", "--json").Run().Stdout
		for _, want := range []string{s.url(), `"library":`, `"TLS`, `"movable":true`} {
			if !strings.Contains(strings.ReplaceAll(list, ": ", ":"), want) {
				t.Errorf("%s: no %s in %s", p.name, want, list)
			}
		}
		run.Wait()
		os.Remove(filepath.Join(s.folder, p.name))
	}
}

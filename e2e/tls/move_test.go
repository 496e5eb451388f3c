package tls

import (
	"fmt"
	"path/filepath"
	"testing"

	"midstream/e2e/lab"
)

// program is a real one that downloads s.url() to a file.
type program struct {
	name string
	args func(s *site, out string) []string
}

const python = `
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
with urllib.request.urlopen(sys.argv[2], context=context) as answer, open(sys.argv[3], "wb") as out:
    while True:
        piece = answer.read(50000)
        if not piece:
            break
        out.write(piece)
        out.flush()
`

var programs = []program{
	{"curl", func(s *site, out string) []string {
		return []string{"curl", "-sS", "--cacert", s.ca.certificate, "-o", out, s.url()}
	}},
	{"python", func(s *site, out string) []string {
		return []string{"/usr/bin/python3", "-c", python, s.ca.certificate, s.url(), out}
	}},
	{"wget", func(s *site, out string) []string {
		return []string{"wget", "-q", "--ca-certificate=" + s.ca.certificate, "-O", out, s.url()}
	}},
	{"aria2", func(s *site, out string) []string {
		return []string{"aria2c", "-q", "--no-conf", "--file-allocation=none", "--allow-overwrite", "--split=1",
			"--ca-certificate=" + s.ca.certificate, "-d", filepath.Dir(out), "-o", filepath.Base(out), s.url()}
	}},
	{"lftp", func(s *site, out string) []string {
		return []string{"lftp", "-c", "set ssl:ca-file " + s.ca.certificate + "; set xfer:clobber yes; get " + s.url() + " -o " + out}
	}},
	{"ffmpeg", func(s *site, out string) []string {
		return []string{"ffmpeg", "-y", "-loglevel", "error", "-ca_file", s.ca.certificate, "-tls_verify", "1", "-f", "data",
			"-i", s.url(), "-map", "0", "-c", "copy", "-f", "data", out}
	}},
	{"asyncio", func(s *site, out string) []string { return s.asyncio(out, "") }},
}

// Without a migration, a program does and says the same under Midstream as natively.
func TestUnmoved(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.rate = 0
	s.serve(nil)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			s.t = t
			out := s.out(p.name)
			native, under := s.Both(nil, p.args(s, out)...)
			lab.Compare(t, native, under)
			s.intact(p.name, out)
		})
	}
}

// A download is moved several times at random octets, and the program notices nothing.
func TestMoved(t *testing.T) {
	for _, version := range []string{"TLSv1.3", "TLSv1.2"} {
		t.Run(version, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			id := identity{extra: fmt.Sprintf("ssl_protocols %s;", version)}
			s.serve(map[string]identity{"wlan0": id, "wwan0": id})
			for _, p := range programs {
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					out := s.out(p.name + version)
					r, moved := s.move(s.Midstream(p.args(s, out)...), out, 4)
					if r.Status != 0 || r.Stderr != "" {
						t.Errorf("%v", r)
					}
					s.intact(p.name, out)
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
		})
	}
}

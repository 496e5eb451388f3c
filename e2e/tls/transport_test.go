package tls

import (
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A program of GnuTLS may give functions of its own to send and receive with. What it goes by is what those have met, so that
// a session that has moved goes on through them; and what they have read ahead of the old connection is none of the new one's.
func TestTransportOfTheProgram(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.Configure("[failover]\nenabled = false\n")
	s.serve(nil)
	fetcher := s.fetcher(true)
	for _, setting := range []string{"pull", "pull=ahead", "pull=memory", "cork"} {
		for _, version := range []string{"TLS1.2", "TLS1.3"} {
			t.Run(setting+" "+version, func(t *testing.T) {
				s.t = t
				out := s.out("out")
				p := s.Midstream(fetcher, s.ca.certificate, host, "443", "/"+name, out, setting, "priority=NORMAL:-VERS-ALL:+VERS-"+version)
				os.Remove(out)
				r, moved := s.move(p, out, 2)
				if r.Status != 0 || r.Stderr != "" {
					t.Errorf("%v", r)
				}
				s.intact(setting, out)
				carried := setting == "pull=memory"
				if len(moved) == 0 {
					t.Error("nothing was to be moved")
				}
				for _, m := range moved {
					if m.OK == carried || carried && !strings.Contains(m.Reason, "carries its TLS records itself") {
						t.Errorf("%+v", m)
					}
				}
			})
		}
	}
}

const soup = `
import gi, resource, sys
gi.require_version("Soup", "3.0")
from gi.repository import Soup, Gio
ca, url, out = sys.argv[1:]
session = Soup.Session()
session.set_tls_database(Gio.TlsFileDatabase.new(ca))
stream = session.send(Soup.Message.new("GET", url), None)
with open(out, "wb") as f:
    while True:
        piece = stream.read_bytes(50000, None).get_data()
        if not piece:
            break
        f.write(piece)
        f.flush()
`

// glib-networking, by which libsoup and GStreamer speak TLS, is such a program. It has its function verify certificates only while
// it shakes hands.
func TestSoup(t *testing.T) {
	s := newSite(t, lab.Link{})
	same := s.ca.issue("same", host, 30)
	s.serve(map[string]identity{"wlan0": same, "wwan0": same})
	download := func(times int) []lab.Moved {
		out := s.out("soup")
		os.Remove(out)
		r, moved := s.move(s.Midstream("/usr/bin/python3", "-c", soup, s.ca.certificate, s.url(), out), out, times)
		if r.Status != 0 || r.Stderr != "" {
			t.Errorf("%v", r)
		}
		s.intact("soup", out)
		return moved
	}
	for _, m := range download(4) {
		if !m.OK {
			t.Errorf("%+v", m)
		}
	}
	s.web["wwan0"].Stop()
	s.serveAt(s.Network("wwan0"), identity{})
	for _, m := range download(1) {
		if m.OK || !strings.Contains(m.Reason, "the program verifies certificates itself") {
			t.Errorf("%+v", m)
		}
	}
}

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

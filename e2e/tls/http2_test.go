package tls

import (
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// HTTP/2 is left out of the offer, unless the configuration keeps it; then the stream is shown as what it is.
func TestHTTP2(t *testing.T) {
	s := newSite(t, lab.Link{})
	id := s.ca.issue("h2", host, 30)
	for _, n := range s.Networks()[:1] {
		s.web[n.Name] = n.Nginx(s.folder+"/content", lab.ServerOptions{Port: 443, Listen: "ssl http2", LimitRate: s.rate,
			Extra: "ssl_certificate " + id.certificate + "; ssl_certificate_key " + id.key + ";"})
	}
	for setting, version := range map[string]string{"avoid": "1.1", "keep": "2"} {
		t.Run(setting, func(t *testing.T) {
			s.Configure("[tls]\nhttp2 = \"" + setting + "\"\n")
			out := s.out(setting)
			p := s.Midstream("curl", "-sS", "--cacert", s.ca.certificate, "-w", "%{http_version}", "-o", out, s.url()).Start()
			s.reached(p, out, size/4)
			list := s.Ctl("sessions", "--json").Run().Stdout
			if strings.Contains(list, "HTTP/2") != (setting == "keep") {
				t.Error(list)
			}
			if r := p.Wait(); r.Status != 0 || r.Stdout != version {
				t.Errorf("%v", r)
			}
			s.intact("curl", out)
		})
	}
}

// A station over TLS.

package live

import (
	"path/filepath"
	"testing"

	"midstream/e2e/lab"
)

func TestAStationOverTLSGoesOn(t *testing.T) {
	s := newSite(t, "wlan0", "wwan0")
	ca := lab.Authority(t, filepath.Join(t.TempDir(), "ca"))
	fronts := map[string]*lab.Server{}
	for _, n := range s.Networks() {
		certificate, key := lab.Certificate(t, ca, n.Name, host)
		fronts[n.Name] = n.Nginx(t.TempDir(), lab.ServerOptions{Addresses: []string{n.Content()}, Port: 443, Listen: "ssl", Extra: "ssl_certificate " + certificate + "; ssl_certificate_key " + key +
			"; location / { proxy_pass http://" + n.Content() + ":80; proxy_buffering off; }"})
	}
	const url = "https://" + host + "/live.mp3"
	all := []*listener{
		s.listener(true, "curl", 0, "curl", "-sSN", "--cacert", ca, "-o", "out", url),
		s.listener(true, "curl with titles", 16000, "curl", "-sSN", "--cacert", ca, "-H", "Icy-MetaData: 1", "-o", "out", url),
		s.listener(true, "wget", 0, "wget", "-q", "-t", "1", "--ca-certificate="+ca, "-O", "out", url),
	}
	s.station.Title("the first")
	for _, l := range all {
		l.reaches(s.station.Sent())
	}
	s.station.Title("the second")
	for i, event := range []func(){
		func() {
			if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status != 0 {
				t.Errorf("%v", r)
			}
		},
		func() { fronts["wwan0"].Kill() },
	} {
		begun := s.station.Sent()
		event()
		for _, l := range all {
			l.reaches(begun + rate)
			moved := l.migrations()
			if len(moved) <= i {
				t.Errorf("%s: %+v", l.name, moved)
			} else {
				t.Logf("%s: %s, nothing for %.0f ms", l.name, moved[i].Delivery, moved[i].StallMS)
			}
		}
	}
	for _, l := range all {
		l.intact()
	}
}

package tls

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A library that is linked in is not known, and its sessions are told of, also without a list of protocols in the ClientHello; but
// for a connection to a port of another protocol the core is not loaded.
func TestTLSByAnUnknownLibraryIsTold(t *testing.T) {
	s := newSite(t, lab.Link{})
	id := s.ca.issue("unknown", host, 30)
	for _, port := range []int{443, 8443, 993} {
		s.Networks()[0].Nginx(filepath.Join(s.folder, "content"), lab.ServerOptions{Port: port, Listen: "ssl", LimitRate: s.rate,
			Extra: fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", id.certificate, id.key)})
	}
	client := s.CC("tlsfetch", append([]string{"-l:libssl.a", "-l:libcrypto.a"}, whatOpenSSLNeeds(t)...)...)
	for port, url := range map[string]string{"443": "https://" + host + "/", "8443": "https://" + host + ":8443/", "993": ""} {
		out := s.out(port)
		p := s.Midstream(client, s.ca.certificate, host, port, "/"+name, out).Start()
		s.reached(p, out, size/8)
		var found []lab.Session
		if err := json.Unmarshal([]byte(s.Ctl("sessions", "--json").Run().Stdout), &found); err != nil {
			t.Fatal(err)
		}
		why := "TLS by a library that Midstream does not know"
		if url == "" {
			why = "no HTTP request has been seen"
		}
		if len(found) != 1 || !strings.Contains(found[0].Why, why) || found[0].URL != url || found[0].Movable {
			t.Errorf("port %s: %+v", port, found)
		}
		maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.Pid()))
		if strings.Contains(string(maps), "libmidstream-core.so") != (url != "") {
			t.Errorf("port %s: the core is loaded, or not", port)
		}
		if r := p.Wait(); r.Status != 0 {
			t.Errorf("%v", r)
		}
		s.intact(port, out)
	}
}

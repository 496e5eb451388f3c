package tls

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// status has the authority say of the certificate that it is good, in a file as servers staple it (RFC 6066 §8).
func (a authority) status(id identity) (path string) {
	a.t.Helper()
	path = id.certificate + ".status"
	serial, err := exec.Command("openssl", "x509", "-in", id.certificate, "-noout", "-serial").Output()
	if err != nil {
		a.t.Fatal(err)
	}
	_, number, _ := strings.Cut(strings.TrimSpace(string(serial)), "=")
	index := path + ".index"
	if err := os.WriteFile(index, []byte("V\t491231235959Z\t\t"+number+"\tunknown\t/CN="+host+"\n"), 0o644); err != nil {
		a.t.Fatal(err)
	}
	openssl(a.t, "ocsp", "-index", index, "-rsigner", a.certificate, "-rkey", a.key, "-CA", a.certificate, "-issuer", a.certificate,
		"-cert", id.certificate, "-ndays", "2", "-respout", path)
	return path
}

// A program that does not go on without a certificate's status looks at that itself, once, of its own server's.
func TestWhoDemandsACertificatesStatus(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.rate = 6 << 20
	id := s.ca.chained("wlan0", host)
	id.extra = "ssl_stapling on; ssl_stapling_file " + s.ca.status(id) + ";"
	s.serve(map[string]identity{"wlan0": id})
	out := s.out("out")
	r, moved := s.move(s.Midstream("curl", "-sS", "--cert-status", "--cacert", s.ca.certificate, "-o", out, s.url()), out, 1)
	if len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, "looks at certificates itself") {
		t.Errorf("%+v", moved)
	}
	if r.Status != 0 || r.Stderr != "" {
		t.Error(r)
	}
	s.intact("curl", out)
}

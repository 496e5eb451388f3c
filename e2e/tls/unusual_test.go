package tls

import (
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// OpenSSL's own client, by which busybox's wget speaks TLS, shakes hands by a write of no octets.
func TestAWriteOfNothingShakesHands(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	out := s.out("busybox")
	args := []string{"env", "SSL_CERT_FILE=" + s.ca.certificate, "busybox", "wget", "-q", "-O", out, s.url()}
	native := s.Command(args...).Run()
	os.Remove(out)
	r, moved := s.move(s.Midstream(args...), out, 1)
	lab.Compare(t, native, r)
	s.intact("busybox", out)
	if len(moved) != 1 || !moved[0].OK {
		t.Errorf("%+v", moved)
	}
}

const tcl = `
package require http
package require tls
lassign $argv ca url out
http::register https 443 [list tls::socket -cafile $ca -autoservername true -require true]
set out [open $out wb]
http::geturl $url -channel $out -binary true
close $out
`

// Tcl reads and writes by BIO_read and BIO_write: no request is seen, but that is told.
func TestASessionThatIsUsedByAnotherWayIsTold(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	script, out := s.out("get.tcl"), s.out("tcl")
	if err := os.WriteFile(script, []byte(tcl), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"tclsh", script, s.ca.certificate, s.url(), out}
	native := s.Command(args...).Run()
	os.Remove(out)
	r, moved := s.move(s.Midstream(args...), out, 1)
	lab.Compare(t, native, r)
	s.intact("tcl", out)
	if len(moved) != 1 || !strings.Contains(moved[0].Reason, "carries its TLS records itself") {
		t.Errorf("%+v", moved)
	}
}

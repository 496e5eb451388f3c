package tls

import (
	"os"
	"os/exec"
	"testing"

	"midstream/e2e/lab"
)

const nodeHTTPS = `
const https = require("https"), fs = require("fs");
const [, ca, url, out] = process.argv;
https.get(url, { ca: fs.readFileSync(ca) }, (answer) => answer.pipe(fs.createWriteStream(out)))
  .on("error", (e) => { console.error(e); process.exit(1); });
`

// Node has OpenSSL within itself.
func TestNode(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not there")
	}
	s := newSite(t, lab.Link{})
	s.rate *= 2
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": s.ca.again("again", host, id)})
	for label, script := range map[string]string{"https": nodeHTTPS} {
		t.Run(label, func(t *testing.T) {
			s.t = t
			out := s.out(label)
			args := []string{"node", "-e", script, s.ca.certificate, s.url(), out}
			native := s.Command(args...)
			native.Env = append(native.Environ(), "NODE_EXTRA_CA_CERTS="+s.ca.certificate)
			want := native.Run()
			s.intact("natively", out)
			os.Remove(out)
			p := s.Midstream(args...)
			p.Env = append(p.Environ(), "NODE_EXTRA_CA_CERTS="+s.ca.certificate)
			r, moved := s.move(p, out, 3)
			lab.Compare(t, want, r)
			s.intact(label, out)
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
}

// Its downloads survive, too.
func TestNodeFailures(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not there")
	}
	s := newSite(t, lab.Link{})
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": id})
	node := program{"node", func(s *site, out string) []string {
		return []string{"node", "-e", nodeHTTPS, s.ca.certificate, s.url(), out}
	}}
	s.fail(node, 0.3, func() { s.web["wlan0"].Freeze() })
	s.web["wlan0"].Thaw()
	s.fail(node, 0.3, func() { s.web["wlan0"].Kill() })
}

// A program has OpenSSL linked into it, by its static libraries, and exports its functions.
func TestLinkedIn(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.rate *= 2
	s.serve(nil)
	linked := s.Dir + "/tlsfetch-linked"
	s.CC("tlsfetch", "-rdynamic", "-Wl,--whole-archive", "-l:libssl.a", "-l:libcrypto.a", "-Wl,--no-whole-archive", "-o", linked)
	for _, setting := range []string{"plain", "callback", "epoll", "digest"} {
		t.Run(setting, func(t *testing.T) {
			s.t = t
			out := s.out(setting)
			args := []string{linked, s.ca.certificate, host, "443", "/" + name, out, setting}
			native := s.Command(args...).Run()
			s.intact("natively", out)
			os.Remove(out)
			times := 3
			if setting == "digest" {
				times = 1
			}
			r, moved := s.move(s.Midstream(args...), out, times)
			if setting != "callback" { // which says how often it was called
				lab.Compare(t, native, r)
			}
			s.intact(setting, out)
			if len(moved) == 0 {
				t.Error("nothing was moved")
			}
			for _, m := range moved {
				if m.OK == (setting == "digest") {
					t.Errorf("%+v", m)
				}
			}
		})
	}
}

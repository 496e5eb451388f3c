package tls

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"midstream/e2e/lab"
)

// What NSS's own client downloads moves, as what OpenSSL's and GnuTLS's do.
func TestNSS(t *testing.T) {
	if _, err := exec.LookPath("tstclnt"); err != nil {
		t.Skip("tstclnt (libnss3-tools) is not there")
	}
	s := newSite(t, lab.Link{})
	s.rate *= 2
	id := s.ca.issue("shared", host, 30)
	s.serve(map[string]identity{"wlan0": id, "wwan0": s.ca.again("again", host, id)})
	request := s.out("request")
	if err := os.WriteFile(request, []byte(fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name, host)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"tls1.2:tls1.2", "tls1.3:tls1.3"} {
		t.Run(version, func(t *testing.T) {
			s.t = t
			answer := s.out("answer")
			args := []string{"sh", "-c", fmt.Sprintf("exec tstclnt -h %s -p 443 -4 -o -D -V %s -A %s >%s", host, version, request, answer)}
			want := s.Command(args...).Run()
			s.content(answer, "natively")
			os.Remove(answer)
			r, moved := s.move(s.Midstream(args...), answer, 3)
			lab.Compare(t, want, r)
			s.content(answer, "moved")
			if len(moved) == 0 {
				t.Error("nothing was moved")
			}
			for _, m := range moved {
				if !m.OK {
					t.Errorf("not moved: %s", m.Reason)
				}
			}
		})
	}
}

// content compares what comes after the head of a file with an answer.
func (s *site) content(file, label string) {
	s.t.Helper()
	octets, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	_, content, _ := bytes.Cut(octets, []byte("\r\n\r\n"))
	out := s.out("content.bin")
	if err := os.WriteFile(out, content, 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.intact(label, out)
}

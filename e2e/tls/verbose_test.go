// What curl -v tells of its connection is what it tells without Midstream: nothing of a twin's handshake.

package tls

import (
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// told is what curl said, without the times of day and the sizes of pieces, which differ from run to run, and without the line
// whose place, from curl 8 on, depends on how soon the answer comes.
func told(r lab.Result) string {
	var lines []string
	for line := range strings.Lines(r.Stderr) {
		if strings.HasPrefix(line, "{ [") || strings.HasPrefix(line, "} [") || strings.HasPrefix(line, "< Date:") ||
			line == "* Request completely sent off\n" {
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

func TestCurlTellsNothingElse(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	out := s.out("verbose")
	args := []string{"curl", "-sv", "--cacert", s.ca.certificate, "-o", out, s.url()}
	native := s.Command(args...).Run()
	if native.Status != 0 || !strings.Contains(native.Stderr, "TLS handshake") {
		t.Fatalf("natively: %v", native)
	}
	os.Remove(out)
	r, moved := s.move(s.Midstream(args...), out, 2)
	for _, m := range moved {
		if !m.OK {
			t.Errorf("not moved: %s", m.Reason)
		}
	}
	if len(moved) == 0 {
		t.Error("nothing was moved")
	}
	s.intact("verbose", out)
	if got, want := told(r), told(native); r.Status != 0 || got != want {
		t.Errorf("status %d, curl told\n%s\nnatively\n%s", r.Status, got, want)
	}
}

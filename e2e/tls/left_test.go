package tls

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// A read that a signal's handler, an exception or a change of stacks has left means nothing to what the thread does afterwards.
func TestAReadThatIsLeftForGood(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	for _, n := range s.Networks() {
		n.Nginx(filepath.Join(s.folder, "content"), lab.ServerOptions{LimitRate: s.rate})
	}
	s.Configure("[failover]\nenabled = false\n") // nothing but the test moves it
	for _, way := range []string{"jump", "unwind", "switch"} {
		t.Run(way, func(t *testing.T) {
			s.t = t
			p := s.Midstream(s.CC("tlsleft", "-l:libssl.so.3", "-l:libcrypto.so.3"), way, host, "/"+name, filepath.Join(s.folder, "content", name))
			in, err := p.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p.Start()
			s.Await("half of the download", lab.Patience, func() bool {
				out, _ := p.Output()
				select {
				case <-p.Ended():
					t.Fatalf("%v", p.Wait())
				default:
				}
				return strings.HasPrefix(out, "left")
			})
			var id string
			for _, one := range s.CtlSessions() {
				if strings.HasPrefix(one.URL, "http:") {
					id = fmt.Sprint(one.ID)
				}
			}
			if r := s.Ctl("migrate", "--to", "wwan0", "--session", id).Run(); r.Status != 0 {
				t.Errorf("%v", r)
			}
			fmt.Fprintln(in)
			if r := p.Wait(); r.Status != 0 || r.Stdout != "left\nall\n" || r.Stderr != "" {
				t.Errorf("%v", r)
			}
		})
	}
}

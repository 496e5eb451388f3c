package tls

import (
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// Downloads as fast as they come are read in every way that a library has, while they are moved to and fro.
func TestReadInEveryWay(t *testing.T) {
	for label, gnu := range map[string]bool{"OpenSSL": false, "GnuTLS": true} {
		t.Run(label, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.rate = 0
			s.serve(nil)
			s.Configure("[failover]\nenabled = false\n") // which would mend what should not have broken
			build := s.CC("tlsways", "-l:libssl.so.3", "-l:libcrypto.so.3")
			if gnu {
				build = s.CC("tlsways", "-DGNUTLS", "-l:libgnutls.so.30")
			}
			seed := strconv.Itoa(rand.IntN(1000))
			p := s.Midstream(build, seed, filepath.Join(s.folder, "content", name), s.ca.certificate, host, "443", "/"+name)
			in, err := p.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p.Start()
			s.known(p)
			s.Control(p.Pid(), lab.Patience)
			deadline := time.Now().Add(lab.Patience)
			storm := s.Storm(s.SocketOf(p.Pid()), rand.Uint64(), 1, 1<<30, func(moved int64) bool { return moved >= 60 || time.Now().After(deadline) })
			storm.Wait()
			in.Close()
			r := p.Wait()
			if r.Status != 0 || r.Stderr != "" {
				t.Errorf("seed %s: %v", seed, r)
			}
			moved := storm.Moved.Load()
			t.Logf("seed %s: %d migrations during %s", seed, moved, r.Stdout)
			if moved < 20 {
				t.Errorf("%d migrations only", moved)
			}
		})
	}
}

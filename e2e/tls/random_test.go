package tls

import (
	"flag"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

var randomMoves = flag.Int64("moves", 250, "how many migrations the randomised test makes of each library and version")

// Kept-alive sessions of several threads are moved at random octets, to random networks, by several triggers at once; every octet
// is compared.
func TestMovedAtRandom(t *testing.T) {
	for _, version := range []string{"TLSv1.3", "TLSv1.2"} {
		for label, gnu := range map[string]bool{"OpenSSL": false, "GnuTLS": true} {
			t.Run(label+" "+version, func(t *testing.T) {
				s := newSite(t, lab.Link{})
				lab.Content(t, filepath.Join(s.folder, "content"), "short.bin", 700_001, 11)
				s.rate = 3 << 20
				id := identity{extra: "ssl_protocols " + version + ";"}
				s.serve(map[string]identity{"wlan0": id, "wwan0": id})
				p := s.Midstream(s.fetcher(gnu), s.ca.certificate, host, "443", "/short.bin", filepath.Join(s.folder, "content", "short.bin"), "churn=8")
				in, err := p.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				p.Start()
				s.known(p)
				s.Control(p.Pid(), lab.Patience)
				deadline := time.Now().Add(25*time.Second + time.Duration(*randomMoves)*50*time.Millisecond)
				storm := s.Storm(s.SocketOf(p.Pid()), rand.Uint64(), 3, 1<<30, func(moved int64) bool { return moved >= *randomMoves || time.Now().After(deadline) })
				storm.Wait()
				in.Close()
				if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
					t.Errorf("%v", r)
				} else {
					t.Logf("%d migrations during %s", storm.Moved.Load(), strings.TrimSpace(r.Stdout))
				}
				if moved := storm.Moved.Load(); moved < 50 {
					t.Errorf("%d migrations only", moved)
				}
				for _, reason := range storm.Illegitimate() {
					t.Errorf("refused %s", reason)
				}
			})
		}
	}
}

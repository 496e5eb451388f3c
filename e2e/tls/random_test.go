package tls

import (
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// refusals that a trigger at a random moment may meet: the download ended, or was between its requests.
var refusals = []string{
	"the program has closed it", "its connection has ended", "no request has been sent", "no such session", "the stream changed during the migration",
	"the exchange has ended meanwhile", "the program has ended its TLS session", "its TLS session cannot be continued",
}

// Kept-alive sessions of several threads are moved at random octets, to random networks, by several triggers at once; every octet
// is compared.
func TestMovedAtRandom(t *testing.T) {
	const wanted = 250
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
				path := filepath.Join(s.RuntimeDir(), strconv.Itoa(p.Pid())+".sock")
				var moved atomic.Int64
				deadline := time.Now().Add(25 * time.Second)
				var movers sync.WaitGroup
				for range 3 {
					movers.Add(1)
					go func() {
						defer movers.Done()
						c, err := s.ControlSocket(path)
						if err != nil {
							t.Errorf("control socket: %v", err)
							return
						}
						defer c.Close()
						for moved.Load() < wanted && time.Now().Before(deadline) {
							sessions, err := c.Sessions()
							if err != nil {
								return // the program has ended: what it says is looked at below
							}
							if len(sessions) == 0 {
								continue
							}
							results, _ := c.MigrateSession(sessions[rand.IntN(len(sessions))].ID, networks[rand.IntN(2)])
							for _, r := range results {
								if r.OK {
									moved.Add(1)
								} else if !allowed(r.Reason) {
									t.Errorf("refused: %s", r.Reason)
								}
							}
						}
					}()
				}
				movers.Wait()
				in.Close()
				if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
					t.Errorf("%v", r)
				} else {
					t.Logf("%d migrations during %s", moved.Load(), strings.TrimSpace(r.Stdout))
				}
				if moved.Load() < 50 {
					t.Errorf("%d migrations only", moved.Load())
				}
			})
		}
	}
}

func allowed(reason string) bool {
	for _, r := range refusals {
		if strings.Contains(reason, r) {
			return true
		}
	}
	return false
}

package tls

import (
	"crypto/tls"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

var randomMoves = flag.Int64("moves", 180, "how many migrations the randomised test makes of each library and version")

// Kept-alive sessions of several threads are moved at random octets, to random networks, by several triggers at once; every octet
// is compared. With "length" the servers are nginx, which frames everything so.
func TestMovedAtRandom(t *testing.T) {
	for _, version := range []string{"TLSv1.3", "TLSv1.2"} {
		for label, gnu := range map[string]bool{"OpenSSL": false, "GnuTLS": true} {
			for framing, framings := range map[string][]string{"length": nil, "chunked": {"chunked"}, "any": {"length", "chunked", "close"}} {
				t.Run(label+" "+version+" "+framing, func(t *testing.T) { movedAtRandom(t, version, gnu, framings) })
			}
		}
	}
}

func movedAtRandom(t *testing.T, version string, gnu bool, framings []string) {
	s := newSite(t, lab.Link{})
	root := filepath.Join(s.folder, "content")
	lab.Content(t, root, "short.bin", 300_001, 11)
	s.rate = 3 << 20
	id := identity{extra: "ssl_protocols " + version + ";"}
	if framings == nil {
		s.serve(map[string]identity{"wlan0": id, "wwan0": id})
	} else {
		for _, n := range s.Networks() {
			own := s.ca.issue(n.Name, host, 30)
			s.web[n.Name] = n.Paced(root, lab.ServerOptions{Port: 443, LimitRate: s.rate, Certificate: own.certificate, Key: own.key,
				MaxVersion: map[string]uint16{"TLSv1.3": tls.VersionTLS13, "TLSv1.2": tls.VersionTLS12}[version], Framings: framings})
		}
	}
	p := s.Midstream(s.fetcher(gnu), s.ca.certificate, host, "443", "/short.bin", filepath.Join(root, "short.bin"), "churn=8")
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	s.known(p)
	s.Control(p.Pid(), lab.Patience)
	moves := max(*randomMoves/3, 50)
	deadline := time.Now().Add(25*time.Second + time.Duration(moves)*50*time.Millisecond)
	storm := s.Storm(s.SocketOf(p.Pid()), rand.Uint64(), 3, 1<<30, func(moved int64) bool { return moved >= moves || time.Now().After(deadline) })
	storm.Wait()
	in.Close()
	if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
		t.Errorf("%v", r)
	} else {
		t.Logf("%d migrations during %s; %d triggers refused", storm.Moved.Load(), strings.TrimSpace(r.Stdout), storm.Refused())
	}
	if moved := storm.Moved.Load(); moved < 50 {
		t.Errorf("%d migrations only", moved)
	}
	for _, reason := range storm.Illegitimate() {
		t.Errorf("refused %s", reason)
	}
}

// FTP over IPv6 (RFC 2428).

package ftp

import (
	"path/filepath"
	"testing"

	"midstream/e2e/lab"
)

// Over IPv6 data connections are had by EPSV alone, and the next ones are led to the new server as well.
func TestOverIPv6(t *testing.T) {
	s := &site{Lab: lab.New(t), t: t, servers: map[string]*lab.Server{}}
	docroot := filepath.Join(s.Dir, "files")
	s.sum = lab.Content(t, docroot, "pub/big file.bin", size, 21)
	lab.Content(t, docroot, "pub/small.bin", 100_000, 22)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content6()}})
		s.servers[n.Name] = n.Vsftpd(docroot, lab.ServerOptions{Addresses: []string{n.Content6()}, LimitRate: rate})
	}
	all := s.start(true, "curl", "wget", "ftplib")
	s.midway(all, 500_000)
	if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	s.moved("moved", all, "wwan0")
	for _, d := range all {
		if r := d.Wait(); r.Status != 0 || lab.Sum(d.out) != s.sum {
			t.Errorf("%v", r)
		}
	}
}

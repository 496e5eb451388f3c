// Programs that read their two connections otherwise than one after the other, or say by themselves where they go out.

package ftp

import (
	"os"
	"path/filepath"
	"testing"

	"midstream/e2e/lab"
)

// early reads the last word on a file whose octets it has still to read: they wait in the socket's buffer. It writes its commands in pieces.
const early = `
import ftplib, hashlib, os, time
class Pieces(ftplib.FTP):
    def putline(self, line):
        for c in line + '\r\n':
            self.sock.sendall(c.encode())
f = Pieces('` + host + `'); f.login(); f.cwd('pub'); f.sendcmd('TYPE I'); f.size('small.bin')
d = f.transfercmd('RETR small.bin'); b = d.recv(20000); print(f.voidresp()); open('midway', 'w').close()
while not os.path.exists('go'):
    time.sleep(0.01)
while more := d.recv(30000):
    b += more
d.close(); print(hashlib.sha256(b).hexdigest(), f.pwd())
b = []; print(f.retrbinary('RETR small.bin', b.append), len(b''.join(b)), f.pwd(), sorted(f.nlst()), f.quit())`

// The last word on a file that goes on elsewhere is said once, whoever says it.
func TestALastWordThatIsReadEarly(t *testing.T) {
	s := newSite(t, size, rate)
	var results []lab.Result
	for _, start := range []func(...string) *lab.Program{s.Command, s.Midstream} {
		p := start("python3", "-c", early)
		p.Dir = t.TempDir()
		p.Start()
		s.Await("it to be midway", lab.Patience, func() bool {
			_, err := os.Stat(filepath.Join(p.Dir, "midway"))
			return err == nil
		})
		if len(results) > 0 {
			s.Await("its session", lab.Patience, func() bool { return len(s.CtlSessions()) > 0 })
			if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status != 0 {
				t.Errorf("%v", r)
			}
		}
		if err := os.WriteFile(filepath.Join(p.Dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		results = append(results, p.Wait())
	}
	lab.Compare(t, results[0], results[1])
}

// Sockets that a program has bound to where its control connection was are led elsewhere as well.
func TestBoundDataConnections(t *testing.T) {
	s := newSite(t, size/2, rate)
	from := s.Network("wlan0").Phone()
	programs["curl, bound"] = []string{"curl", "-sS", "--interface", from, "-o", "out", "-o", "small", "ftp://" + host + "/pub/big%20file.bin", "ftp://" + host + "/pub/small.bin"}
	programs["ftplib, bound"] = []string{"python3", "-c", "import ftplib\nf = ftplib.FTP('" + host + "', source_address=('" + from + "', 0)); f.login(); f.cwd('pub'); f.sendcmd('TYPE I')\nprint(f.retrbinary('RETR big file.bin', open('out', 'wb').write)); print(sorted(f.nlst()), f.quit())"}
	defer delete(programs, "curl, bound")
	defer delete(programs, "ftplib, bound")
	native, bound := map[string]lab.Result{}, []string{"curl, bound", "ftplib, bound"}
	for _, d := range s.start(false, bound...) {
		native[d.name] = d.Wait()
	}
	all := s.start(true, bound...)
	s.midway(all, 100_000)
	s.Await("their sessions", lab.Patience, func() bool { return len(s.CtlSessions()) == len(all) })
	if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	s.moved("moved", all, "wwan0")
	s.intact("moved", native, all)
}

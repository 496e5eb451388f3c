// FTP: what real programs download from real servers goes on at another one, octet for octet, and their dialogue with it.

package ftp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) {
	lab.RunLimit = 15 * time.Second
	lab.Main(m)
}

const (
	host     = "ftp.example"
	anywhere = "10.88.0.21" // of the server on each network: lftp asks for names in a child
	size     = 6_000_000
	rate     = 2_000_000 // octets a second
)

// site is a phone with two networks, each with a server of the same files.
type site struct {
	*lab.Lab
	t       *testing.T
	sum     string
	servers map[string]*lab.Server
}

func newSite(t *testing.T, size, rate int64, options ...lab.Option) *site {
	s := &site{Lab: lab.New(t, options...), t: t, servers: map[string]*lab.Server{}}
	docroot := filepath.Join(s.Dir, "files")
	s.sum = lab.Content(t, docroot, "pub/big file.bin", size, 21)
	lab.Content(t, docroot, "pub/plain.bin", size, 21)
	lab.Content(t, docroot, "pub/small.bin", 100_000, 22)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		n.AddAddress(anywhere)
		s.servers[n.Name] = n.Vsftpd(docroot, lab.ServerOptions{Addresses: []string{"0.0.0.0"}, LimitRate: rate})
	}
	return s
}

// programs download one file each, into "out".
var programs = map[string][]string{
	"curl":   {"curl", "-sS", "-o", "out", "ftp://" + host + "/pub/big%20file.bin"},
	"pasv":   {"curl", "-sS", "--disable-epsv", "-o", "out", "ftp://" + host + "/pub/big%20file.bin"},
	"wget":   {"wget", "-q", "-t", "1", "-O", "out", "ftp://" + host + "/pub/big%20file.bin"},
	"lftp":   {"lftp", "-c", "set net:max-retries 1; open ftp://" + anywhere + "; cd pub; get 'big file.bin' -o out"},
	"python": {"python3", "-c", "import urllib.request as u, shutil; shutil.copyfileobj(u.urlopen('ftp://" + host + "/pub/big%20file.bin'), open('out', 'wb'))"},
	"ffmpeg": {"ffmpeg", "-nostdin", "-loglevel", "error", "-f", "data", "-i", "ftp://" + host + "/pub/plain.bin", "-map", "0", "-c", "copy", "-f", "data", "out"},
	"ftplib": {"python3", "-c", "import ftplib\nf = ftplib.FTP('" + host + "'); f.login(); f.cwd('pub'); f.sendcmd('TYPE I'); f.size('big file.bin')\nprint(f.retrbinary('RETR big file.bin', open('out', 'wb').write)); b = []; print(f.retrbinary('RETR small.bin', b.append), len(b''.join(b)), f.pwd(), sorted(f.nlst()), f.quit())"},
}

// download is a program on its way.
type download struct {
	*lab.Program
	name, out string
}

func (s *site) start(under bool, names ...string) (all []*download) {
	s.t.Helper()
	if names == nil {
		for name := range programs {
			names = append(names, name)
		}
	}
	for _, name := range names {
		d := &download{name: name}
		if d.Program = s.Command(programs[name]...); under {
			d.Program = s.Midstream(programs[name]...)
		}
		d.Dir = s.t.TempDir()
		d.Env = append(d.Env, "HOME="+d.Dir)
		d.out = filepath.Join(d.Dir, "out")
		d.Start()
		all = append(all, d)
	}
	return all
}

// midway waits until each has so many octets.
func (s *site) midway(all []*download, octets int64) {
	s.t.Helper()
	for _, d := range all {
		s.Await(d.name+" to be on its way", lab.Patience, func() bool {
			select {
			case <-d.Ended():
				s.t.Fatalf("%s has ended: %v", d.name, d.Wait())
			default:
			}
			info, err := os.Stat(d.out)
			return err == nil && info.Size() >= octets
		})
	}
}

// sessions are those of a program.
func (s *site) sessions(d *download) (list []lab.Session) {
	for _, one := range s.CtlSessions() {
		if one.PID == d.Pid() {
			list = append(list, one)
		}
	}
	return list
}

// intact waits for the programs, and compares them with native ones.
func (s *site) intact(what string, natively map[string]lab.Result, all []*download) {
	s.t.Helper()
	for _, d := range all {
		r := d.Wait()
		if got := lab.Sum(d.out); got != s.sum {
			s.t.Errorf("%s, %s: %s", d.name, what, got)
		}
		lab.Compare(s.t, natively[d.name], r)
	}
}

// moved waits until each is over the interface.
func (s *site) moved(what string, all []*download, to string) {
	s.t.Helper()
	for _, d := range all {
		var last []lab.Session
		s.Await(d.name+", "+what+", to be over "+to, lab.Patience, func() bool {
			select {
			case <-d.Ended():
				s.t.Errorf("%s, %s, has ended where it was: %+v", d.name, what, last)
				return true
			default:
			}
			last = s.sessions(d)
			return len(last) > 0 && last[0].Interface == to
		})
		if len(last) > 0 && len(last[0].Migrations) > 0 {
			m := last[0].Migrations[0]
			s.t.Logf("%s, %s: at octet %d, %s, nothing for %.0f ms", d.name, what, m.Offset, m.Delivery, m.StallMS)
		}
	}
}

// Whatever becomes of the server or of the way to it, and where a person asks for it: the file is whole, and the program says what it does
// natively. What it asks for after that (ftplib's) is answered as well.
func TestDownloadsGoOn(t *testing.T) {
	s := newSite(t, size, rate)
	undisturbed, native := s.start(true), map[string]lab.Result{}
	for _, d := range s.start(false) {
		native[d.name] = d.Wait()
		if got := lab.Sum(d.out); native[d.name].Status != 0 || got != s.sum {
			t.Fatalf("natively, %s: %v\n%s", d.name, native[d.name], got)
		}
	}
	s.intact("undisturbed", native, undisturbed)
	for _, event := range []struct {
		name string
		do   func()
		undo func()
	}{
		{"moved", func() {
			if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status != 0 {
				t.Errorf("%v", r)
			}
		}, func() {}},
		{"its server killed", s.servers["wlan0"].KillAll, s.servers["wlan0"].Restart},
		{"its carrier lost", s.Network("wlan0").CarrierDown, func() {}},
	} {
		all := s.start(true, "python", "ftplib", "ffmpeg") // which take their time on a busy machine
		s.midway(all, 1)
		all = append(all, s.start(true, "curl", "pasv", "wget", "lftp")...)
		s.midway(all, 500_000)
		for _, d := range all {
			list := s.sessions(d)
			if len(list) != 1 || !list[0].Movable || list[0].Length == nil || *list[0].Length != size || !strings.Contains(list[0].URL, "/pub/") {
				t.Errorf("%s: %+v", d.name, list)
			}
		}
		event.do()
		s.moved(event.name, all, "wwan0")
		s.intact(event.name, native, all)
		event.undo()
	}
}

// How long the program is handed nothing where its server is killed, on networks with a round trip of 20 ms: with a control connection that is
// logged in beforehand, its data connection open, the file proved in advance, and without. Most of the latter
// is the overlap's: 64 kB take three round trips on a new connection.
func TestAKilledServerAtADistance(t *testing.T) {
	far := lab.Link{Delay: 10 * time.Millisecond}
	s := newSite(t, 6*size, 6*rate, lab.Net("wlan0", far), lab.Net("wwan0", far)) // so fast that vsftpd does not pause for long
	for _, standby := range []string{"always", "never"} {
		s.Configure("[failover]\nstandby = \"" + standby + "\"\n")
		all := s.start(true, "curl")
		s.midway(all, 2*size)
		s.servers["wlan0"].KillAll()
		s.moved("its server killed, standby "+standby, all, "wwan0")
		all[0].Process.Kill() // that files are whole others show
		all[0].Wait()
		s.servers["wlan0"].Restart()
	}
}

// What has no offset says so, and stays where it is.
func TestWhatIsNotMoved(t *testing.T) {
	s := newSite(t, size, rate)
	file := "ftp://" + host + "/pub/plain.bin"
	defer func(others map[string][]string) { programs = others }(programs)
	programs = map[string][]string{
		"ASCII":  {"curl", "-sS", "--use-ascii", "-o", "out", file},
		"active": {"curl", "-sS", "-P", "-", "-o", "out", file},
		"upload": {"curl", "-sS", "-T", "/proc/self/exe", file},
	}
	all := s.start(true, "ASCII", "active")
	s.midway(all, 100_000)
	for i, why := range []string{"not TYPE I", "active mode"} {
		s.Await(all[i].name+" to say "+why, lab.Patience, func() bool {
			list := s.sessions(all[i])
			return len(list) == 1 && !list[0].Movable && strings.Contains(list[0].Why, why)
		})
	}
	if r := s.Ctl("migrate", "--to", "wwan0").Run(); r.Status != 1 || !strings.Contains(r.Stderr, "active mode") {
		t.Errorf("%v", r)
	}
	for _, d := range all {
		d.Process.Kill()
		d.Wait()
	}
	refused := s.start(true, "upload")[0].Wait()
	lab.Compare(t, s.start(false, "upload")[0].Wait(), refused)
}

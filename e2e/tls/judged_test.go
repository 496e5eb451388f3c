package tls

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// again makes another certificate for the key of one.
func (a authority) again(label, name string, id identity) identity {
	a.t.Helper()
	path := func(end string) string { return filepath.Join(a.folder, label+end) }
	if err := os.WriteFile(path(".ext"), []byte("subjectAltName=DNS:"+name+"\n"), 0o644); err != nil {
		a.t.Fatal(err)
	}
	openssl(a.t, "req", "-new", "-key", id.key, "-subj", "/CN="+name, "-out", path(".csr"))
	openssl(a.t, "x509", "-req", "-in", path(".csr"), "-CA", a.certificate, "-CAkey", a.key, "-CAcreateserial",
		"-extfile", path(".ext"), "-days", "20", "-out", path(".pem"))
	return identity{certificate: path(".pem"), key: id.key}
}

// Where a program judges certificates by a function of its own, that judges those of the new server, too: in the program's
// thread, for the program's session, and once if it refuses. Where it does not have them verified by its library, the
// certificate has to have the same key, or, with tls.identity, the same issuer and names. None is held to less than the old
// server was.
func TestJudged(t *testing.T) {
	const (
		asked, refused, spared = `^[1-9]\d* calls, 0 elsewhere\n$`, `^1 calls, 0 elsewhere\n$`, `^0 calls, 0 elsewhere\n$`
		judges, sameKey        = "own verification takes", "a server with the same public key"
	)
	type attempt struct {
		setting string
		gnutls  bool
		needs   string // what sessions say before
		reason  string // why it is not moved, "" if it is
		said    string // by the program, of the calls of its function
	}
	for _, c := range []struct {
		far      string // which certificate the new server has
		identity func(*site) identity
		issuer   bool
		attempts []attempt
	}{
		{"verifies", func(s *site) identity { return s.ca.issue("far", host, 30) }, false, []attempt{
			{"callback", false, judges, "", asked},
			{"callback=look", false, judges, "", asked},
			{"callback=no", false, judges, "refuses", refused},
			{"callback=jump", false, judges, "not returned", refused},
			{"verifier", false, judges, "", asked},
			{"verifier=no", false, judges, "refuses", refused},
			{"trusting", false, sameKey, "does not let its library verify", "^$"},
			{"function", true, judges, "", asked},
			{"function=no", true, judges, "refuses", refused},
			{"function=jump", true, judges, "not returned", refused},
		}},
		{"verifies for itself", func(s *site) identity { return selfSigned(s.t, s.folder, "self", host) }, false, []attempt{
			{"callback=yes", false, judges, "verify", spared},
			{"verifier=yes", false, judges, "verify", spared},
			{"function=yes", true, judges, "verify", spared},
		}},
		{"same key", func(s *site) identity { return s.ca.again("again", host, identity{key: s.out("wlan0.key")}) }, false, []attempt{
			{"callback=pin", false, "a server with the same certificate", "itself", spared},
			{"function=pin", true, "a server with the same certificate", "itself", spared},
			{"trusting", false, sameKey, "", "^$"},
		}},
		{"other name", func(s *site) identity { return s.ca.issue("far", "other.example", 30) }, true, []attempt{
			{"callback=yes", false, judges, "hostname mismatch", spared},
			{"trusting", false, sameKey + ", or", "hostname mismatch", "^$"},
			{"trusting", true, "", "verify", "^$"},
		}},
		{"same issuer", func(s *site) identity { return s.ca.issue("far", host, 30) }, true, []attempt{
			{"trusting", false, sameKey + ", or", "", "^$"},
			{"digest", false, "a server with the same certificate", "itself", "^$"},
			{"trusting", true, "", "", "^$"},
		}},
		{"other issuer", func(s *site) identity { return newAuthority(s.t, s.folder, "others").issue("far", host, 30) }, true, []attempt{
			{"trusting", false, sameKey + ", or", "verify", "^$"},
			{"trusting", true, "", "verify", "^$"},
		}},
	} {
		t.Run(c.far, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			if c.issuer {
				s.Configure("[tls]\nidentity = \"issuer\"\n")
			}
			near := s.slow("wlan0")
			s.rate = 0
			s.serveAt(s.Network("wwan0"), c.identity(s))
			fetchers := map[bool]string{}
			for _, a := range c.attempts {
				label := a.setting
				if a.gnutls {
					label += ", GnuTLS"
				}
				t.Run(label, func(t *testing.T) {
					s.t = t
					if fetchers[a.gnutls] == "" {
						fetchers[a.gnutls] = s.fetcher(a.gnutls)
					}
					out := s.out("out")
					os.Remove(out)
					p := s.Midstream(fetchers[a.gnutls], s.ca.certificate, host, "443", "/"+name, out, a.setting).Start()
					s.reached(p, out, 1)
					s.known(p)
					if list := s.Ctl("sessions", "--json").Run().Stdout; !strings.Contains(list, a.needs) {
						t.Errorf("no %q in %s", a.needs, list)
					}
					moved := s.migrate("wwan0")
					near.Release()
					r := p.Wait()
					if r.Status != 0 || r.Stderr != "" || !regexp.MustCompile(a.said).MatchString(r.Stdout) {
						t.Errorf("%v, %q", r, r.Stdout)
					}
					s.intact(label, out)
					if len(moved) != 1 || moved[0].OK != (a.reason == "") || !strings.Contains(moved[0].Reason, a.reason) {
						t.Errorf("%+v", moved)
					}
				})
			}
		})
	}
}

const perl = `
use LWP::UserAgent;
my ($ca, $url, $out) = @ARGV;
my $agent = LWP::UserAgent->new(ssl_opts => { SSL_ca_file => $ca, verify_hostname => 1 });
open(my $file, '>', $out) or die;
$file->autoflush(1);
my $answer = $agent->get($url, ':content_cb' => sub { print $file $_[0] });
die $answer->status_line unless $answer->is_success && !$answer->header('X-Died');
print $answer->header('Client-SSL-Cert-Subject'), "\n";
`

const ruby = `
require "net/http"
ca, url, out = ARGV
uri = URI(url)
http = Net::HTTP.new(uri.host, uri.port)
http.use_ssl = true
http.ca_file = ca
http.verify_callback = proc { |good, store| good && store.error_depth >= 0 }
File.open(out, "wb") do |file|
  file.sync = true
  http.request_get(uri.path) { |answer| answer.read_body { |piece| file.write(piece) } }
end
`

const php = `
[, $ca, $url, $out] = $argv;
$context = stream_context_create(["ssl" => ["cafile" => $ca, "verify_peer" => true, "verify_peer_name" => true]]);
$in = fopen($url, "rb", false, $context) or exit(1);
$file = fopen($out, "wb");
while (!feof($in)) {
    fwrite($file, fread($in, 50000));
}
`

// Interpreters whose modules judge by functions of their own.
func TestJudgedByModules(t *testing.T) {
	s := newSite(t, lab.Link{})
	near := s.slow("wlan0")
	s.rate = 0
	s.serveAt(s.Network("wwan0"), identity{})
	for label, args := range map[string][]string{
		"perl": {"perl", "-MIO::Handle", "-e", perl},
		"ruby": {"ruby", "-e", ruby},
		"php":  {"php", "-r", php, "--"},
	} {
		t.Run(label, func(t *testing.T) {
			if _, err := exec.LookPath(args[0]); err != nil && label != "perl" {
				t.Skip(label + " is not there")
			}
			s.t = t
			out := s.out(label)
			args := append(args, s.ca.certificate, s.url(), out)
			native := s.hurried(s.Command(args...), out, near)
			s.intact("natively", out)
			os.Remove(out)
			r, moved := s.moveOnce(s.Midstream(args...), out, near)
			lab.Compare(t, native, r)
			s.intact(label, out)
			if len(moved) != 1 || !moved[0].OK {
				t.Errorf("%+v", moved)
			}
		})
	}
}

// A program that does not read cannot be asked: it stays where it is, and the reason says so.
func TestJudgedInVain(t *testing.T) {
	s := newSite(t, lab.Link{})
	near := s.slow("wlan0")
	s.serveAt(s.Network("wwan0"), identity{})
	out := s.out("out")
	p := s.Midstream(s.fetcher(false), s.ca.certificate, host, "443", "/"+name, out, "callback", "wait")
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	s.reached(p, out, 1)
	s.known(p)
	if said := s.Ctl("migrate", "--to", "wwan0", "--timeout", "1s").Run(); said.Status != 1 || !strings.Contains(said.Stdout+said.Stderr, "has not read") {
		t.Errorf("%v: %s%s", said, said.Stdout, said.Stderr)
	}
	near.Release()
	in.Close()
	if r := p.Wait(); r.Status != 0 || !strings.HasSuffix(r.Stdout, " 0 elsewhere\n") {
		t.Errorf("%v: %s%s", r, r.Stdout, r.Stderr)
	}
	s.intact("wait", out)
}

// The function is asked where the program sleeps, too: in a read, select or poll, on a connection that has fallen silent or has
// ended, with nothing kept ready meanwhile.
func TestJudgedAsleep(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.rate *= 2
	s.serve(nil)
	own := []program{
		{"read", func(s *site, out string) []string {
			return []string{s.fetcher(false), s.ca.certificate, host, "443", "/" + name, out, "callback"}
		}},
		{"epoll", func(s *site, out string) []string {
			return []string{s.fetcher(false), s.ca.certificate, host, "443", "/" + name, out, "callback", "epoll"}
		}},
		{"select", func(s *site, out string) []string {
			return []string{"perl", "-MIO::Handle", "-e", strings.Replace(perl, "print $answer", "# ", 1), s.ca.certificate, s.url(), out}
		}},
	}
	s.Configure("[failover]\nstandby = \"never\"\n")
	for _, f := range []struct {
		name     string
		do, undo func()
	}{
		{"frozen", func() { s.web["wlan0"].Freeze() }, func() { s.web["wlan0"].Thaw() }},
		{"killed", func() { s.web["wlan0"].Kill() }, func() { s.web["wlan0"].Restart() }},
	} {
		for _, p := range own {
			t.Run(f.name+"/"+p.name, func(t *testing.T) {
				s.t = t
				s.fail(p, 0.3, f.do)
				f.undo()
			})
		}
	}
	s.Configure("[migration]\nsingle = true\n")
	for _, p := range own {
		t.Run("single/"+p.name, func(t *testing.T) {
			s.t = t
			out := s.out(p.name)
			os.Remove(out)
			r, moved := s.move(s.Midstream(p.args(s, out)...), out, 2)
			if r.Status != 0 || r.Stderr != "" || len(moved) == 0 || !moved[0].OK {
				t.Errorf("%v, %+v", r, moved)
			}
			s.intact(p.name, out)
		})
	}
}

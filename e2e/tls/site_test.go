// Package tls runs real programs that download over TLS, natively, under Midstream, and moved between servers, and compares
// what they wrote and said. The servers are nginx, with certificates of an authority made for the test.
package tls

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	host = "files.example"
	name = "film.bin"
	size = 24 << 20
)

// site is two networks with a TLS server of the same name in each.
type site struct {
	*lab.Lab
	t      *testing.T
	folder string
	sum    string
	ca     authority
	rate   int64 // octets a second that the servers send to one connection
	web    map[string]*lab.Server
}

// identity is what a server shows.
type identity struct {
	certificate, key string
	extra            string // lines of nginx's configuration
}

var networks = []string{"wlan0", "wwan0"}

func newSite(t *testing.T, link lab.Link) *site {
	t.Helper()
	s := &site{t: t, folder: t.TempDir(), rate: 12 << 20, web: map[string]*lab.Server{}}
	var options []lab.Option
	for _, n := range networks {
		options = append(options, lab.Net(n, link))
	}
	s.Lab = lab.New(t, options...)
	s.ca = newAuthority(t, s.folder, "ca")
	s.sum = lab.Content(t, filepath.Join(s.folder, "content"), name, size, 7)
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
	}
	return s
}

// serve starts a server in each network; identities of networks that are not given are issued by the authority, each
// with a key of its own.
func (s *site) serve(identities map[string]identity) {
	s.t.Helper()
	for _, n := range s.Networks() {
		s.serveAt(n, identities[n.Name])
	}
}

func (s *site) serveAt(n *lab.Network, id identity) {
	s.t.Helper()
	if id.certificate == "" {
		own := s.ca.issue(n.Name, host, 30)
		own.extra = id.extra
		id = own
	}
	if !strings.Contains(id.extra, "ssl_protocols") {
		id.extra += " ssl_protocols TLSv1.2 TLSv1.3;"
	}
	s.web[n.Name] = n.Nginx(filepath.Join(s.folder, "content"), lab.ServerOptions{
		Port: 443, Listen: "ssl", LimitRate: s.rate,
		Extra: fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; %s", id.certificate, id.key, id.extra),
	})
}

func (s *site) url() string { return "https://" + host + "/" + name }

func (s *site) out(label string) string { return filepath.Join(s.folder, label) }

// authority signs certificates.
type authority struct {
	t                *testing.T
	folder           string
	certificate, key string
}

func openssl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func newAuthority(t *testing.T, folder, label string) authority {
	t.Helper()
	a := authority{t, folder, filepath.Join(folder, label+".pem"), filepath.Join(folder, label+".key")}
	openssl(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
		"-subj", "/CN="+label, "-keyout", a.key, "-out", a.certificate,
		"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	return a
}

// identifiers are what Python 3.13 demands of a certificate (RFC 5280 §4.2.1.1), and OpenSSL before 3.4 does not add by itself.
const identifiers = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"

// below makes an authority that this one vouches for.
func (a authority) below(label string) authority {
	a.t.Helper()
	b := a
	b.certificate, b.key = filepath.Join(a.folder, label+".pem"), filepath.Join(a.folder, label+".key")
	request := filepath.Join(a.folder, label+".csr")
	openssl(a.t, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN="+label,
		"-keyout", b.key, "-out", request)
	extensions := filepath.Join(a.folder, label+".ext")
	if err := os.WriteFile(extensions, []byte("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"+identifiers), 0o644); err != nil {
		a.t.Fatal(err)
	}
	openssl(a.t, "x509", "-req", "-in", request, "-CA", a.certificate, "-CAkey", a.key, "-CAcreateserial", "-extfile", extensions,
		"-days", "30", "-out", b.certificate)
	return b
}

// selfSigned makes a certificate that vouches for itself.
func selfSigned(t *testing.T, folder, label, name string) identity {
	t.Helper()
	id := identity{certificate: filepath.Join(folder, label+".pem"), key: filepath.Join(folder, label+".key")}
	openssl(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
		"-subj", "/CN="+name, "-addext", "subjectAltName=DNS:"+name, "-keyout", id.key, "-out", id.certificate)
	return id
}

// issue makes a certificate for a name; days may be negative.
func (a authority) issue(label, name string, days int) identity {
	a.t.Helper()
	id := a.issueFor(label, name, max(days, 1), "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	if days < 0 {
		a.expire(id, days)
	}
	return id
}

// chained is a certificate together with that of the authority.
func (a authority) chained(label, name string) identity {
	a.t.Helper()
	id := a.issue(label, name, 30)
	both := filepath.Join(a.folder, label+".chain.pem")
	var text []byte
	for _, file := range []string{id.certificate, a.certificate} {
		part, err := os.ReadFile(file)
		if err != nil {
			a.t.Fatal(err)
		}
		text = append(text, part...)
	}
	if err := os.WriteFile(both, text, 0o644); err != nil {
		a.t.Fatal(err)
	}
	return identity{certificate: both, key: id.key}
}

// issueFor makes a certificate for a key of that kind.
func (a authority) issueFor(label, name string, days int, key ...string) identity {
	a.t.Helper()
	path := func(end string) string { return filepath.Join(a.folder, label+end) }
	openssl(a.t, append([]string{"req", "-new", "-nodes", "-subj", "/CN=" + name, "-keyout", path(".key"), "-out", path(".csr"),
		"-newkey"}, key...)...)
	extensions := path(".ext")
	if err := os.WriteFile(extensions, []byte("subjectAltName=DNS:"+name+"\n"+identifiers), 0o644); err != nil {
		a.t.Fatal(err)
	}
	args := []string{"x509", "-req", "-in", path(".csr"), "-CA", a.certificate, "-CAkey", a.key, "-CAcreateserial",
		"-extfile", extensions, "-out", path(".pem")}
	openssl(a.t, append(args, "-days", fmt.Sprint(days))...)
	return identity{certificate: path(".pem"), key: path(".key")}
}

// move starts a program under Midstream and moves its streams whenever another share of the file has come: to the other
// network each time. It returns how the program ended and what came of the migrations.
func (s *site) move(p *lab.Program, file string, times int) (lab.Result, []lab.Moved) {
	s.t.Helper()
	p.Start()
	var moved []lab.Moved
	at := int64(0)
	for i := 0; i < times; i++ {
		at += 1 + rand.Int64N(size*8/10/int64(times))
		if !s.reached(p, file, at) {
			break
		}
		s.known(p)
		to := networks[(i+1)%2]
		moved = append(moved, s.migrate(to)...)
	}
	return p.Wait(), moved
}

// slow starts a server that takes ten seconds for the file, unless it is released.
func (s *site) slow(network string) *lab.Server {
	s.t.Helper()
	id := s.ca.issue(network, host, 30)
	n := s.Network(network)
	return n.Paced(filepath.Join(s.folder, "content"), lab.ServerOptions{
		Addresses: []string{n.Content()}, Port: 443, Certificate: id.certificate, Key: id.key, LimitRate: size / 10,
	})
}

// hurried runs a program that downloads from the slow server, which it releases.
func (s *site) hurried(p *lab.Program, file string, from *lab.Server) lab.Result {
	s.t.Helper()
	p.Start()
	s.reached(p, file, 1)
	from.Release()
	return p.Wait()
}

// moveOnce is move for one migration of a download from the slow server, to wwan0, of which something is left, however long the
// migration takes.
func (s *site) moveOnce(p *lab.Program, file string, from *lab.Server) (lab.Result, []lab.Moved) {
	s.t.Helper()
	p.Start()
	var moved []lab.Moved
	if s.reached(p, file, 1) {
		s.known(p)
		moved = s.migrate("wwan0")
	}
	from.Release()
	return p.Wait(), moved
}

// migrate moves what there is to a network.
func (s *site) migrate(to string) []lab.Moved {
	s.t.Helper()
	r := s.Ctl("migrate", "--to", to, "--json").Run()
	var list struct{ Streams []lab.Moved }
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		s.t.Logf("migrate said %q %q", r.Stdout, r.Stderr)
	}
	return list.Streams
}

// known waits until the core, which comes with the first request, knows of it.
func (s *site) known(p *lab.Program) {
	s.t.Helper()
	s.Await("a session", lab.Patience, func() bool {
		select {
		case <-p.Ended():
			return true
		default:
			return len(s.CtlSessions()) > 0
		}
	})
}

// reached waits until the file has so many octets; false if the program ends before.
func (s *site) reached(p *lab.Program, file string, octets int64) bool {
	for limit := time.Now().Add(lab.Patience); time.Now().Before(limit); time.Sleep(2 * time.Millisecond) {
		if info, err := os.Stat(file); err == nil && info.Size() >= octets {
			return true
		}
		select {
		case <-p.Ended():
			return false
		default:
		}
	}
	s.t.Fatalf("%s has not reached %d octets", file, octets)
	return false
}

func (s *site) intact(label, file string) {
	s.t.Helper()
	if got := lab.Sum(file); got != s.sum {
		info, _ := os.Stat(file)
		s.t.Errorf("%s: content differs (%v)", label, info)
	}
}

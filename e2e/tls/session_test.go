package tls

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"midstream/e2e/lab"
)

// numbers is text of which no piece begins with a letter: openssl's server takes those of its input for commands.
func numbers(octets int) []byte {
	var b strings.Builder
	for i := 0; b.Len() < octets; i++ {
		fmt.Fprintf(&b, "%015d\n", i*7919)
	}
	return []byte(b.String()[:octets])
}

// raw is openssl's server, which sends what it is told.
type raw struct {
	s    *site
	in   *os.File
	mu   sync.Mutex
	says strings.Builder
	gone chan struct{}
	stop func()
}

func (r *raw) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.says.Write(p)
}

func (r *raw) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.says.String()
}

func (s *site) raw(network string, id identity, args ...string) *raw {
	s.t.Helper()
	n := s.Network(network)
	r := &raw{s: s, gone: make(chan struct{})}
	cmd := exec.Command("openssl", append([]string{"s_server", "-accept", n.Content() + ":443", "-cert", id.certificate, "-key", id.key,
		"-CAfile", s.ca.certificate, "-verify_quiet", "-state"}, args...)...)
	cmd.Stdout, cmd.Stderr = r, r
	out, in, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdin, r.in = out, in
	if err := n.Start(cmd); err != nil {
		s.t.Fatal(err)
	}
	out.Close()
	go func() { cmd.Wait(); close(r.gone) }()
	r.stop = func() { cmd.Process.Kill(); <-r.gone; in.Close() }
	s.t.Cleanup(r.stop)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(r.said(), "ACCEPT"); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("openssl's server does not start: %s", r.said())
		}
	}
	return r
}

func (r *raw) asked(p *lab.Program) { r.s.t.Helper(); r.awaits(p, "GET /numbers", 0) }

// awaits waits until the server has said that, not counting the first octets of what it says.
func (r *raw) awaits(p *lab.Program, what string, first int) {
	r.s.t.Helper()
	r.s.Await("the server to say "+what, lab.Patience, func() bool {
		select {
		case <-p.Ended():
			r.s.t.Fatalf("%v\n%s", p.Wait(), r.said())
		default:
		}
		return strings.Contains(r.said()[first:], what)
	})
}

func (r *raw) send(octets []byte) {
	r.s.t.Helper()
	if _, err := r.in.Write(octets); err != nil {
		r.s.t.Fatalf("openssl's server takes nothing: %v", err)
	}
	// A command has to be the beginning of what it reads at once, and all of it.
	r.s.Await("openssl's server to read", lab.Patience, func() bool {
		var left int32
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, r.in.Fd(), syscall.TIOCINQ, uintptr(unsafe.Pointer(&left)))
		return errno == 0 && left == 0
	})
}

// resultsIn waits until the program has written so much to its file, but for what it may still have in its buffers.
func (r *raw) resultsIn(p *lab.Program, file string, octets int) {
	r.s.t.Helper()
	if !r.s.reached(p, file, int64(octets-70_000)) {
		r.s.t.Fatalf("%v\n%s", p.Wait(), r.said())
	}
}

var validators = regexp.MustCompile(`(?mi)^(etag|last-modified): .*\r?\n`)

// What happens to a TLS session after its handshake: new keys and new tickets are no reason not to move; where the peers
// prove anew who they are, the program goes on as natively, and the stream is not moved any more.
func TestLaterHandshakes(t *testing.T) {
	const length = 3_000_000
	const pause, rest = 1_500_000, 2_200_000
	cases := []struct {
		name, command string
		args          []string
		why           string // "" if it moves
		done          string // what the server says when the peers have done it
	}{
		{"nothing", "", []string{"-tls1_3"}, "", ""},
		{"new keys", "k\n", []string{"-tls1_3"}, "", ""},
		{"new keys on both sides", "K\n", []string{"-tls1_3"}, "", ""},
		{"many tickets", "", []string{"-tls1_3", "-num_tickets", "8"}, "", ""},
		{"no tickets", "", []string{"-tls1_3", "-num_tickets", "0"}, "", ""},
		{"no tickets, TLS 1.2", "", []string{"-tls1_2", "-no_ticket"}, "", ""},
		{"renegotiated", "r\n", []string{"-tls1_2"}, "renegotiated", "write finished"},
		{"renegotiated with a certificate", "R\n", []string{"-tls1_2"}, "renegotiated", "write finished"},
		{"authenticated", "c\n", []string{"-tls1_3", "-verify", "3"}, "authenticated after the handshake", "read finished"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			content := numbers(length)
			file := filepath.Join(s.folder, "content", "numbers.txt")
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
			s.sum = lab.Sum(file)
			s.serveAt(s.Network("wwan0"), identity{})
			far := s.Network("wwan0").Content()
			url := "https://" + host + "/numbers.txt"
			head := s.Command("curl", "-sSI", "--cacert", s.ca.certificate, "--resolve", host+":443:"+far, url).Run().Stdout
			id := s.ca.issue("raw", host, 30)
			clients := s.withCertificate(s.own())
			if c.why == "" {
				clients = append(clients, program{"memory", func(s *site, out string) []string { return s.memory("poll", out) }})
			}
			for _, p := range clients {
				if p.name == "aria2" {
					continue // as lftp and wget, GnuTLS
				}
				if gnu := p.name == "lftp" || p.name == "wget"; gnu && c.why == "renegotiated" || p.name == "lftp" && c.command == "c\n" {
					continue // natively, its download ends there
				}
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					args := p.args(s, s.out(p.name))
					for i := range args {
						args[i] = strings.ReplaceAll(strings.ReplaceAll(args[i], s.url(), url), "/"+name+" ", "/numbers.txt ")
					}
					if p.name == "curl" {
						args = append(args, "-N")
					}
					run := func(p *lab.Program, out string, moves bool) (lab.Result, string, []lab.Moved) {
						os.Remove(out)
						r := s.raw("wlan0", id, c.args...)
						defer r.stop()
						p.Start()
						r.asked(p)
						r.send([]byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nAccept-Ranges: bytes\r\n%sContent-Length: %d\r\n\r\n",
							strings.Join(validators.FindAllString(head, -1), ""), length)))
						r.send(content[:pause])
						r.resultsIn(p, out, pause)
						before := len(r.said())
						if c.command != "" {
							r.send([]byte(c.command))
						}
						if c.done != "" {
							r.awaits(p, c.done, before)
						}
						r.send(content[pause:rest])
						r.resultsIn(p, out, rest)
						var list string
						var moved []lab.Moved
						if moves {
							s.known(p)
							list = s.Ctl("sessions", "--json").Run().Stdout
							moved = s.migrate("wwan0")
						}
						go r.in.Write(content[rest:]) // after a move, nobody waits for it
						return p.Wait(), list, moved
					}
					out := s.out(p.name)
					native, _, _ := run(s.Command(args...), out, false)
					s.intact("natively", out)
					under, list, moved := run(s.Midstream(args...), out, true)
					lab.Compare(t, native, under)
					s.intact("under Midstream", out)
					if !strings.Contains(list, c.why) || strings.Contains(strings.ReplaceAll(list, ": ", ":"), `"movable":true`) != (c.why == "") {
						t.Errorf("%s", list)
					}
					if len(moved) != 1 || moved[0].OK != (c.why == "") || !strings.Contains(moved[0].Reason, c.why) {
						t.Errorf("%+v", moved)
					}
				})
			}
		})
	}
}

// A server that asks for the program's certificate only when it knows what is wanted: after the handshake (TLS 1.3), or by
// another one (TLS 1.2).
func TestCertificateForAPlace(t *testing.T) {
	for version, why := range map[string]string{"TLSv1.3": "authenticated after the handshake", "TLSv1.2": "renegotiated"} {
		t.Run(version, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.serveAt(s.Network("wwan0"), identity{extra: s.demands("optional")})
			id := s.ca.issue("apache", host, 30)
			extra := ""
			for _, module := range []string{"ssl", "env", "ratelimit"} {
				extra += fmt.Sprintf("LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
			}
			extra += fmt.Sprintf("SSLEngine on\nSSLCertificateFile %s\nSSLCertificateKeyFile %s\nSSLCACertificateFile %s\nSSLProtocol %s\n"+
				"<Location \"/%s\">\nSSLVerifyClient require\nSSLVerifyDepth 3\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 12000\n</Location>\n",
				id.certificate, id.key, s.ca.certificate, version, name)
			s.Network("wlan0").Apache(filepath.Join(s.folder, "content"), lab.ServerOptions{Port: 443, Extra: extra})
			for _, p := range s.withCertificate(s.own())[:3] {
				if version == "TLSv1.2" && p.name == "wget" {
					continue // natively, it is refused
				}
				t.Run(p.name, func(t *testing.T) {
					s.t = t
					out := s.out(p.name)
					native := s.Command(p.args(s, out)...).Run()
					s.intact("natively", out)
					os.Remove(out)
					run := s.Midstream(p.args(s, out)...).Start()
					s.reached(run, out, size/4)
					s.known(run)
					list := s.Ctl("sessions", "--json").Run().Stdout
					moved := s.migrate("wwan0")
					lab.Compare(t, native, run.Wait())
					s.intact(p.name, out)
					if !strings.Contains(list, why) {
						t.Error(list)
					}
					if len(moved) != 1 || moved[0].OK || !strings.Contains(moved[0].Reason, why) {
						t.Errorf("%+v", moved)
					}
				})
			}
		})
	}
}

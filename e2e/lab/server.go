// A server process in a network: started, awaited, and treated as badly as servers can be.

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopLimit is how long a server may take to end by itself.
const stopLimit = 10 * time.Second

// ServerOptions are the choices common to all content servers. The zero value is a server on port
// 80 of the network's content addresses that sends as fast as it can.
type ServerOptions struct {
	Addresses []string // default: 10.77.i.80 and fd77:i::80
	Port      int      // default: 80
	LimitRate int64    // octets a second and connection; 0 is unlimited (nginx and lighttpd only)
	Listen    string   // further parameters of nginx's listen directive, such as "ssl"
	Extra     string   // further lines of configuration, in the language of the server

	// Of a Paced server that speaks TLS: files, and the latest version (tls.VersionTLS12), 0 for the latest there is.
	Certificate, Key string
	MaxVersion       uint16
	// Framings of a Paced server: each answer takes one of them at random, "length", "chunked" or "close"; nil for a length.
	Framings []string
	NoRange  bool // a Paced server ignores Range
}

func (o ServerOptions) complete(n *Network) ServerOptions {
	if o.Addresses == nil {
		o.Addresses = []string{n.Content(), n.Content6()}
	}
	if o.Port == 0 {
		o.Port = 80
	}
	return o
}

// sockets are the addresses with port, in the form of a URL.
func (o ServerOptions) sockets() []string {
	var all []string
	for _, a := range o.Addresses {
		all = append(all, netip.AddrPortFrom(netip.MustParseAddr(a), uint16(o.Port)).String())
	}
	return all
}

// Server is a server process of a network.
type Server struct {
	Network *Network
	Name    string // of the program
	Dir     string // its own files
	LogFile string // access log or query log

	errorFile string
	args      []string
	ready     netip.AddrPort // accepts TCP connections once the server is up
	settled   func() bool    // nobody may connect before; nil: at once
	cmd       *exec.Cmd
	gone      chan struct{} // closed when the process has been waited for
}

// Servers are those of a network that run the program.
func (l *Lab) Servers(network, program string) (all []*Server) {
	for _, s := range l.servers {
		if s.Network.Name == network && s.Name == program {
			all = append(all, s)
		}
	}
	return all
}

// newServer prepares a folder for a server; the caller adds its configuration there and then calls start.
func (n *Network) newServer(name string) *Server {
	n.lab.t.Helper()
	dir, err := os.MkdirTemp(n.lab.Dir, n.Name+"-"+name+"-")
	n.must(err)
	s := &Server{
		Network: n, Name: name, Dir: dir,
		LogFile:   filepath.Join(dir, "access.log"),
		errorFile: filepath.Join(dir, "error.log"),
	}
	n.lab.servers = append(n.lab.servers, s)
	return s
}

// write puts a file into the server's folder and returns its path.
func (s *Server) write(name, text string) string {
	s.Network.lab.t.Helper()
	path := filepath.Join(s.Dir, name)
	s.Network.must(os.WriteFile(path, []byte(text), 0o644))
	return path
}

// start runs the server in the foreground and returns when it accepts connections at ready.
func (s *Server) start(ready string, args ...string) *Server {
	s.Network.lab.t.Helper()
	s.ready, s.args = netip.MustParseAddrPort(ready), args
	s.Restart()
	return s
}

// unprivileged wraps a command for servers that refuse to run as root: the same files, but no root.
func unprivileged(args ...string) []string {
	return append([]string{"unshare", "--user", "--map-user=1000", "--map-group=1000"}, args...)
}

// resolving wraps a command for servers that look names up: they ask the DNS server of their own network.
func (s *Server) resolving(args ...string) []string {
	s.Network.lab.t.Helper()
	file := s.write("resolv.conf", "nameserver "+s.Network.Resolver()+"\n")
	return append([]string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file}, args...)
}

// Restart starts the server again after Kill or Stop, with the files and logs it had.
func (s *Server) Restart() {
	t := s.Network.lab.t
	t.Helper()
	errors, err := os.OpenFile(s.errorFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	s.Network.must(err)
	defer errors.Close()
	var limit syscall.Rlimit
	s.Network.must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	args := append([]string{"prlimit", fmt.Sprintf("--nofile=%d", min(limit.Max, 65536))}, s.args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, errors, errors
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.Network.Start(cmd); err != nil {
		t.Fatalf("lab: start %s in %s: %v", s.Name, s.Network.Name, err)
	}
	gone := make(chan struct{})
	s.cmd, s.gone = cmd, gone
	go func() {
		cmd.Wait()
		close(gone)
	}()
	up := await(Patience, func() bool { return s.exited() || (s.settled == nil || s.settled()) && s.accepts() })
	if !up || s.exited() {
		text, _ := os.ReadFile(s.errorFile)
		t.Fatalf("lab: %s in %s does not accept connections at %v (%s):\n%s",
			s.Name, s.Network.Name, s.ready, strings.Join(s.args, " "), text)
	}
}

func (s *Server) exited() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

func (s *Server) accepts() bool {
	return s.Network.Do(func() error {
		family, to := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: int(s.ready.Port())})
		if s.ready.Addr().Is4() {
			to.(*syscall.SockaddrInet4).Addr = s.ready.Addr().As4()
		} else {
			family, to = syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(s.ready.Port()), Addr: s.ready.Addr().As16()}
		}
		fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		return syscall.Connect(fd, to)
	}) == nil
}

// Kill ends the server at once; the kernel closes its connections, as far as they are sent, with FIN.
// For RST see Network.ResetConnections.
func (s *Server) Kill() { s.signal(syscall.SIGKILL, true) }

// Stop asks the server to end and waits for it.
func (s *Server) Stop() { s.signal(syscall.SIGTERM, true) }

// Freeze stops the server in its tracks: its connections stay open and silent.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP, false) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT, false) }

func (s *Server) signal(sig syscall.Signal, last bool) {
	if s.cmd == nil || s.exited() {
		return
	}
	syscall.Kill(-s.cmd.Process.Pid, sig) // its whole process group: Apache has workers
	if !last {
		return
	}
	select {
	case <-s.gone:
	case <-time.After(stopLimit):
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.gone
	}
	// Its workers may live a little longer, and keep the next server from its port while they do.
	if !await(stopLimit, func() bool { return syscall.Kill(-s.cmd.Process.Pid, 0) == syscall.ESRCH }) {
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// WaitLine returns the first line of the log for which match holds, as soon as there is one; the test fails after limit.
func (s *Server) WaitLine(what string, limit time.Duration, match func(line string) bool) string {
	s.Network.lab.t.Helper()
	found := ""
	s.Network.lab.Await(what+" in the log of "+s.Name+" of "+s.Network.Name, limit, func() bool {
		for _, line := range s.lines() {
			if match(line) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// lines are the complete lines of the log.
func (s *Server) lines() []string {
	text, err := os.ReadFile(s.LogFile)
	if err != nil {
		return nil
	}
	all := strings.Split(string(text), "\n")
	return all[:len(all)-1]
}

// Servers that do what real ones seldom do, on both networks: the program is told what it is told natively.

package ftp

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

const length = 300_000 // octets of the file that scripted servers have

// scripted is a server that has one file, and a whim.
type scripted struct {
	ends  string // ends the control connection in the place of an answer to this command
	sends int    // so many octets of the file are there, whatever SIZE says
	after string // it says when it has sent them; "" ends the control connection
	early bool   // and before it sends them
	long  string // more lines before each answer
}

// whims are those, and what a client is to come to natively: whether it succeeds.
var whims = map[string]struct {
	scripted
	whole bool
}{
	"none":                            {scripted{sends: length, after: "226 done"}, true},
	"many lines":                      {scripted{sends: length, after: "226 done", long: strings.Repeat("more to say\r\n", 200)}, true},
	"a file that has become shorter":  {scripted{sends: length / 2, after: "226 done"}, false},
	"a transfer that is given up":     {scripted{sends: length / 2, after: "426 given up"}, false},
	"an error amid it":                {scripted{sends: length / 2, after: "451 a bad disc"}, false},
	"an end amid it":                  {scripted{sends: length / 2}, false},
	"an end of the dialogue, amid it": {scripted{sends: length, early: true}, false},
	"an end of the dialogue, behind":  {scripted{sends: length}, false},
	"an end at USER":                  {scripted{ends: "USER"}, false},
	"an end at PASS":                  {scripted{ends: "PASS"}, false},
	"an end at TYPE":                  {scripted{ends: "TYPE"}, false},
	"an end at SIZE":                  {scripted{ends: "SIZE"}, false},
	"an end at EPSV":                  {scripted{ends: "EPSV"}, false},
	"an end at RETR":                  {scripted{ends: "RETR"}, false},
	"an end at QUIT":                  {scripted{ends: "QUIT", sends: length, after: "226 done"}, true},
}

func (s scripted) serve(control net.Conn, n *lab.Network) {
	defer control.Close()
	fmt.Fprint(control, "220 ready\r\n")
	var data net.Listener
	from := 0
	lines := bufio.NewScanner(control)
	for lines.Scan() {
		verb, arg, _ := strings.Cut(lines.Text(), " ")
		if verb == s.ends {
			return
		}
		code, text := 200, "ok"
		switch verb {
		case "USER":
			code, text = 331, "password"
		case "PASS", "CWD":
			code, text = 230, "ok"
		case "PWD":
			code, text = 257, `"/"`
		case "FEAT":
			code, text = 502, "no"
		case "SIZE":
			code, text = 213, fmt.Sprint(length)
		case "MDTM":
			code, text = 213, "20240301120000"
		case "REST":
			code, text = 350, "ok"
			fmt.Sscan(arg, &from)
		case "EPSV", "PASV":
			if n.Do(func() (err error) {
				data, err = net.Listen("tcp", net.JoinHostPort(n.Content(), "0"))
				return err
			}) != nil {
				return
			}
			defer data.Close()
			port := data.Addr().(*net.TCPAddr).Port
			if code, text = 229, fmt.Sprintf("(|||%d|)", port); verb == "PASV" {
				code, text = 227, fmt.Sprintf("(%s,%d,%d)", strings.ReplaceAll(n.Content(), ".", ","), port>>8, port&0xff)
			}
		case "RETR":
			if data == nil {
				fmt.Fprint(control, "425 no data connection\r\n")
				continue
			}
			fmt.Fprint(control, "150 here it is\r\n")
			c, err := data.Accept()
			if err != nil {
				return
			}
			if s.early {
				control.Close()
			}
			for octets := []byte(strings.Repeat("0123456789", s.sends/10)[min(from, s.sends):]); len(octets) > 0; {
				n, err := c.Write(octets[:min(len(octets), s.sends/10)])
				if octets = octets[n:]; err != nil {
					break
				}
				time.Sleep(20 * time.Millisecond) // the program is to be midway for a while
			}
			c.Close()
			if from = 0; s.after == "" {
				return
			}
			fmt.Fprint(control, s.after+"\r\n")
			continue
		case "QUIT":
			code, text = 221, "bye"
		}
		if s.long != "" {
			fmt.Fprintf(control, "%d-\r\n%s", code, s.long)
		}
		fmt.Fprintf(control, "%d %s\r\n", code, text)
	}
}

// offer has a scripted server on each network, at the port.
func (s *site) offer(port int, server scripted) {
	for _, n := range s.Networks() {
		var listener net.Listener
		if err := n.Do(func() (err error) {
			listener, err = net.Listen("tcp", net.JoinHostPort(n.Content(), fmt.Sprint(port)))
			return err
		}); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go server.serve(c, n)
			}
		}()
	}
}

func TestWhims(t *testing.T) {
	s := &site{Lab: lab.New(t), t: t}
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
	}
	type pair struct{ native, under *lab.Program }
	all, port := map[string]pair{}, 2100
	run := func(p *lab.Program) *lab.Program {
		p.Dir = t.TempDir()
		return p.Start()
	}
	for name, whim := range whims {
		port++
		s.offer(port, whim.scripted)
		args := []string{"curl", "-sS", "-o", "out", fmt.Sprintf("ftp://%s:%d/file", host, port)}
		all[name] = pair{run(s.Command(args...)), run(s.Midstream(args...))}
	}
	for name, p := range all {
		native, under := p.native.Wait(), p.under.Wait()
		lab.Compare(t, native, under)
		if whole := native.Status == 0; whole != whims[name].whole {
			t.Errorf("natively, %s: %v", name, native)
		}
		want, _ := os.ReadFile(filepath.Join(p.native.Dir, "out"))
		got, _ := os.ReadFile(filepath.Join(p.under.Dir, "out"))
		if string(want) != string(got) {
			t.Errorf("%s: %d octets, natively %d", name, len(got), len(want))
		}
		t.Logf("%s: status %d after %v, natively %v", name, under.Status, under.Elapsed, native.Elapsed)
	}
}

// Nothing is loaded for a program that asks for no file, nor for one that speaks SMTP, whose servers greet alike.
func TestNothingIsLoadedForLess(t *testing.T) {
	s := &site{Lab: lab.New(t), t: t}
	n := s.Networks()[0]
	s.offer(21, scripted{sends: length, after: "226 done"})
	loaded := "\nprint('core' in ''.join(line.rsplit('/', 1)[-1] for line in open('/proc/self/maps') if 'midstream' in line))"
	for name, c := range map[string]struct{ what, want string }{
		"no file": {"import ftplib\nf = ftplib.FTP('" + n.Content() + "'); f.login(); f.cwd('/'); f.size('file'); f.makepasv()", "False\n"},
		"SMTP":    {"import socket\nc = socket.create_connection(('" + n.Content() + "', 21)); c.recv(99); c.sendall(b'EHLO here\\r\\n'); c.recv(99); c.sendall(b'RETR x\\r\\n')", "False\n"},
		"a file":  {"import ftplib, time\nf = ftplib.FTP('" + n.Content() + "'); f.login(); f.retrbinary('RETR file', lambda b: time.sleep(0.02), 30000)", "True\n"},
	} {
		r := s.Midstream("python3", "-c", c.what+loaded).Run()
		if r.Status != 0 || r.Stdout != c.want {
			t.Errorf("%s: %v", name, r)
		}
	}
}

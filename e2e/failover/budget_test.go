// What servers are asked: no more often than the program would, where it does not help.

package failover

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// counted serves the film on the network's IPv4 address, up to the octet end of it only, each connection once, and has refuse
// answer what is asked after the first request. It counts requests.
type counted struct {
	mu       sync.Mutex
	requests []string // their Range
}

func (c *counted) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.requests...)
}

// refusal answers a request that is not the first, of which from is the first octet, for a program that has received end octets.
type refusal func(conn net.Conn, film []byte, from, end int)

func (s *site) counted(n *lab.Network, framing string, end int, refuse refusal) *counted {
	s.t.Helper()
	film, err := os.ReadFile(filepath.Join(s.root, "film.mkv"))
	if err != nil {
		s.t.Fatal(err)
	}
	c := &counted{}
	n.Answer(s.t, n.Content(), "80", func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return // a connection without a request
		}
		c.mu.Lock()
		c.requests = append(c.requests, r.Header.Get("Range"))
		first := len(c.requests) == 1
		c.mu.Unlock()
		if !first {
			from := 0
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			refuse(conn, film, from, end)
			return
		}
		const head = "HTTP/1.1 200 OK\r\nETag: \"one\"\r\n"
		switch framing {
		case "length":
			fmt.Fprintf(conn, head+"Content-Length: %d\r\n\r\n", len(film))
			conn.Write(film[:end])
		case "chunked":
			fmt.Fprintf(conn, head+"Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(film))
			conn.Write(film[:end])
		}
	})
	return c
}

// partial is the head of the right answer.
func partial(film []byte, from int) string {
	return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nETag: \"one\"\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n\r\n",
		len(film)-from, from, len(film)-1, len(film))
}

// Whatever a server says that does not help, it is asked a few times, ten at most, and the program is told what it would have
// been told without Midstream.
func TestAServerThatRefuses(t *testing.T) {
	answer := func(text string) refusal {
		return func(conn net.Conn, film []byte, from, end int) { fmt.Fprint(conn, text) }
	}
	for _, test := range []struct {
		name, framing string
		refuse        refusal
		least, most   int // requests beside the first
	}{
		{"503", "length", answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), 2, 10},
		{"503, asked not to come back", "length", answer("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"), 1, 1},
		{"429", "chunked", answer("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"), 2, 10},
		{"403", "length", answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), 1, 3},
		{"other content", "length", answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"), 1, 3},
		{"no answer", "chunked", answer(""), 1, 3},
		{"the same octet", "length", func(conn net.Conn, film []byte, from, end int) {
			fmt.Fprint(conn, partial(film, from))
			conn.Write(film[from:end])
		}, 1, 3},
		{"the same octet, in a chunk", "chunked", func(conn net.Conn, film []byte, from, end int) {
			fmt.Fprint(conn, partial(film, from))
			conn.Write(film[from:end])
		}, 1, 3},
		{"the same octet of what is skipped", "length", func(conn net.Conn, film []byte, from, end int) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: %d\r\n\r\n", len(film))
			conn.Write(film[:end/2])
		}, 1, 4},
		{"an octet each time", "length", func(conn net.Conn, film []byte, from, end int) {
			fmt.Fprint(conn, partial(film, from))
			conn.Write(film[from:max(end, from+4097)])
		}, 2, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, func(*lab.Network, string) *lab.Server { return nil }, "eth0")
			s.Configure("[failover]\npatience = \"4s\"\n")
			n, end := s.Network("eth0"), size/3
			args := []string{"curl", "-4sS", "-o", "out", "URL"}
			// Another port for each run would be another download: the servers follow each other on this one.
			c := s.counted(n, test.framing, end, func(conn net.Conn, film []byte, from, end int) { test.refuse(conn, film, from, end) })
			d := s.download(true, args...)
			r := d.Run()
			if got := len(c.all()) - 1; got < test.least || got > test.most {
				t.Errorf("%d requests beside the first: %q", got, c.all())
			}
			c.mu.Lock()
			c.requests = nil
			c.mu.Unlock()
			native := s.download(false, args...)
			lab.Compare(t, native.Run(), r, without(`[0-9]+ bytes (remaining|missing)|[0-9]+ out of [0-9]+`))
			if got, want := fileSize(d.out()), fileSize(native.out()); test.name != "an octet each time" && got != want {
				t.Errorf("%d octets instead of %d", got, want)
			}
			if r.Elapsed > lab.Patience/2 {
				t.Errorf("it took %v", r.Elapsed)
			}
		})
	}
}

// A request that a server takes and ends without an answer is repeated twice at most.
func TestAServerThatEndsWithoutAnAnswer(t *testing.T) {
	s := newSite(t, func(*lab.Network, string) *lab.Server { return nil }, "wlan0", "wwan0")
	var mu sync.Mutex
	requests := 0
	for _, n := range s.Networks() {
		n.Answer(t, n.Content(), "80", func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				mu.Lock()
				requests++
				mu.Unlock()
			}
		})
	}
	args := []string{"curl", "-4sS", "-o", "out", "URL"}
	native := s.download(false, args...).Run()
	mu.Lock()
	before := requests
	mu.Unlock()
	under := s.download(true, args...).Run()
	lab.Compare(t, native, under)
	mu.Lock()
	defer mu.Unlock()
	if got := requests - before; got > before+2 || under.Elapsed > lab.Patience/2 {
		t.Errorf("%d requests, natively %d, in %v", got, before, under.Elapsed)
	}
}

// The network is there and nobody listens any more: no patience helps.
func TestTheOnlyServerIsGone(t *testing.T) {
	s := newSite(t, nginx, "eth0")
	d := s.download(true, "curl", "-sS", "-o", "out", "URL")
	d.Start()
	d.halfway()
	s.web["eth0"].Kill()
	begun := time.Now()
	r := d.Wait()
	if took := time.Since(begun); r.Status != 18 || took < time.Second || took > 20*time.Second { // of a minute's patience
		t.Errorf("after %v: %v", took, r)
	}
}

// lighttpd's and nginx's limits are kept by bursts. Nobody else is asked, and a network that a person has chosen is kept.
func TestServersThatPaceThemselvesByTheSecond(t *testing.T) {
	for name, server := range map[string]serve{
		"nginx": func(n *lab.Network, root string) *lab.Server {
			return n.Nginx(root, lab.ServerOptions{LimitRate: 600 << 10})
		},
		"lighttpd": func(n *lab.Network, root string) *lab.Server {
			return n.Lighttpd(root, lab.ServerOptions{LimitRate: 600 << 10, Extra: `mimetype.assign = ("" => "application/octet-stream")`})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, server, "wlan0", "wwan0")
			d := s.download(true, "curl", "-sS", "-o", "out", "URL")
			d.Start()
			s.Await("some bursts", lab.Patience, func() bool { return s.received() > size/3 })
			moved, err := s.Control(d.Pid(), lab.Patience).Migrate("wwan0")
			if err != nil || len(moved) != 1 || !moved[0].OK {
				t.Fatalf("%+v, %v", moved, err)
			}
			var last []lab.Migration
			s.Await("its end", lab.Patience, func() bool {
				if all := s.migrations(); len(all) > 0 {
					last = all
				}
				select {
				case <-d.Ended():
					return true
				default:
					return false
				}
			})
			if r := d.Wait(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
				t.Errorf("%v", r)
			}
			if len(last) != 1 || last[0].To.Interface != "wwan0" {
				t.Errorf("%+v", last)
			}
			// lighttpd writes a request down when it turns to the connection for the next time, which it does by the second.
			s.Await("the request over wlan0 to be written down", lab.Patience, func() bool { return len(s.web["wlan0"].Requests()) > 0 })
			if n := len(s.web["wlan0"].Requests()); n != 1 {
				t.Errorf("%d requests over wlan0", n)
			}
		})
	}
}

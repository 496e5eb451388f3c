// Servers that ignore Range: what the program has had is skipped once, for as long as that gets on, and only where it can come to
// an end.

package failover

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// ignorant serves the film on the network's IPv4 address, always all of it: up to the octet slow at rate octets a second.
type ignorant struct {
	requests, sent atomic.Int64
	asked          chan struct{} // closed by the first request
}

func (s *site) ignorant(n *lab.Network, fields string, slow, rate int) *ignorant {
	s.t.Helper()
	film, err := os.ReadFile(filepath.Join(s.root, "film.mkv"))
	if err != nil {
		s.t.Fatal(err)
	}
	i := &ignorant{asked: make(chan struct{})}
	var once sync.Once
	n.Answer(s.t, n.Content(), "80", func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return // a connection without a request
		}
		i.requests.Add(1)
		once.Do(func() { close(i.asked) })
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n", fields)
		const step = 10 * time.Millisecond
		for at, piece := 0, rate/int(time.Second/step); at < len(film); {
			end := len(film)
			if at < slow {
				end = min(at+piece, slow)
				time.Sleep(step)
			}
			sent, err := conn.Write(film[at:end])
			i.sent.Add(int64(sent))
			if at += sent; err != nil {
				return
			}
		}
	})
	return i
}

// fields of an answer with the film as the site's other servers have it.
func (s *site) fields() string {
	info, err := os.Stat(filepath.Join(s.root, "film.mkv"))
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("ETag: \"%x-%x\"\r\nLast-Modified: %s\r\nContent-Length: %d\r\n", info.ModTime().Unix(), info.Size(),
		info.ModTime().UTC().Format(http.TimeFormat), info.Size())
}

// newSkipSite has the film on a paced server in one network, and on whatever serves in the other.
func newSkipSite(t *testing.T, serve func(s *site, n *lab.Network)) *site {
	s := newSite(t, func(n *lab.Network, root string) *lab.Server {
		if n.Name == "wwan0" {
			return nil
		}
		return n.Paced(root, lab.ServerOptions{LimitRate: pace})
	}, "wlan0", "wwan0")
	serve(s, s.Network("wwan0"))
	return s
}

var plainCurl = program{"curl over IPv4", []string{"curl", "-4sS", "-o", "out", "URL"}, nil}

// The program is held for as long as a skip gets on, longer than its patience with what does not.
func TestASkipThatGetsOnIsNotCutOff(t *testing.T) {
	var other *ignorant
	s := newSkipSite(t, func(s *site, n *lab.Network) { other = s.ignorant(n, s.fields(), size/3, size/3*2/3) })
	s.Configure("[failover]\npatience = \"1s\"\n")
	native := s.native(plainCurl, "paced")
	d := s.download(true, plainCurl.args...)
	d.Start()
	d.halfway()
	s.web["wlan0"].Kill()
	d.intact(native, nil)
	if n := other.requests.Load(); n != 1 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// So it is where the old connection ends while a migration skips what it has delivered: nothing is begun anew.
func TestASkipGoesOnWhereTheOldConnectionEnds(t *testing.T) {
	var other *ignorant
	s := newSkipSite(t, func(s *site, n *lab.Network) { other = s.ignorant(n, s.fields(), size/3, size/3) })
	native := s.native(plainCurl, "paced")
	d := s.download(true, plainCurl.args...)
	d.Start()
	d.halfway()
	c := s.Control(d.Pid(), lab.Patience)
	type result struct {
		moved []lab.Moved
		err   error
	}
	done := make(chan result, 1)
	go func() {
		moved, err := c.Migrate("wwan0")
		done <- result{moved, err}
	}()
	<-other.asked
	s.web["wlan0"].Kill()
	if r := <-done; r.err != nil || len(r.moved) != 1 || !r.moved[0].OK {
		t.Errorf("%+v", r)
	}
	d.intact(native, nil)
	if n := other.requests.Load(); n != 1 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// A migration to a server that ignores Range catches up with the old connection, or is refused before much has been fetched.
func TestASkipCatchesUpOrIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		rate int64
		why  string
	}{
		"faster": {8 * pace, ""},
		"equal":  {pace, "would not catch up: it is"},
	} {
		t.Run(name, func(t *testing.T) {
			var other *lab.Server
			s := newSkipSite(t, func(s *site, n *lab.Network) {
				other = n.Nginx(s.root, lab.ServerOptions{LimitRate: test.rate, Extra: "max_ranges 0; sendfile_max_chunk 32k; limit_rate_after 64k;"})
			})
			native := s.native(plainCurl, "paced")
			d := s.download(true, plainCurl.args...)
			d.Start()
			d.halfway()
			moved, err := s.Control(d.Pid(), lab.Patience).Migrate("wwan0")
			if err != nil || len(moved) != 1 || moved[0].OK != (test.why == "") || !strings.Contains(moved[0].Reason, test.why) {
				t.Errorf("%+v, %v", moved, err)
			}
			s.web["wlan0"].Release()
			d.intact(native, nil)
			var sent int64
			asked := other.Requests()
			for _, r := range asked {
				sent += r.Sent
			}
			if len(asked) != 1 || sent > size {
				t.Errorf("%+v", asked)
			}
		})
	}
}

// What the head of an answer refutes is not read any further: the server gets rid of no more than fits into buffers.
func TestWhatAHeadRefutesIsNotRead(t *testing.T) {
	for name, fields := range map[string]func(*site) string{
		"another ETag and date": func(s *site) string {
			return fmt.Sprintf("ETag: \"new\"\r\nLast-Modified: Sun, 06 Nov 2022 08:49:37 GMT\r\nContent-Length: %d\r\n", size)
		},
		"another length": func(s *site) string {
			return strings.Replace(s.fields(), fmt.Sprint("Content-Length: ", size), fmt.Sprint("Content-Length: ", size+1), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var other *ignorant
			s := newSkipSite(t, func(s *site, n *lab.Network) { other = s.ignorant(n, fields(s), size, size/2) })
			native := s.native(plainCurl, "paced")
			d := s.download(true, plainCurl.args...)
			d.Start()
			d.halfway()
			moved, err := s.Control(d.Pid(), lab.Patience).Migrate("wwan0")
			if err != nil || len(moved) != 1 || moved[0].OK {
				t.Errorf("%+v, %v", moved, err)
			}
			s.web["wlan0"].Release()
			d.intact(native, nil)
			// At its rate, a third of the film would take more than half a second.
			if asked, sent := other.requests.Load(), other.sent.Load(); asked != 1 || sent > size/12 {
				t.Errorf("asked %d times, it sent %d octets of %d", asked, sent, size)
			}
		})
	}
}

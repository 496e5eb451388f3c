// Attacks: what programs, servers and networks do that nobody should, and what the program must not notice of it.

package attack

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	host      = "download.example"
	etag      = `"attacked"`
	waitLimit = lab.Patience
)

// site is a phone with two networks that know the same name.
type site struct {
	*lab.Lab
	t    *testing.T
	root string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Lab: lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{})), t: t, root: t.TempDir()}
	for _, n := range s.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
	}
	return s
}

// film makes content of that many octets and returns it with its path.
func (s *site) film(size int64) ([]byte, string) {
	s.t.Helper()
	lab.Content(s.t, s.root, "film.mkv", size, 7)
	path := filepath.Join(s.root, "film.mkv")
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return b, path
}

// serve has answer speak on every connection to port 80 of the network's content address; when it returns, the
// connection is closed.
func (s *site) serve(network string, answer func(c net.Conn, in *bufio.Reader)) {
	s.t.Helper()
	n := s.Network(network)
	n.Answer(s.t, n.Content(), "80", func(c net.Conn) { answer(c, bufio.NewReader(c)) })
}

// head is that of the right answer: 200, or 206 from the octet asked for, which is returned too.
func head(r *http.Request, total int) (text string, from int) {
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: %s\r\n\r\n", total, etag), 0
	}
	return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\nETag: %s\r\n\r\n",
		total-from, from, total-1, total, etag), from
}

// right answers every request as it should be answered.
func right(all []byte) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			text, from := head(r, len(all))
			c.Write([]byte(text))
			c.Write(all[from:])
		}
	}
}

// held is right, but keeps the last octet until last is closed: so the program does not end before its migration is reported.
func held(all []byte, last <-chan struct{}) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		text, from := head(r, len(all))
		c.Write([]byte(text))
		c.Write(all[from : len(all)-1])
		<-last
		c.Write(all[len(all)-1:])
	}
}

// part answers rightly, but has only so many octets of the content; then it calls then, and closes the connection.
func part(all []byte, octets int, then func(net.Conn)) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		text, from := head(r, len(all))
		c.Write([]byte(text))
		c.Write(all[min(from, octets):octets])
		then(c)
	}
}

// control speaks to the program's control socket.
func (s *site) control(p *lab.Program) *lab.Control {
	s.t.Helper()
	return s.Control(p.Pid(), waitLimit)
}

// received waits until the program's only session has that many octets.
func (s *site) received(c *lab.Control, octets int64) lab.Session {
	s.t.Helper()
	var found lab.Session
	s.Await(fmt.Sprintf("%d octets received", octets), waitLimit, func() bool {
		all, err := c.Sessions()
		if err == nil && len(all) == 1 && all[0].Received >= octets {
			found = all[0]
			return true
		}
		return false
	})
	return found
}

// succeeds waits for the program's end: status 0 and those words.
func (s *site) succeeds(p *lab.Program, words string) {
	s.t.Helper()
	if r := p.Wait(); r.Status != 0 || strings.TrimSpace(r.Stdout) != words {
		s.t.Errorf("want %q of %v", words, r)
	}
}

// fds are the open descriptors of a thread, or of the process for an empty tid.
func fds(pid int, tid string) map[int]string {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	if tid != "" {
		folder = fmt.Sprintf("/proc/%d/task/%s/fd", pid, tid)
	}
	list, _ := os.ReadDir(folder)
	all := map[int]string{}
	for _, e := range list {
		n, _ := strconv.Atoi(e.Name())
		all[n], _ = os.Readlink(filepath.Join(folder, e.Name()))
	}
	return all
}

// coreThread is a thread of the core's: one with the helper's name.
func coreThread(pid int) string {
	list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
	for _, path := range list {
		if b, _ := os.ReadFile(path); strings.TrimSpace(string(b)) == "midstream" {
			return filepath.Base(filepath.Dir(path))
		}
	}
	return ""
}

// rss is the process's resident memory in octets.
func rss(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var size, resident int64
	fmt.Sscan(string(b), &size, &resident)
	return resident * int64(os.Getpagesize())
}

// Servers that do as a test tells them, head by head and octet by octet.

package migration

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"midstream/e2e/lab"
)

// etag is that of all scripted content.
const etag = `"scripted-1"`

// scripted serves port 80 of a network's content addresses; answer is called in a goroutine of its own for every request.
type scripted struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (s *site) scripted(n *lab.Network, answer func(c net.Conn, r *http.Request)) *scripted {
	s.t.Helper()
	server := &scripted{}
	for _, address := range []string{n.Content(), n.Content6()} {
		n.Answer(s.t, address, "80", func(c net.Conn) { server.serve(c, answer) })
	}
	return server
}

func (server *scripted) serve(c net.Conn, answer func(c net.Conn, r *http.Request)) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		server.mu.Lock()
		server.requests = append(server.requests, r)
		server.mu.Unlock()
		answer(c, r)
	}
}

// seen are the requests so far.
func (server *scripted) seen() []*http.Request {
	server.mu.Lock()
	defer server.mu.Unlock()
	return append([]*http.Request(nil), server.requests...)
}

// content reads a file of the site's.
func (s *site) content(name string) []byte {
	b, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// head is that of the right answer to r: 200, or 206 from the octet asked for. from is that octet.
func head(r *http.Request, total int) (text string, from int) {
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: %s\r\nAccept-Ranges: bytes\r\n\r\n", total, etag), 0
	}
	return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\nETag: %s\r\n\r\n",
		total-from, from, total-1, total, etag), from
}

// right answers every request as it should be answered.
func (s *site) right(name string) func(net.Conn, *http.Request) {
	all := s.content(name)
	return func(c net.Conn, r *http.Request) {
		text, from := head(r, len(all))
		c.Write([]byte(text))
		c.Write(all[from:])
	}
}

// inTwo answers rightly, but goes on after so many octets of head and content only when told to by closing the channel.
func (s *site) inTwo(name string, octets int, goOn <-chan struct{}) func(net.Conn, *http.Request) {
	all := s.content(name)
	return func(c net.Conn, r *http.Request) {
		text, from := head(r, len(all))
		answer := text + string(all[from:])
		octets := octets
		if octets < 0 { // from the end
			octets += len(answer)
		}
		c.Write([]byte(answer[:octets]))
		<-goOn
		c.Write([]byte(answer[octets:]))
	}
}

// headLength is how long the head of the 200 is.
func headLength(total int) int {
	text, _ := head(&http.Request{Header: http.Header{}}, total)
	return strings.Index(text, "\r\n\r\n") + 4
}

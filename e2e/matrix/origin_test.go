// The scripted server: any framing, stopped at any octet.

package matrix

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// script says how a server answers. It is not changed while the server has connections.
type script struct {
	body     []byte
	framing  string // length, chunked, close, http10
	ranges   bool   // answers Range with 206
	chunk    int    // octets of a chunk; 0: 8192
	decorate bool   // chunk extensions, padded sizes and trailers
	fields   string // further header lines
	etag     string // "" for none
	modified string
	final    bool // Connection: close
	// hold stops the answer to the first request after so many octets of it, until the test lets it go on; -1 never.
	hold int
	each bool // stops every answer there
	// status is sent instead, with an empty body, where it is not 0.
	status    int
	location  string
	interim   string // 1xx heads before each answer
	trailer   string // of a chunked answer, each line with its end; "none"
	extension string // of its chunks
	redirects int    // how many a request with Range is led through, by paths that count down
	raw       string // sent instead of any answer
	bareLF    bool   // lines of the head end without CR
	spoilt    int    // after so many octets of the body, what should be a chunk-size line is none; negative: it is the last one
	over      transport
	beyond    int // octets sent after those of a range
	earlier   int // octets sent, and announced, before those of a range
	short     int // the first answer to a request for a range ends after so many octets of content
	// piece is how many octets are sent at a time, at most; 0: as many as there are. later are framings that the second and
	// later answers take at random.
	piece  int
	later  []string
	echoes bool // takes every offer of the protocol "echo"
}

// origin is a server that follows a script.
type origin struct {
	script
	listener net.Listener
	address  string
	held     chan struct{} // closed when the answer has come to its hold
	resume   chan struct{} // closed by release

	closed chan struct{} // when nobody listens any more

	cutShort atomic.Bool // script.short has been done
	mu       sync.Mutex
	once     sync.Once
	dead     bool // nothing more is sent
	asked    []*http.Request
	conns    map[net.Conn]bool
}

// serve starts a server in the network, on port 80 of its content address, or 443.
func serve(t *testing.T, n *lab.Network, s script) *origin {
	t.Helper()
	return serveAt(t, n, n.Content(), s)
}

// serveAt is serve at another address of the network.
func serveAt(t *testing.T, n *lab.Network, address string, s script) *origin {
	t.Helper()
	o := &origin{script: s, held: make(chan struct{}), resume: make(chan struct{}), closed: make(chan struct{}), conns: map[net.Conn]bool{}}
	o.address = address
	port := ":80"
	if s.over.secure {
		port = ":443"
	}
	// A program that is just being started holds what an earlier server has closed until it is executed.
	var err error
	for end := time.Now().Add(5 * time.Second); o.listener == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		err = n.Do(func() (err error) {
			listener, err := net.Listen("tcp", o.address+port)
			if err == nil && s.over.secure {
				listener = tls.NewListener(listener, authority().config)
			}
			if err == nil {
				o.listener = listener
			}
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.stop)
	go func() {
		defer close(o.closed)
		for {
			conn, err := o.listener.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns[conn] = true
			o.mu.Unlock()
			go o.converse(conn)
		}
	}()
	return o
}

// stop ends the server and its connections, a held answer where it is.
func (o *origin) stop() {
	o.listener.Close()
	<-o.closed
	o.mu.Lock()
	o.dead = true
	o.mu.Unlock()
	o.release()
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		abandon(c)
	}
}

// cut ends all connections, and leaves the server.
func (o *origin) cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		abandon(c)
		delete(o.conns, c)
	}
}

// abandon closes a connection like a server that is killed: TLS sessions are not ended.
func abandon(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	c.Close()
}

// send writes the octets, piece by piece.
func (o *origin) send(conn net.Conn, octets []byte) error {
	for o.piece > 0 && len(octets) > 0 {
		n := min(1+rand.Intn(o.piece), len(octets))
		if _, err := conn.Write(octets[:n]); err != nil {
			return err
		}
		octets = octets[n:]
		time.Sleep(time.Millisecond) // the pace of a network, so that there is something to be moved
	}
	_, err := conn.Write(octets)
	return err
}

// release lets the held answer go on.
func (o *origin) release() { o.once.Do(func() { close(o.resume) }) }

// awaits waits until the first answer has come to its hold.
func (o *origin) awaits(t *testing.T, p *lab.Program) {
	t.Helper()
	select {
	case <-o.held:
	case <-p.Ended():
		t.Fatalf("the server was not asked: %v", p.Wait())
	}
}

// requests returns those received so far.
func (o *origin) requests() []*http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*http.Request(nil), o.asked...)
}

func (o *origin) converse(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		o.mu.Lock()
		o.asked = append(o.asked, request)
		first := len(o.asked) == 1
		o.mu.Unlock()
		if o.echoes && request.Header.Get("Upgrade") == "echo" {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(conn, in)
			return
		}
		scripted := o
		if !first && len(o.later) > 0 {
			scripted = &origin{script: o.script}
			scripted.framing, scripted.chunk = o.later[rand.Intn(len(o.later))], 1+rand.Intn(40_000)
			scripted.decorate = rand.Intn(2) == 0
		}
		wire, open := scripted.answer(request)
		if k, err := strconv.Atoi(request.URL.Query().Get("hold")); err == nil && request.Header.Get("Range") == "" {
			conn.Write(wire[:k])
			<-o.resume
			wire = wire[k:]
		}
		if (first || o.each) && o.hold >= 0 && o.hold <= len(wire) {
			conn.Write(wire[:o.hold])
			if first {
				close(o.held)
			}
			<-o.resume
			o.mu.Lock()
			dead := o.dead
			o.mu.Unlock()
			if dead {
				return
			}
			wire = wire[o.hold:]
		}
		if err := o.send(conn, wire); err != nil || !open {
			return
		}
	}
}

// answer returns the octets of the answer, and whether the connection stays open after it.
func (o *origin) answer(request *http.Request) ([]byte, bool) {
	if o.raw != "" {
		return []byte(o.raw), false
	}
	var head, body bytes.Buffer
	head.WriteString(o.interim)
	location := o.location
	version, status := "HTTP/1.1", "200 OK"
	if o.framing == "http10" {
		version = "HTTP/1.0"
	}
	content, contentRange := o.body, ""
	if n := request.URL.Query().Get("n"); n != "" {
		content = []byte("exchange " + n + "\n")
	} else if r := request.Header.Get("Range"); r != "" && o.ranges {
		first, last := 0, len(content)-1
		switch {
		case strings.HasPrefix(r, "bytes=-"):
			fmt.Sscanf(r, "bytes=-%d", &first)
			first = max(0, len(content)-first)
		case strings.HasSuffix(r, "-"):
			fmt.Sscanf(r, "bytes=%d-", &first)
		default:
			fmt.Sscanf(r, "bytes=%d-%d", &first, &last)
		}
		last = min(last, len(content)-1)
		if first > last {
			status, content, contentRange = "416 Range Not Satisfiable", nil, fmt.Sprintf("bytes */%d", len(o.body))
		} else {
			first = max(first-o.earlier, 0)
			status, contentRange = "206 Partial Content", fmt.Sprintf("bytes %d-%d/%d", first, last, len(content))
			content = content[first : last+1]
		}
	}
	bodyless := false
	if code := request.URL.Query().Get("status"); code != "" {
		status, content = code+" Asked For", []byte("see there\n")
		bodyless = code == "204" || code == "304"
	}
	if n := o.redirect(request); n > 0 {
		status, content, contentRange, location = "302 Found", nil, "", fmt.Sprintf("/hop/%d", n-1)
	}
	if o.status != 0 && request.URL.Path != "/there" {
		status, content = fmt.Sprintf("%d Scripted", o.status), nil
	}
	fmt.Fprintf(&head, "%s %s\r\nDate: Sun, 06 Nov 2022 08:49:37 GMT\r\n", version, status)
	if o.etag != "" {
		fmt.Fprintf(&head, "ETag: %s\r\n", o.etag)
	}
	if o.modified != "" {
		fmt.Fprintf(&head, "Last-Modified: %s\r\n", o.modified)
	}
	if contentRange != "" {
		fmt.Fprintf(&head, "Content-Range: %s\r\n", contentRange)
	}
	if location != "" {
		fmt.Fprintf(&head, "Location: %s\r\n", location)
	}
	head.WriteString(o.fields)
	open := !o.final && o.framing != "close" && o.framing != "http10"
	if o.final {
		head.WriteString("Connection: close\r\n")
	}
	framing := o.framing
	if bodyless {
		framing = "none"
	}
	switch framing {
	case "none":
	case "chunked":
		head.WriteString("Transfer-Encoding: chunked\r\n")
		size := o.chunk
		if size == 0 {
			size = 8192
		}
		for rest := content; len(rest) > 0; {
			n := min(size, len(rest))
			if o.spoilt != 0 && len(o.body)-len(rest) > max(o.spoilt, -o.spoilt) {
				if o.spoilt > 0 {
					body.WriteString("none\r\n")
				}
				break
			}
			if o.decorate {
				fmt.Fprintf(&body, "00%X%s\r\n", n, o.chunkExtension())
			} else {
				fmt.Fprintf(&body, "%x\r\n", n)
			}
			body.Write(rest[:n])
			body.WriteString("\r\n")
			rest = rest[n:]
		}
		body.WriteString(o.lastChunk() + o.trailerSection() + "\r\n")
	case "close", "http10":
		body.Write(content)
		if contentRange != "" {
			body.Write(bytes.Repeat([]byte("Z"), o.beyond))
		}
	default:
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(content))
		body.Write(content)
	}
	head.WriteString("\r\n")
	if request.Method == "HEAD" || bodyless {
		body.Reset()
	}
	if contentRange != "" && o.short > 0 && !o.cutShort.Swap(true) {
		body.Truncate(o.short)
		open = false
	}
	if o.bareLF {
		return append(bytes.ReplaceAll(head.Bytes(), []byte("\r\n"), []byte("\n")), body.Bytes()...), open
	}
	return append(head.Bytes(), body.Bytes()...), open
}

// redirect is how many redirects are still to come.
func (s script) redirect(request *http.Request) (n int) {
	if request.Header.Get("Range") == "" {
		return 0
	}
	if _, err := fmt.Sscanf(request.URL.Path, "/hop/%d", &n); err == nil {
		return n
	}
	return s.redirects
}

func (s script) chunkExtension() string {
	if s.decorate && s.extension == "" {
		return ` ;name="value"`
	}
	return s.extension
}

func (s script) lastChunk() string {
	if s.decorate {
		return "000;last\r\n"
	}
	return "0\r\n"
}

func (s script) trailerSection() string {
	switch {
	case s.decorate && s.trailer == "":
		return trailer
	case s.trailer == "none":
		return ""
	}
	return s.trailer
}

// headLength is how long the head of the answer to a plain request is.
func (s script) headLength() int {
	o := &origin{script: s}
	wire, _ := o.answer(&http.Request{URL: mustURL("/file")})
	return bytes.Index(wire, []byte("\r\n\r\n")) + 4
}

// wireLength is how long all of that answer is.
func (s script) wireLength() int {
	o := &origin{script: s}
	wire, _ := o.answer(&http.Request{URL: mustURL("/file")})
	return len(wire)
}

// getFile is a plain request.
var getFile = &http.Request{Method: "GET", URL: mustURL("/file")}

package tls

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// last is what the first server does not send: it fits into a record together with the head of an answer.
const last = 3000

const waits = `
import os, select, selectors, ssl, socket, sys
how, ca, host, out = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
s = context.wrap_socket(socket.create_connection((host, 443)), server_hostname=host)
s.sendall(b"GET /film.bin HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
s.setblocking(False)
poll, edge, level = select.poll(), select.epoll(), select.epoll()
poll.register(s, select.POLLIN)
edge.register(s, select.EPOLLIN | (select.EPOLLONESHOT if how == "oneshot" else select.EPOLLET))
level.register(s, select.EPOLLIN)
def wait():
    if how == "select":
        assert select.select([s], [], []) == ([s], [], [])
    elif how == "poll":
        assert poll.poll() == [(s.fileno(), select.POLLIN)]
    else:
        if how == "oneshot":
            edge.modify(s, select.EPOLLIN | select.EPOLLONESHOT)
        events = (level if how == "epoll" else edge).poll()
        assert events == [(s.fileno(), select.EPOLLIN)], events
length, got = -1, b""
with open(out, "wb") as f:
    while length:
        wait()
        while length:
            try:
                piece = s.recv(1000)
            except ssl.SSLWantReadError:
                break
            assert piece
            if length < 0:
                got += piece
                head, end, piece = got.partition(b"\r\n\r\n")
                if not end:
                    continue
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            f.write(piece)
            f.flush()
            length -= len(piece)
            if how in ("select", "poll", "epoll", "oneshot") and not s.pending():
                break
if how == "epoll":
    assert level.poll(0.1) == []
    level.modify(s, select.EPOLLOUT)
    assert level.poll(1) == [(s.fileno(), select.EPOLLOUT)]
`

// answerer speaks TLS on port 443 of a network.
func (s *site) answerer(network string, answer func(c *tls.Conn, r *http.Request)) {
	s.t.Helper()
	n := s.Network(network)
	id := s.ca.issue(network, host, 30)
	pair, err := tls.LoadX509KeyPair(id.certificate, id.key)
	if err != nil {
		s.t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, DynamicRecordSizingDisabled: true}
	n.Answer(s.t, n.Content(), "443", func(c net.Conn) {
		over := tls.Server(c, config)
		for in := bufio.NewReader(over); ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			answer(over, r)
		}
	})
}

// breakingOff has the first server send all but the last octets, and reset the connection when what broken points to is
// closed. The second sends all that it is asked for, and nothing more.
func (s *site) breakingOff(broken *chan struct{}) {
	s.t.Helper()
	content, err := os.ReadFile(s.out("content/" + name))
	if err != nil {
		s.t.Fatal(err)
	}
	write := func(c *tls.Conn, from, to int, short int) {
		status, extra := "200 OK", ""
		if from > 0 || to < len(content) {
			status = "206 Partial Content"
			extra = fmt.Sprintf("Content-Range: bytes %d-%d/%d\r\n", from, to-1, len(content))
		}
		var b bytes.Buffer
		fmt.Fprintf(&b, "HTTP/1.1 %s\r\nDate: %s\r\nServer: test\r\nETag: \"film\"\r\nLast-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\n"+
			"Accept-Ranges: bytes\r\nContent-Type: video/mp4\r\n%sContent-Length: %d\r\n\r\n", status,
			time.Now().UTC().Format(http.TimeFormat), extra, to-from)
		b.Write(content[from : to-short])
		c.Write(b.Bytes())
	}
	s.answerer("wlan0", func(c *tls.Conn, r *http.Request) {
		write(c, 0, len(content), last)
		<-*broken
		c.NetConn().(*net.TCPConn).SetLinger(0)
		c.NetConn().Close()
	})
	s.answerer("wwan0", func(c *tls.Conn, r *http.Request) {
		from, to := 0, len(content)-1
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
		write(c, from, to+1, 0)
	})
}

// After a failure, or when it is asked to take over a download that has come to a stop, the new server sends all that is left in one record, which is decrypted before the program continues, and
// then nothing: a program that waits before it reads is told of it.
func TestDecryptedOctetsAreReadable(t *testing.T) {
	s := newSite(t, lab.Link{})
	var broken chan struct{}
	s.breakingOff(&broken)
	clients := map[string][]string{"curl": {"curl", "-sSN", "--cacert", s.ca.certificate, "-o", s.out("curl"), s.url()}}
	for _, how := range []string{"select", "poll", "epoll", "edge", "oneshot"} {
		clients[how] = []string{"/usr/bin/python3", "-c", waits, how, s.ca.certificate, host, s.out(how)}
	}
	for label, args := range clients {
		for how, strike := range map[string]func(){
			"failure": func() { close(broken) },
			"request": func() { s.migrate("wwan0") }, // the program may be over before there is an answer
		} {
			t.Run(label+", "+how, func(t *testing.T) {
				s.t = t
				broken = make(chan struct{})
				out := s.out(label)
				os.Remove(out)
				p := s.Midstream(args...).Start()
				if !s.reached(p, out, size-last) {
					close(broken)
					t.Fatalf("%v", p.Wait())
				}
				s.known(p)
				strike()
				if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
					t.Errorf("%v", r)
				}
				if how == "request" {
					close(broken)
				}
				s.intact(label, out)
			})
		}
	}
}

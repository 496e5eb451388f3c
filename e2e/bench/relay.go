// What re-framing costs: a relayed stream against one on a direct socket, and following chunks against not being there.

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"midstream/e2e/lab"
)

const zeros = 2 << 30 // octets of the file that is fetched

// chunkServer answers every request with a file of zeros, chunked by 8 kB or with its length, and stops after so many
// octets of content if stop is not 0. It answers Range from an octet on, unless it stops.
type chunkServer struct {
	net.Listener
	chunked  bool
	stop     int64
	etag     string
	modified string
	sent     atomic.Int64 // octets of content that the kernel has taken
}

func (s *chunkServer) serve() {
	for {
		conn, err := s.Accept()
		if err != nil {
			return
		}
		go s.answer(conn)
	}
}

func (s *chunkServer) answer(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	request, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	var first int64
	if n, _ := fmt.Sscanf(request.Header.Get("Range"), "bytes=%d-", &first); n == 1 && s.stop == 0 {
		fmt.Fprintf(conn, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n", first, int64(zeros)-1, int64(zeros))
	} else {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
	}
	fmt.Fprintf(conn, "ETag: %s\r\nLast-Modified: %s\r\n", s.etag, s.modified)
	const chunk, piece = 8 << 10, 1 << 20
	octets := make([]byte, piece)
	if s.chunked {
		fmt.Fprint(conn, "Transfer-Encoding: chunked\r\n\r\n")
		octets = bytes.Repeat([]byte("2000\r\n"+string(make([]byte, chunk))+"\r\n"), piece/chunk)
	} else {
		fmt.Fprintf(conn, "Content-Length: %d\r\n\r\n", zeros-first)
	}
	for left := zeros - first; left > 0; left -= piece {
		if s.stop > 0 && zeros-left >= s.stop {
			in.ReadByte() // until the client is gone
			return
		}
		if left < piece && s.chunked {
			octets = fmt.Appendf(nil, "%x\r\n%s\r\n", left, make([]byte, left))
		} else if left < piece {
			octets = octets[:left]
		}
		for rest := octets; len(rest) > 0; {
			n, err := conn.Write(rest[:min(len(rest), 64<<10)])
			if err != nil {
				return
			}
			s.sent.Add(int64(n))
			rest = rest[n:]
		}
	}
	if s.chunked {
		fmt.Fprint(conn, "0\r\n\r\n")
	}
	in.ReadByte()
}

func chunks(b *bench) {
	l := lab.New(b, lab.Net("wlan0", lab.Link{}))
	l.LogLevel = "off"
	listener, err := net.Listen("tcp", loopback)
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	defer listener.Close()
	go (&chunkServer{Listener: listener, chunked: true, etag: `"z"`}).serve()
	args := []string{"curl", "-s", "-o", "/dev/null", "http://" + loopback + "/zeros"}
	var rate [2]sample
	for i := range runs(15) + 1 {
		for k := range 2 {
			p := l.Command(args...)
			if (k+i)%2 == 1 {
				p = preloaded(l, b.library(), args...)
			}
			r := p.Run()
			if r.Status != 0 {
				b.Fatalf("bench: %v", r)
			}
			if i > 0 {
				rate[(k+i)%2] = append(rate[(k+i)%2], zeros/1e6/r.Elapsed.Seconds())
			}
		}
	}
	r := ratios(rate[1], rate[0])
	b.reportLeast("chunks of 8 kB over loopback, throughput", r.median(), r.text("%.3f"), 0.9)
	b.note("natively %s MB/s, under Midstream %s MB/s", rate[0].text("%.0f"), rate[1].text("%.0f"))
}

// move is a download from one server, moved to another in its course.
type move struct {
	what      string
	old, next bool // chunked
	nginx     bool // on the new network
	rate      sample
	delivery  string
}

func relayed(b *bench) {
	l := lab.New(b, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
	l.LogLevel = "off"
	root := b.path("zeros")
	os.MkdirAll(root, 0o755)
	file, err := os.Create(root + "/zeros")
	if err == nil {
		err = file.Truncate(zeros)
	}
	var info os.FileInfo
	if err == nil {
		info, err = file.Stat()
	}
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	file.Close()
	near, far := l.Networks()[0], l.Networks()[1]
	other := far.Address(83)
	far.AddAddress(other)
	near.DNS(map[string][]string{"nginx.example": {near.Content()}, "chunks.example": {near.Content()}})
	far.DNS(map[string][]string{"nginx.example": {far.Content()}, "chunks.example": {other}})
	far.Nginx(root, lab.ServerOptions{})
	old := &chunkServer{stop: 4 << 20, etag: fmt.Sprintf(`"%x-%x"`, info.ModTime().Unix(), int64(zeros)),
		modified: info.ModTime().UTC().Format(http.TimeFormat)}
	next := &chunkServer{etag: old.etag, modified: old.modified}
	for server, at := range map[*chunkServer]*lab.Network{old: near, next: far} {
		address := at.Content()
		if server == next {
			address = other
		}
		err := at.Do(func() (err error) {
			server.Listener, err = net.Listen("tcp", net.JoinHostPort(address, "80"))
			return err
		})
		if err != nil {
			b.Fatalf("bench: %v", err)
		}
		defer server.Close()
		go server.serve()
	}
	moves := []*move{
		{what: "nginx, a length to a length", nginx: true},
		{what: "nginx, chunks to a length", nginx: true, old: true},
		{what: "Go, a length to a length"},
		{what: "Go, a length to chunks of 8 kB", next: true},
		{what: "Go, chunks to chunks of 8 kB, which the program itself decodes", old: true, next: true},
	}
	for i := range runs(7) + 1 {
		for _, m := range moves {
			old.chunked, next.chunked = m.old, m.next
			host := "chunks.example"
			if m.nginx {
				host = "nginx.example"
			}
			p := l.Midstream("curl", "-s", "-o", "/dev/null", "http://"+host+"/zeros")
			p.Start()
			c := l.Control(p.Pid(), 10*time.Second)
			l.Await("the old server's octets", 10*time.Second, func() bool {
				s, err := c.Sessions()
				return err == nil && len(s) > 0 && s[0].Received >= old.stop
			})
			moved, err := c.Migrate("wwan0")
			begun := time.Now()
			if err != nil || len(moved) != 1 || !moved[0].OK {
				b.Fatalf("bench: not moved: %v %+v", err, moved)
			}
			if r := p.Wait(); r.Status != 0 {
				b.Fatalf("bench: %v", r)
			}
			if i > 0 {
				m.rate = append(m.rate, float64(zeros-moved[0].Migration.Offset)/1e6/time.Since(begun).Seconds())
			}
			m.delivery = moved[0].Migration.Delivery
		}
	}
	for i, direct := range []int{-1, 0, -1, 2, -1} {
		m := moves[i]
		if direct < 0 {
			b.note("%s: %s, %s MB/s", m.what, m.delivery, m.rate.text("%.0f"))
			continue
		}
		r := ratios(m.rate, moves[direct].rate)
		b.reportLeast(m.delivery+" against direct, "+m.what, r.median(), r.text("%.3f"), 0.7)
		b.note("%s MB/s", m.rate.text("%.0f"))
	}
}

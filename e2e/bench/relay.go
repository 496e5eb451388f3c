// What re-framing costs: a relayed stream against one on a direct socket, and following chunks against not being there.

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"midstream/e2e/lab"
)

const zeros = 2 << 30 // octets of the file that is fetched

// chunkServer answers every request with a file of zeros, chunked by 8 kB or with its length, and stops after so many
// octets of content if stop is not 0.
type chunkServer struct {
	net.Listener
	chunked  bool
	stop     int64
	etag     string
	modified string
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
	if _, err := http.ReadRequest(in); err != nil {
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nETag: %s\r\nLast-Modified: %s\r\n", s.etag, s.modified)
	const chunk, piece = 8 << 10, 1 << 20
	octets := make([]byte, piece)
	if s.chunked {
		fmt.Fprint(conn, "Transfer-Encoding: chunked\r\n\r\n")
		octets = bytes.Repeat([]byte("2000\r\n"+string(make([]byte, chunk))+"\r\n"), piece/chunk)
	} else {
		fmt.Fprintf(conn, "Content-Length: %d\r\n\r\n", int64(zeros))
	}
	for sent := int64(0); sent < zeros; sent += piece {
		if s.stop > 0 && sent >= s.stop {
			in.ReadByte() // until the client is gone
			return
		}
		if _, err := conn.Write(octets); err != nil {
			return
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
	for i := range runs(7) + 1 {
		for k := range 2 {
			p := l.Command(args...)
			if (k+i)%2 == 1 {
				p = preloaded(b, l, args...)
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
	ratio := rate[1].median() / rate[0].median()
	b.reportLeast("chunks of 8 kB over loopback, throughput", ratio, ratios(rate[1], rate[0]).text("%.3f"), 0.9)
	b.note("natively %s MB/s, under Midstream %s MB/s", rate[0].text("%.0f"), rate[1].text("%.0f"))
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
	for _, n := range l.Networks() {
		n.DNS(map[string][]string{"download.example": {n.Content()}})
	}
	l.Networks()[1].Nginx(root, lab.ServerOptions{})
	old := &chunkServer{stop: 4 << 20, etag: fmt.Sprintf(`"%x-%x"`, info.ModTime().Unix(), int64(zeros)),
		modified: info.ModTime().UTC().Format(http.TimeFormat)}
	err = l.Networks()[0].Do(func() (err error) {
		old.Listener, err = net.Listen("tcp", net.JoinHostPort(l.Networks()[0].Content(), "80"))
		return err
	})
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	defer old.Close()
	go old.serve()
	rate := map[string]sample{}
	for i := range 2 * (runs(7) + 1) {
		old.chunked = i%2 == 1
		p := l.Midstream("curl", "-s", "-o", "/dev/null", "http://download.example/zeros")
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
		m := moved[0].Migration
		if i > 1 {
			rate[m.Delivery] = append(rate[m.Delivery], float64(zeros-m.Offset)/1e6/time.Since(begun).Seconds())
		}
	}
	ratio := rate["relayed"].median() / rate["direct"].median()
	b.reportLeast("relayed against direct, throughput", ratio, strconv.FormatFloat(ratio, 'f', 3, 64), 0.9)
	b.note("direct %s MB/s, relayed %s MB/s", rate["direct"].text("%.0f"), rate["relayed"].text("%.0f"))
}

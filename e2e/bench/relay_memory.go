// What a relayed stream holds while its program does not read.

package main

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"midstream/e2e/lab"
)

// idleSource begins so many downloads on a connection each, reads 512 kB of each, and then no more, until a line comes.
const idleSource = `
import socket, sys
all = []
for i in range(int(sys.argv[1])):
    s = socket.create_connection((sys.argv[2], 80))
    s.sendall(b"GET /zeros HTTP/1.1\r\nHost: download.example\r\n\r\n")
    left = 512 << 10
    while left:
        octets = s.recv(left)
        if not octets: sys.exit("the server closed the connection")
        left -= len(octets)
    all.append(s)
print("ready", flush=True)
sys.stdin.readline()
`

func relayMemory(b *bench) {
	const count = 100
	l := lab.New(b, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
	l.LogLevel = "off"
	old := &chunkServer{stop: 1 << 20, etag: `"z"`}
	next := &chunkServer{chunked: true, etag: `"z"`}
	for i, server := range []*chunkServer{old, next} {
		n := l.Networks()[i]
		n.DNS(map[string][]string{"download.example": {n.Content()}})
		err := n.Do(func() (err error) {
			server.Listener, err = net.Listen("tcp", net.JoinHostPort(n.Content(), "80"))
			return err
		})
		if err != nil {
			b.Fatalf("bench: %v", err)
		}
		defer server.Close()
		go server.serve()
	}
	var pair, connection, native, own, arrived sample
	for range runs(3) {
		p, end := idle(b, l, l.Command("python3", "-c", idleSource, strconv.Itoa(count), l.Networks()[1].Content()))
		settle(next)
		_, inConnection := socketMemory(l)
		native = append(native, inConnection/count)
		end()
		next.sent.Store(0)
		p, end = idle(b, l, l.Midstream("python3", "-c", idleSource, strconv.Itoa(count), "download.example"))
		c := l.Control(p.Pid(), 10*time.Second)
		before := ownMemory(b, p.Pid())
		moved, err := c.Migrate("wwan0")
		for _, m := range moved {
			if !m.OK || m.Migration.Delivery != "relayed" {
				b.Fatalf("bench: %+v", m)
			}
		}
		if err != nil || len(moved) != count {
			b.Fatalf("bench: %d of %d streams moved: %v", len(moved), count, err)
		}
		settle(next)
		inPair, inConnection := socketMemory(l)
		pair, connection = append(pair, inPair/count), append(connection, inConnection/count)
		own = append(own, (ownMemory(b, p.Pid())-before)/count)
		arrived = append(arrived, float64(next.sent.Load())/1e3/count)
		end()
	}
	all := make(sample, len(pair))
	for i := range all {
		all[i] = pair[i] + own[i] // where nothing has to be looked at, a pipe takes the place of the octets in the process
	}
	b.report("memory of a relayed stream that is not read, kB", all, "%.0f", 512)
	b.note("its pair of sockets %s kB, in the process %s kB", pair.text("%.0f"), own.text("%.0f"))
	b.note("not counted: the connection to the server, which holds %s kB, natively %s kB", connection.text("%.0f"), native.text("%.0f"))
	b.note("the server could send %s kB, what its own socket holds included", arrived.text("%.0f"))
}

// idle starts idleSource and returns when all its downloads have begun; end lets it end.
func idle(b *bench, l *lab.Lab, p *lab.Program) (_ *lab.Program, end func()) {
	in, err := p.StdinPipe()
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	p.Start()
	l.Await("beginning of all streams", 30*time.Second, func() bool {
		out, _ := p.Output()
		return strings.Contains(out, "ready")
	})
	return p, func() {
		in.Close()
		p.Wait()
	}
}

// settle waits until the server can send nothing more.
func settle(server *chunkServer) {
	for last := int64(-1); last != server.sent.Load(); time.Sleep(time.Second) {
		last = server.sent.Load()
	}
}

// ownMemory is what the process does not share with others, in kB.
func ownMemory(b *bench, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	return footprintOf(string(text)).own
}

var memoryOf = regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t(\d+),tb\d+,f(\d+),w(\d+)`)

// socketMemory sums up what the kernel holds for the TCP sockets of the lab's programs, in kB: those over the loopback
// interface, and the others.
func socketMemory(l *lab.Lab) (loopback, others float64) {
	r := l.Command("ss", "-tnmOH", "state", "connected").Run()
	for _, line := range strings.Split(r.Stdout, "\n") {
		m := memoryOf.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var sum float64
		for _, i := range []int{1, 3, 4} { // received, allocated in advance, to be sent
			n, _ := strconv.ParseFloat(m[i], 64)
			sum += n / 1e3
		}
		if strings.Contains(line, "127.0.0.1:") {
			loopback += sum
		} else {
			others += sum
		}
	}
	return loopback, others
}

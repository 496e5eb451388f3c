// The servers that e2e/clients/carried.c speaks to, in the order of their ports.

package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"midstream/e2e/lab"
)

const bulkSize = 48 << 20

// serve starts them at every address of a network.
func serve(t lab.T, n *lab.Network) {
	var seen atomic.Value // what a server has seen last of the end of a connection
	seen.Store("")
	answers := []func(net.Conn){
		func(c net.Conn) { // ECHO
			if _, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}); errors.Is(err, syscall.ECONNRESET) {
				seen.Store("reset")
			}
		},
		func(c net.Conn) { // GREETS
			io.WriteString(c, "hello")
			n, err := io.Copy(io.Discard, c)
			fmt.Fprint(c, n, " ", err)
		},
		func(c net.Conn) { // RESETS
			bufio.NewReader(c).ReadString('\n')
			io.WriteString(c, "hello")
			c.(*net.TCPConn).SetLinger(0)
		},
		func(c net.Conn) { // SENDS
			piece := make([]byte, 1<<16)
			for done := 0; done < bulkSize; done += len(piece) {
				for i := range piece {
					piece[i] = byte((done + i) * 2654435761 >> 16)
				}
				if _, err := c.Write(piece); err != nil {
					return
				}
			}
		},
		func(c net.Conn) { // WHO
			a := c.RemoteAddr().(*net.TCPAddr).AddrPort()
			fmt.Fprintf(c, "%v %d", a.Addr().Unmap(), a.Port())
		},
		func(c net.Conn) { // ENDS
			c.(*net.TCPConn).CloseWrite()
			b, err := io.ReadAll(c)
			seen.Store(fmt.Sprintf("%s %v", b, err))
		},
		func(c net.Conn) { // COUNTS: what the server has seen of the connection before this one
			kind := make([]byte, 1)
			io.ReadFull(c, kind)
			want := map[byte]string{'e': "more <nil>", 'r': "reset"}[kind[0]]
			for end := time.Now().Add(lab.Patience); seen.Load() != want && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			fmt.Fprint(c, seen.Swap(""))
		},
		func(c net.Conn) { // LATE
			c.Write(make([]byte, 12<<20))
			c.(*net.TCPConn).SetLinger(0)
		},
	}
	for i, answer := range answers {
		for _, address := range []string{n.Content(), n.Content6()} {
			n.Answer(t, address, strconv.Itoa(7001+i), answer)
		}
	}
}

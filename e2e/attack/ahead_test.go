// Programs that look at octets before they read them.

package attack

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// inChunks is right, but sends chunks of random sizes, as fast as they are taken.
func inChunks(all []byte) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			text, from := head(r, len(all))
			if from >= len(all) {
				fmt.Fprint(c, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			length := fmt.Sprintf("Content-Length: %d\r\n", len(all)-from)
			w := bufio.NewWriterSize(c, 128<<10)
			w.Write(bytes.Replace([]byte(text), []byte(length), []byte("Transfer-Encoding: chunked\r\n"), 1))
			for rest := all[from:]; len(rest) > 0; {
				n := min(1+rand.IntN(4000), len(rest))
				fmt.Fprintf(w, "%x\r\n", n)
				w.Write(rest[:n])
				w.WriteString("\r\n")
				rest = rest[n:]
			}
			w.WriteString("0\r\n\r\n")
			if w.Flush() != nil {
				return
			}
		}
	}
}

// wget looks for the end of a chunk-size line with MSG_PEEK, and then reads as many octets: it must not be another server's line by
// then, which may be longer or shorter.
func TestLinesThatWereLookedAtAreRead(t *testing.T) {
	s := newSite(t)
	all, _ := s.film(150 << 20)
	s.Configure("[failover]\nenabled = false\n")
	for _, n := range s.Networks() {
		s.serve(n.Name, inChunks(all))
	}
	out := filepath.Join(t.TempDir(), "out")
	p := s.Midstream("wget", "-q", "-O", out, "http://"+host+"/film.mkv")
	p.Start()
	storm := s.storm(p, nil)
	r := p.Wait()
	storm.Wait()
	got, err := os.ReadFile(out)
	if r.Status != 0 || err != nil || !bytes.Equal(got, all) {
		t.Errorf("%d octets of %d, %v; %v", len(got), len(all), err, r)
	}
	if moved := storm.Moved.Load(); moved < enough {
		t.Errorf("%d migrations only", moved)
	} else {
		t.Logf("%d migrations", moved)
	}
}

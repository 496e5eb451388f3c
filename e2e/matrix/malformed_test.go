package matrix

import (
	"fmt"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// What is malformed, or may be understood in two ways, is left alone: the program sees what it sees natively, and no move is made.
func TestMalformedAnswersAreLeftAlone(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\n"
	body := string(content(2000))
	l := lab.New(t)
	var cases []testCase
	for name, raw := range map[string]string{
		"two lengths":               ok + "Content-Length: 2000\r\nContent-Length: 2001\r\n\r\n" + body,
		"length and chunks":         ok + "Content-Length: 2000\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + body + "\r\n0\r\n\r\n",
		"chunks in HTTP/1.0":        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + body + "\r\n0\r\n\r\n",
		"chunked twice":             ok + "Transfer-Encoding: chunked, chunked\r\n\r\n7d0\r\n" + body + "\r\n0\r\n\r\n",
		"chunked, then gzip":        ok + "Transfer-Encoding: chunked, gzip\r\n\r\n" + body,
		"a negative length":         ok + "Content-Length: -2000\r\n\r\n" + body,
		"a length of letters":       ok + "Content-Length: many\r\n\r\n" + body,
		"a length beyond 63 bits":   ok + "Content-Length: 9223372036854775808\r\n\r\n" + body,
		"a folded length":           ok + "Content-Length: 20\r\n 00\r\n\r\n" + body,
		"space before the colon":    ok + "Content-Length : 2000\r\n\r\n" + body,
		"no chunk size":             ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + body,
		"an endless chunk size":     ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("f", 40) + "\r\n" + body,
		"data longer than a chunk":  ok + "Transfer-Encoding: chunked\r\n\r\n10\r\n" + body,
		"no line end after a chunk": ok + "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + body + "0\r\n\r\n",
		"a bare CR":                 ok + "X: a\rb\r\nContent-Length: 2000\r\n\r\n" + body,
		"a line without a colon":    ok + "nothing\r\nContent-Length: 2000\r\n\r\n" + body,
		"another protocol":          "ICY 200 OK\r\nContent-Length: 2000\r\n\r\n" + body,
		"no status":                 "HTTP/1.1 OK\r\nContent-Length: 2000\r\n\r\n" + body,
		"a head above 256 kB":       ok + strings.Repeat("X: "+strings.Repeat("y", 8000)+"\r\n", 33) + "Content-Length: 2000\r\n\r\n" + body,
		"nothing but content":       body,
	} {
		cases = append(cases, testCase{name, func(t *testing.T, s seat) {
			old := script{raw: raw, hold: len(raw) - 500}
			next := script{body: []byte(body), etag: strong, ranges: true, hold: -1}
			args := []string{"curl", "-sSi", "--max-time", "8", "-o", s.out, "http://" + s.host + "/file"}
			first, second := s.serve(t, 0, old), s.serve(t, 1, next)
			program := s.Midstream(args...).Start()
			first.awaits(t, program)
			if control, err := s.ControlSocket(fmt.Sprintf("%s/%d.sock", s.RuntimeDir(), program.Pid())); err == nil {
				moved, _ := control.Migrate(s.far()) // there may be nothing to move any more
				for _, m := range moved {
					if m.OK {
						t.Errorf("it was moved: %+v", m)
					}
				}
				control.Close()
			}
			first.release()
			under, written := program.Wait(), file(s.out)
			first.stop()
			old.hold = -1
			again := s.serve(t, 0, old)
			native := s.Command(args...).Run()
			lab.Compare(t, native, under)
			if want := file(s.out); written != want {
				t.Errorf("it wrote %d octets, natively %d, the first other one at %d", len(written), len(want), difference([]byte(written), []byte(want)))
			}
			if n := len(second.requests()); n != 0 {
				t.Errorf("the other server was asked %d times", n)
			}
			again.stop()
			second.stop()
		}})
	}
	runCases(t, l, cases)
}

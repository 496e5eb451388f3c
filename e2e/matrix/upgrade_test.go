// Requests that offer another protocol (RFC 9110 §7.8): the answer decides.

package matrix

import (
	"net/http"
	"testing"

	"midstream/e2e/lab"
)

// offering is curl with an offer of a protocol that nobody speaks.
func offering(s seat) []string {
	return placed(plainly.at(s.host).curl("-H", "Connection: close, Upgrade", "-H", "Upgrade: nonsense/1"), s.out)
}

func withoutOffer(t *testing.T, r *http.Request) {
	t.Helper()
	if r.Header.Get("Upgrade")+r.Header.Get("HTTP2-Settings") != "" || r.Header.Get("Range") == "" {
		t.Errorf("the other server was asked with %v", r.Header)
	}
}

func TestOffersOfAnotherProtocol(t *testing.T) {
	body := content(40_000)
	l := lab.New(t)
	base := script{body: body, etag: strong, modified: modified, ranges: true, framing: "chunked", chunk: 9000, hold: 20_000}
	end := base
	end.framing, end.hold = "length", -1
	runCases(t, l, []testCase{
		// The one offer whose answer is the same content in any case, and again with the next request, which comes through a relay.
		{"h2c", func(t *testing.T, s seat) {
			next := end
			next.final = true
			first, second := s.serve(t, 0, base), s.serve(t, 1, next)
			args := append(placed(plainly.at(s.host).curl("--http2"), s.out), plainly.at(s.host).to(more[0]))
			d := s.download(t, first, args)
			d.reads("content", func(s lab.Session) bool { return s.Received > 0 })
			d.moveOrEnd(s.far())
			d.ends(body)
			withoutOffer(t, second.requests()[0])
		}},
		{"h2c, the server gone before it has answered", func(t *testing.T, s seat) {
			mute := base
			mute.hold = 0
			first, second := s.serve(t, 0, mute), s.serve(t, 1, end)
			d := s.download(t, first, placed(plainly.at(s.host).curl("--http2"), s.out))
			d.reads("the request", func(s lab.Session) bool { return s.State == "active" && s.Movable })
			first.stop()
			d.ends(body)
			if r := second.requests()[0]; r.Header.Get("Upgrade") != "" {
				t.Errorf("the other server was asked with %v", r.Header)
			}
		}},
		// No other server's answer may take the place of one that is not HTTP.
		{"another, not yet answered", func(t *testing.T, s seat) {
			mute := base
			mute.hold = 0
			first, second := s.serve(t, 0, mute), s.serve(t, 1, end)
			d := s.download(t, first, offering(s))
			d.reads("the request", func(s lab.Session) bool { return s.State == "active" && !s.Movable })
			moved, err := d.control.Migrate(s.far())
			if err != nil || len(moved) != 1 || moved[0].OK {
				t.Errorf("%+v, %v; want a refusal", moved, err)
			}
			first.stop()
			d.endsAsNatively(s, mute, offering(s), s.out)
			if asked := second.requests(); len(asked) > 0 {
				t.Errorf("the other server was asked with %v", asked[0].Header)
			}
		}},
		{"another, not taken", func(t *testing.T, s seat) {
			first, second := s.serve(t, 0, base), s.serve(t, 1, end)
			d := s.download(t, first, offering(s))
			d.reads("content", func(s lab.Session) bool { return s.Received > 0 })
			d.moveOrEnd(s.far())
			d.ends(body)
			withoutOffer(t, second.requests()[0])
			if r := second.requests()[0]; !r.Close {
				t.Errorf("the other server was not asked to close: %v", r.Header)
			}
		}},
		// In a relay, too, what follows a 101 is passed on untouched both ways.
		{"another, taken in a relay", func(t *testing.T, s seat) {
			next := end
			next.final, next.echoes = true, true
			first, second := s.serve(t, 0, base), s.serve(t, 1, next)
			d := s.download(t, first, []string{"python3", "-c", echo, s.host, s.out})
			d.reads("content", func(s lab.Session) bool { return s.Received > 0 })
			d.moveOrEnd(s.far())
			d.ends(append(body[:len(body):len(body)], "GET /no HTTP\r\n\r\n\x00no HTTP at all\n"...))
			asked := second.requests()
			if last := asked[len(asked)-1]; last.URL.Path != "/echo" || last.Header.Get("Upgrade") != "echo" {
				t.Errorf("the last request at the other server: %v %v", last.URL, last.Header)
			}
		}},
	})
}

// echo fetches the file, and then has something said to it on the same connection.
const echo = `
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], timeout=8)
c.request("GET", "/file")
body = c.getresponse().read()
s = c.sock
s.sendall(b"GET /echo HTTP/1.1\r\nHost: " + sys.argv[1].encode() + b"\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
head = b""
while not head.endswith(b"\r\n\r\n"):
    head += s.recv(1)
assert head.startswith(b"HTTP/1.1 101 "), head
for said in b"GET /no HTTP\r\n\r\n", b"\0no HTTP at all\n":
    s.sendall(said)
    back = b""
    while len(back) < len(said):
        back += s.recv(99)
    body += back
open(sys.argv[2], "wb").write(body)
`

package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// python fetches with http.client and says what it was told.
const python = `
import http.client, ssl, sys
if len(sys.argv) > 3:
    c = http.client.HTTPSConnection(sys.argv[1], timeout=6, context=ssl.create_default_context(cafile=sys.argv[3]))
else:
    c = http.client.HTTPConnection(sys.argv[1], timeout=6)
c.request("GET", "/file")
r = c.getresponse()
print(r.status, r.getheader("ETag"), r.getheader("Transfer-Encoding"), r.getheader("Content-Length"))
with open(sys.argv[2], "wb") as f:
    while b := r.read(997):
        f.write(b)
`

// Every client gets the same file, ends with the same status and says the same: natively, under Midstream, and moved at
// the structural octets of every framing.
func TestClientsCannotTell(t *testing.T) { both(t, testClients) }

func testClients(t *testing.T, over transport) {
	body := content(40_000)
	l := lab.New(t)
	named(l)
	clients := []struct {
		name string
		args func(out string) []string
	}{
		{"curl", func(out string) []string {
			return placed(over.curl("-w", "%{http_code} %{size_download}"), out)
		}},
		{"wget", func(out string) []string {
			return placed(over.wget("--tries=1", "--timeout=6"), out)
		}},
		{"python", func(out string) []string {
			args := []string{"python3", "-c", python, host, out}
			if over.secure {
				args = append(args, authority().file)
			}
			return args
		}},
	}
	base := func(s script) script {
		s.body, s.etag, s.modified, s.over = body, strong, modified, over
		return s
	}
	olds := []script{
		base(script{framing: "length"}), base(script{framing: "chunked", chunk: 9000, decorate: true}),
		base(script{framing: "close"}), base(script{framing: "http10"}),
	}
	news := []script{
		base(script{framing: "length", ranges: true}), base(script{framing: "chunked", ranges: true, chunk: 5000}),
		base(script{framing: "chunked", chunk: 70}), base(script{framing: "close", ranges: true}), base(script{framing: "http10"}),
	}
	turn := 0
	for _, c := range clients {
		for _, old := range olds {
			old.hold = -1
			plain := serve(t, l.Networks()[0], old)
			out := filepath.Join(l.Dir, "out")
			observe := func(p *lab.Program, name string) string {
				r := p.Wait()
				got, err := os.ReadFile(out)
				os.Remove(out)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				} else if i := difference(got, body); i < len(body) || len(got) != len(body) {
					t.Errorf("%s: %d octets, the first other one at %d", name, len(got), i)
				}
				return fmt.Sprintf("status %d, signal %d\n%s%s", r.Status, r.Signal, r.Stdout, r.Stderr)
			}
			want := observe(l.Command(c.args(out)...).Start(), c.name+" natively")
			if got := observe(l.Midstream(c.args(out)...).Start(), c.name+" under Midstream"); got != want {
				t.Errorf("%s, %s: natively %s\nunder Midstream %s", c.name, old.framing, want, got)
			}
			plain.stop()
			for _, at := range old.structure() {
				next := news[turn%len(news)]
				turn++
				if at.inHead {
					next = old // what the program has read of the head has to be in the new one as well
				}
				t.Run(fmt.Sprintf("%s/%s/%s to %s", c.name, old.framing, at.name, next.framing), func(t *testing.T) {
					old.hold, next.hold = at.octet, -1
					first, second := serve(t, l.Networks()[0], old), serve(t, l.Networks()[1], next)
					defer first.stop()
					defer second.stop()
					d := &download{t: t, lab: l, out: out}
					d.program = l.Midstream(c.args(out)...).Start()
					<-first.held
					d.control = l.Control(d.program.Pid(), 10*time.Second)
					d.reads("the request", func(s lab.Session) bool { return s.State == "active" })
					d.moveOrEnd(l.Networks()[1].Name)
					if got := observe(d.program, at.name); got != want {
						t.Errorf("natively %s\nmoved %s", want, got)
					}
					if len(second.requests()) == 0 {
						t.Error("the new server was not asked")
					}
				})
			}
		}
	}
}

// place is a structural octet of an answer: so many octets come before it.
type place struct {
	name   string
	octet  int
	inHead bool
}

// structure are the structural octets of the answer to a plain request.
func (s script) structure() []place {
	head := s.headLength()
	all := []place{{"in the head", head / 2, true}, {"in the head's last CR LF", head - 1, true}, {"content", head + 20_000, false}}
	if s.framing != "chunked" {
		return all
	}
	size := len("002328 ;name=\"value\"\r\n")
	return append(all,
		place{"chunk size", head + 3, false}, place{"chunk extension", head + 9, false}, place{"CR LF of a chunk size", head + size - 1, false},
		place{"CR LF after a chunk", head + size + s.chunk + 1, false}, place{"next chunk size", head + size + s.chunk + 4, false},
		place{"last chunk", s.wireLength() - len("0;last\r\nDigest: none\r\nOther: 1\r\n\r\n"), false},
		place{"trailer", s.wireLength() - len("Digest: none\r\nOther: 1\r\n\r\n"), false})
}

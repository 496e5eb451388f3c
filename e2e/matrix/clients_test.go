package matrix

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// python fetches with http.client, everything on one connection where that is possible, and says what it was told.
const python = `
import http.client, ssl, sys
c = http.client.HTTPConnection(sys.argv[1], timeout=8)
if sys.argv[3]:
    c = http.client.HTTPSConnection(sys.argv[1], timeout=8, context=ssl.create_default_context(cafile=sys.argv[3]))
with open(sys.argv[2], "wb") as f:
    for target in sys.argv[4:]:
        c.request("GET", target)
        r = c.getresponse()
        if target == sys.argv[4]:
            print(r.status, r.getheader("ETag"), r.getheader("Transfer-Encoding"), r.getheader("Content-Length"))
        while b := r.read(997):
            if target == sys.argv[4]:
                f.write(b)
            else:
                print(b)
`

// client is a real program that fetches /file into the seat's file, then perhaps more on the same connection.
type client struct {
	name string
	args func(s seat) []string
	env  []string
	// input is written to its standard input, which is closed once its output says that it is done.
	input func(s seat) string
	done  func(stdout string) bool
	// bears says whether the client takes such answers natively; the script may be changed to what it takes.
	bears func(answer *script) bool
}

// more are the targets that the clients fetch after the file, those that can.
var more = []string{"/x?n=1", "/x?n=2", "/x?n=3"}

func clients(l *lab.Lab, over transport) []client {
	multi, ca := l.CC("multi", "-lcurl"), ""
	if over.secure {
		ca = authority().file
	}
	return []client{
		{name: "curl", args: func(s seat) []string {
			there := over.at(s.host)
			return append(placed(there.curl("-w", "%{http_code} %{size_download} %{num_connects}\n"), s.out), there.to(more[0]))
		}},
		{name: "wget", args: func(s seat) []string {
			return placed(over.at(s.host).wget("--tries=1", "--timeout=8"), s.out)
		}},
		{name: "python", args: func(s seat) []string {
			return append([]string{"python3", "-c", python, s.host, s.out, ca, "/file"}, more...)
		}},
		{name: "aria2", args: func(s seat) []string {
			return []string{"aria2c", "-q", "--ca-certificate=" + ca, "--max-tries=1", "--timeout=8", "--connect-timeout=8", "-s1", "-x1", "--allow-overwrite=true",
				"--auto-file-renaming=false", "--file-allocation=none", "-d", filepath.Dir(s.out), "-o", filepath.Base(s.out), over.at(s.host).url()}
		}, bears: func(answer *script) bool {
			answer.extension = `;name="va lue"` // no white space before it
			return true
		}},
		{name: "libcurl multi", args: func(s seat) []string {
			return append([]string{multi, over.at(s.host).to(""), s.out, "/file"}, more...)
		}, env: []string{"CURL_CA_BUNDLE=" + ca}},
		// apt's method has all requests under way at once.
		{name: "apt", args: func(seat) []string { return []string{"/usr/lib/apt/methods/" + over.name} }, input: func(s seat) string {
			text := "601 Configuration\nConfig-Item: Acquire::Send-URI-Encoded=1\nConfig-Item: APT::Sandbox::User=root\n"
			if over.secure {
				text += "Config-Item: Acquire::https::CAInfo=" + ca + "\n"
			}
			text += "\n"
			for i, target := range append([]string{"/file"}, more...) {
				name := s.out
				if i > 0 {
					name += fmt.Sprint(i)
				}
				text += fmt.Sprintf("600 URI Acquire\nURI: %s\nFilename: %s\n\n", over.at(s.host).to(target), name)
			}
			return text
		}, done: func(stdout string) bool {
			return strings.Count(stdout, "201 URI Done\n")+strings.Count(stdout, "400 URI Failure\n") == 1+len(more)
		}, bears: func(answer *script) bool {
			answer.extension, answer.trailer = `;name="va lue"`, "none"
			return answer.framing == "length" || answer.framing == "chunked"
		}},
	}
}

// other is what clients say of the later answers: the new server frames them in another way, and may close its connection.
var other = regexp.MustCompile(`Size: 11\n|(?m) \d$`)

// run starts the client, natively or not.
func (c client) run(s seat, under bool) *lab.Program {
	args := c.args(s)
	p := s.Command(args...)
	if under {
		p = s.Midstream(args...)
	}
	p.Env = append(p.Env, c.env...)
	if c.input == nil {
		return p.Start()
	}
	in, err := p.StdinPipe()
	if err != nil {
		panic(err)
	}
	p.Start()
	go func() {
		io.WriteString(in, c.input(s))
		for {
			stdout, _ := p.Output()
			select {
			case <-p.Ended():
			case <-time.After(5 * time.Millisecond): // nothing announces its output
				if !c.done(stdout) {
					continue
				}
			}
			in.Close()
			return
		}
	}()
	return p
}

// observed is what the client has come to: all that it said, wherever the case took place.
func (c client) observed(t *testing.T, s seat, p *lab.Program, body []byte) string {
	t.Helper()
	r := p.Wait()
	got, err := os.ReadFile(s.out)
	files, _ := filepath.Glob(s.out + "?")
	for _, name := range append(files, s.out) {
		if b, _ := os.ReadFile(name); name != s.out {
			r.Stdout += string(b)
		}
		os.Remove(name)
	}
	if err != nil {
		t.Errorf("%s: %v; %v", c.name, err, r)
	} else if !bytes.Equal(got, body) {
		t.Errorf("%s: %d octets, the first other one at %d; %v", c.name, len(got), difference(got, body), r)
	}
	text := fmt.Sprintf("status %d, signal %d\n%s%s", r.Status, r.Signal, r.Stdout, r.Stderr)
	return strings.NewReplacer(s.host, "HOST", s.out, "OUT", s.address[0], "ADDRESS").Replace(text)
}

// Every client gets the same file, ends with the same status and says the same: natively, under Midstream, and moved at
// the structural octets of every framing.
func TestClientsCannotTell(t *testing.T) { both(t, testClients) }

func testClients(t *testing.T, over transport) {
	body := content(40_000)
	l := lab.New(t)
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
	var mu sync.Mutex
	natively := map[string]string{}
	var first, second []testCase
	turn := 0
	for i, c := range clients(l, over) {
		for _, old := range olds {
			if c.bears != nil && !c.bears(&old) {
				continue
			}
			plain := old
			plain.hold = -1
			name := c.name + "/" + old.framing
			first = append(first, testCase{name, func(t *testing.T, s seat) {
				server := s.serve(t, 0, plain)
				want := c.observed(t, s, c.run(s, false), body)
				if got := c.observed(t, s, c.run(s, true), body); got != want {
					t.Errorf("natively %s\nunder Midstream %s", want, got)
				}
				server.stop()
				mu.Lock()
				natively[name] = want
				mu.Unlock()
			}})
			for _, at := range old.structure() {
				next := news[turn%len(news)]
				turn++
				for c.bears != nil && !c.bears(&next) { // later requests are answered in that framing
					next = news[turn%len(news)]
					turn++
				}
				if over.secure && (turn+i)%3 != 0 {
					continue // over TLS each client takes a third of them
				}
				if over.secure && strings.HasSuffix(at.name, "trailer field") {
					continue // it stays
				}
				if at.same {
					next = old
				}
				held := old
				held.hold, next.hold = at.octet, -1
				second = append(second, testCase{fmt.Sprintf("%s/%s/%s", name, at.name, next.framing), func(t *testing.T, s seat) {
					near, far := s.serve(t, 0, held), s.serve(t, 1, next)
					d := &download{t: t, lab: l, out: s.out}
					d.program = c.run(s, true)
					near.awaits(t, d.program)
					// Who does not wait for the last octets may be at its end.
					socket := filepath.Join(l.RuntimeDir(), fmt.Sprintf("%d.sock", d.program.Pid()))
					l.Await("the client", lab.Patience, func() bool {
						if d.control == nil {
							d.control, _ = l.ControlSocket(socket)
						}
						if d.control == nil {
							return ended(d.program)
						}
						all, err := d.control.Sessions()
						return len(all) > 0 && (all[0].State == "active" || all[0].Received == int64(len(body))) || err != nil && ended(d.program)
					})
					if d.control != nil {
						d.moveOrEnd(s.far())
						d.control.Close()
					}
					got := c.observed(t, s, d.program, body)
					mu.Lock()
					want := natively[name]
					mu.Unlock()
					if got, want := other.ReplaceAllString(got, ""), other.ReplaceAllString(want, ""); got != want {
						t.Errorf("natively %s\nmoved %s", want, got)
					}
					if !slices.ContainsFunc(far.requests(), isFile) && at.name != "last CR LF" {
						t.Error("the new server was not asked")
					}
					near.stop()
					far.stop()
				}})
			}
		}
	}
	places := seatsOf(l)
	runAt(t, places, first)
	runAt(t, places, second)
}

// place is a structural octet of an answer: so many octets come before it.
type place struct {
	name  string
	octet int
	same  bool // what the program has read of it has to be in the new answer as well
}

// structure are the structural octets of the answer to a plain request.
func (s script) structure() []place {
	head := s.headLength()
	all := []place{{"in the head", head / 2, true}, {"in the head's last CR LF", head - 1, true}, {"content", head + 20_000, false}}
	if s.framing != "chunked" {
		return all
	}
	trailer := s.trailerSection() + "\r\n"
	size := len("002328" + s.chunkExtension() + "\r\n")
	end := s.wireLength() - len(trailer)
	all = append(all,
		place{"chunk size", head + 3, false}, place{"chunk extension", head + 9, false}, place{"CR LF of a chunk size", head + size - 1, false},
		place{"CR LF after a chunk", head + size + s.chunk + 1, false}, place{"next chunk size", head + size + s.chunk + 4, false},
		place{"last chunk", end - len(s.lastChunk()), false}, place{"CR LF of the last chunk", end - 1, false},
		place{"trailer", end, false}, place{"last CR LF", end + len(trailer) - 1, false})
	if field := strings.Index(trailer, "\r\n"); field > 0 {
		all = append(all, place{"trailer field", end + field/2, true}, place{"CR LF of a trailer field", end + field + 1, false})
	}
	return all
}

func isFile(r *http.Request) bool { return r.URL.Path == "/file" }

func ended(p *lab.Program) bool {
	select {
	case <-p.Ended():
		return true
	default:
		return false
	}
}

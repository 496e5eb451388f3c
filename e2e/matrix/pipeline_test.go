package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// pipelineSource sends ten requests at once, then reads all answers, and prints the digest of the contents.
const pipelineSource = `
import hashlib, http.client, os, socket, ssl, sys
if len(sys.argv) > 2:
    s = socket.create_connection((sys.argv[1], 443), timeout=8)
    s = ssl.create_default_context(cafile=sys.argv[2]).wrap_socket(s, server_hostname="files.example")
else:
    s = socket.create_connection((sys.argv[1], 80), timeout=8)
big = "GET /file HTTP/1.1\r\nHost: files.example\r\n\r\n"
small = "GET /x?n=%d HTTP/1.1\r\nHost: files.example\r\n\r\n"
requests = [big] + [small % i for i in range(4)] + [big] + [small % i for i in range(4, 8)]
s.sendall("".join(requests).encode())
f = s.makefile("rb")
class Once:
    def makefile(self, mode): return f
for i in requests:
    r = http.client.HTTPResponse(Once())
    r.close = lambda: None
    r._close_conn = lambda: None
    r.begin()
    body = r.read()
    print(r.status, len(body), hashlib.sha256(body).hexdigest()[:16], flush=True)
# The connection goes on.
s.sendall((small % 9).encode())
r = http.client.HTTPResponse(Once())
r._close_conn = lambda: None
r.begin()
print(r.read(), flush=True)
# Without what Python 3.13 says, with addresses, of responses whose file is closed before them.
os._exit(0)
`

// Requests that wait for their answers behind the one in progress are sent again, in order.
func TestPipelinedRequestsAreSentAgain(t *testing.T) { both(t, testPipelined) }

func testPipelined(t *testing.T, over transport) {
	body := content(300_000)
	for name, c := range map[string]struct {
		old, next script
		hold      int // of the first answer
		proxy     bool
	}{
		"direct":              {old: script{framing: "length"}, next: script{framing: "length", ranges: true}, hold: 150_000},
		"in the head":         {old: script{framing: "length"}, next: script{framing: "length", ranges: true}, hold: 30},
		"chunked":             {old: script{framing: "chunked"}, next: script{framing: "chunked", ranges: true}, hold: 150_000},
		"to a closing server": {old: script{framing: "chunked"}, next: script{framing: "length", ranges: true, final: true}, hold: 150_000},
		"to a proxy":          {old: script{framing: "length"}, next: script{framing: "length", ranges: true}, hold: 150_000, proxy: true},
	} {
		if c.proxy && over.secure {
			continue
		}
		t.Run(name, func(t *testing.T) {
			l := lab.New(t)
			named(l)
			near, far := l.Networks()[0], l.Networks()[1]
			if c.proxy {
				l.Configure(fmt.Sprintf("proxy = \"http://%s:%d\"\n", far.Proxy(), lab.ProxyPort))
				far.Squid("")
			}
			c.old.over, c.next.over = over, over
			c.old.body, c.old.etag, c.old.modified, c.old.hold = body, strong, modified, c.hold
			c.next.body, c.next.etag, c.next.modified, c.next.hold = body, strong, modified, -1
			first := serve(t, near, c.old)
			second := serve(t, far, c.next)
			args := []string{"python3", "-c", pipelineSource, near.Content()}
			if over.secure {
				args = append(args, authority().file)
			}
			p := l.Midstream(args...).Start()
			d := &download{t: t, lab: l, program: p, control: l.Control(p.Pid(), lab.Patience)}
			<-first.held
			d.reads("what is there", func(s lab.Session) bool { return s.State == "active" && (c.hold < 1000 || s.Received > 100_000) })
			d.move(far.Name)
			under := p.Wait()
			first.release()
			native := l.Command(args...).Run()
			lab.Compare(t, native, under)
			small := 0
			for _, r := range second.requests() {
				if r.URL.Path == "/x" {
					small++
				}
			}
			if small != 9 && !c.next.final {
				t.Errorf("the new server has seen %d of the 9 other requests", small)
			}
		})
	}
}

// apt's http method pipelines ten requests.
func TestAptPipelines(t *testing.T) {
	l := lab.New(t)
	named(l)
	near, far := l.Networks()[0], l.Networks()[1]
	root := filepath.Join(l.Dir, "www")
	var uris []string
	sums := map[string]string{}
	for i := range 10 {
		name := fmt.Sprintf("f%d", i)
		sums[name] = lab.Content(t, root, name, 400_000, uint64(i))
		uris = append(uris, name)
	}
	near.Nginx(root, lab.ServerOptions{LimitRate: 1_500_000, Extra: "sendfile_max_chunk 32k; limit_rate_after 32k;"})
	far.Nginx(root, lab.ServerOptions{})
	os.Chmod(l.Dir, 0o755)
	out := filepath.Join(l.Dir, "apt")
	os.Mkdir(out, 0o777)
	os.Chmod(out, 0o777)
	p := l.Midstream("/usr/lib/apt/methods/http")
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	fmt.Fprint(in, "601 Configuration\nConfig-Item: Acquire::Send-URI-Encoded=1\nConfig-Item: APT::Sandbox::User=root\n\n")
	for _, name := range uris {
		fmt.Fprintf(in, "600 URI Acquire\nURI: http://%s/%s\nFilename: %s\n\n", host, name, filepath.Join(out, name))
	}
	d := &download{t: t, lab: l, program: p, control: l.Control(p.Pid(), lab.Patience)}
	d.reads("some of it", func(s lab.Session) bool { return s.Received > 100_000 })
	d.move(far.Name)
	l.Await("all files", lab.Patience, func() bool {
		stdout, _ := p.Output()
		return strings.Count(stdout, "201 URI Done") == 10
	})
	in.Close()
	for name, sum := range sums {
		if got := lab.Sum(filepath.Join(out, name)); got != sum {
			t.Errorf("%s: %s, want %s", name, got, sum)
		}
	}
	stdout, _ := p.Output()
	if strings.Contains(stdout, "400 URI Failure") {
		t.Errorf("apt's method: %s", stdout)
	}
}

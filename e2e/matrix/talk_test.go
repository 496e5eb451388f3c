// A client that makes several exchanges on one connection, each when the test says so.

package matrix

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// talkSource makes the requests that its standard input names, one a line, on one kept-alive connection:
// "METHOD TARGET". It prints the status, the length and the digest of each answer. Arguments: host and port to
// connect to, the Host field, the file of an authority's certificates where it is to be TLS or else nothing, then further fields.
const talkSource = `
import hashlib, http.client, socket, ssl, sys
c = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=20)
if sys.argv[4]:
    c = http.client.HTTPSConnection(sys.argv[3], timeout=20, context=ssl.create_default_context(cafile=sys.argv[4]))
    c._create_connection = lambda address, *more: socket.create_connection(tuple(sys.argv[1:3]), 20)
fields = {"Host": sys.argv[3]}
for f in sys.argv[5:]:
    name, _, value = f.partition(": ")
    fields[name] = value
c.connect()
ports = {c.sock.getsockname()}
for line in sys.stdin:
    method, target = line.split()
    c.request(method, target, headers=fields)
    r = c.getresponse()
    body = r.read()
    print(r.status, len(body), hashlib.sha256(body).hexdigest()[:16], r.getheader("Location"), flush=True)
    if c.sock is None:
        print("closed", flush=True)
        c.connect()
    ports.add(c.sock.getsockname())
print(len(ports), "connection", flush=True)
`

// talk is a running client of that kind.
type talk struct {
	*download
	in    io.WriteCloser
	lines int
}

// talkTo starts one under Midstream.
func talkTo(t *testing.T, l *lab.Lab, under bool, args ...string) *talk {
	t.Helper()
	args = append([]string{"python3", "-c", talkSource}, args...)
	p := l.Command(args...)
	if under {
		p = l.Midstream(args...)
	}
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &talk{download: &download{t: t, lab: l, program: p.Start()}, in: in}
}

// asks makes it send a request; until its answer has come, say is of no effect.
func (k *talk) asks(line string) {
	k.t.Helper()
	if _, err := io.WriteString(k.in, line+"\n"); err != nil {
		k.t.Fatalf("%v: %v", err, k.program.Wait())
	}
	if k.control == nil && strings.Contains(k.program.Args[0], "midstream") {
		k.control = k.lab.Control(k.program.Pid(), lab.Patience)
	}
	k.lines++
}

// answered waits until it has printed the answer of every request.
func (k *talk) answered() {
	k.t.Helper()
	k.lab.Await(fmt.Sprintf("answer %d", k.lines), lab.Patience, func() bool {
		out, _ := k.program.Output()
		return strings.Count(out, "\n") >= k.lines
	})
}

// ends closes its input and returns what it printed.
func (k *talk) ends() string {
	k.t.Helper()
	k.in.Close()
	r := k.program.Wait()
	if r.Status != 0 {
		k.t.Errorf("it ended with %v", r)
	}
	return r.Stdout
}

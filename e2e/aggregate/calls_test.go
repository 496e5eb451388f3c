package aggregate

import (
	"strings"
	"testing"
)

// sessionCalls reads a download on a socket that does not block, then writes more at once than goes out.
const sessionCalls = `
import ctypes, hashlib, select, socket, sys
c, s = ctypes.CDLL("libssl.so.3"), socket.create_connection(("` + host + `", 443))
for f in ["TLS_client_method", "SSL_CTX_new", "SSL_new"]:
    getattr(c, f).restype = ctypes.c_void_p
context = ctypes.c_void_p(c.SSL_CTX_new(ctypes.c_void_p(c.TLS_client_method())))
c.SSL_CTX_load_verify_locations(context, sys.argv[1].encode(), None)
c.SSL_CTX_set_verify(context, 1, None)
ssl = ctypes.c_void_p(c.SSL_new(context))
c.SSL_ctrl(ssl, 55, 0, b"` + host + `")
c.SSL_set_fd(ssl, s.fileno())
assert c.SSL_connect(ssl) == 1
s.setblocking(False)
said, buffer = set(), ctypes.create_string_buffer(50000)

def retry(n, which):
    error = c.SSL_get_error(ssl, n)
    said.add((which, n, error, c.SSL_want(ssl)))
    if error not in (2, 3):
        print(sorted(said))
        sys.exit("ended")
    select.select([s] if error == 2 else [], [s] if error == 3 else [], [])

def write(octets):
    while (n := c.SSL_write(ssl, octets, len(octets))) <= 0:
        retry(n, "write")
    print("wrote", n)

def read():
    while (n := c.SSL_read(ssl, buffer, len(buffer))) <= 0:
        retry(n, "read")
    return buffer.raw[:n]

write(b"GET /file.bin HTTP/1.1\r\nHost: ` + host + `\r\n\r\n")
got = b""
while b"\r\n\r\n" not in got:
    got += read()
content = hashlib.sha256(got := got.split(b"\r\n\r\n", 1)[1])
left = int(sys.argv[2]) - len(got)
while left:
    got = read()
    content.update(got)
    left -= len(got)
print(content.hexdigest())
body = b"x" * (3 << 20)
write(b"GET /nothing HTTP/1.1\r\nHost: ` + host + `\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
print(read().split()[1], sorted(said - {("read", -1, 2, 3), ("write", -1, 3, 2)}))
`

// What is said of calls on a socket that does not block is what is said natively.
func TestCallsOnASessionThatIsFed(t *testing.T) {
	l, sum, ca, _ := raiseSecure(t, 5<<20, "wlan0", "wwan0")
	p := under(t, l, "python3", "-c", sessionCalls, ca, "5242880")
	alone := l.Command("python3", "-c", sessionCalls, ca, "5242880").Run()
	r := p.Run()
	if alone.Status != 0 || !strings.Contains(alone.Stdout, sum) || r.Status != 0 || r.Stdout != alone.Stdout || r.Stderr != alone.Stderr {
		t.Errorf("%q, natively %q: %d %q", r.Stdout, alone.Stdout, r.Status, r.Stderr)
	}
	if got := l.Network("wwan0").Counters().Received; got < 400<<10 {
		t.Errorf("the second network has brought %d octets", got)
	}
}

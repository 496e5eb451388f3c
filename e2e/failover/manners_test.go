// A program that is held is still its own master: its time-outs, its exit, its children, its other connections.

package failover

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// tunnel raises a site whose networks all go away once a third of the film has arrived.
func tunnel(t *testing.T, args ...string) (*site, *download) {
	t.Helper()
	s := newSite(t, paced, "wlan0", "wwan0")
	d := s.download(true, args...)
	d.Start()
	d.halfway()
	s.Network("wwan0").CarrierDown()
	s.Network("wlan0").RemoveAddresses()
	// The held connection, not only the silent one: the program meets the end of its connection.
	s.web["wlan0"].Kill()
	return s, d
}

func (d *download) endsWithin(limit time.Duration) {
	d.s.t.Helper()
	begun := time.Now()
	d.Wait()
	if took := time.Since(begun); took > limit {
		d.s.t.Errorf("it took %v to end", took)
	}
}

func TestOwnTimeOuts(t *testing.T) {
	t.Run("curl", func(t *testing.T) {
		_, d := tunnel(t, "curl", "-sS", "-m", "3", "-o", "out", "URL")
		d.endsWithin(5 * time.Second)
		if r := d.Wait(); r.Status != 28 || !strings.Contains(r.Stderr, "timed out") {
			t.Errorf("%v", r)
		}
	})
	t.Run("python", func(t *testing.T) {
		_, d := tunnel(t, "python3", "-c", `import sys, urllib.request
r = urllib.request.urlopen(sys.argv[1], timeout=1)
try:
    while r.read(70000): pass
except TimeoutError as e:
    print(e)`, "URL")
		d.endsWithin(4 * time.Second)
		if r := d.Wait(); r.Stdout != "timed out\n" {
			t.Errorf("%v", r)
		}
	})
	t.Run("wget", func(t *testing.T) {
		_, d := tunnel(t, "wget", "-nv", "-T", "1", "-t", "1", "-O", "out", "URL")
		d.endsWithin(5 * time.Second)
		if r := d.Wait(); r.Status != 4 {
			t.Errorf("%v", r)
		}
	})
}

func TestSignalsEndAHeldProgram(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGALRM} {
		t.Run(signal.String(), func(t *testing.T) {
			_, d := tunnel(t, "curl", "-sS", "-o", "out", "URL")
			time.Sleep(200 * time.Millisecond) // into the hold
			if err := d.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			d.endsWithin(time.Second)
			if r := d.Wait(); r.Signal != signal {
				t.Errorf("%v", r)
			}
		})
	}
}

// While one connection is held the program forks, runs a command, closes the connection, and exits.
func TestAHeldConnectionIsClosed(t *testing.T) {
	_, d := tunnel(t, "python3", "-c", `import os, socket, subprocess, sys, threading, time
s = socket.create_connection(("download.example", 80))
s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: download.example\r\n\r\n")
n = 0
s.settimeout(1.5)
try:
    while b := s.recv(70000): n += len(b)
    print("ended")
except TimeoutError:
    print("silent")
print(subprocess.run(["echo", "child"], capture_output=True).stdout)
pid = os.fork()
if not pid: os._exit(7)
print(os.waitpid(pid, 0)[1] >> 8)
begun = time.monotonic()
s.close()
print(time.monotonic() - begun < 0.1, [x for x in os.listdir("/proc/self/fd") if int(x) < 512 and os.path.exists("/proc/self/fd/" + x) and os.readlink("/proc/self/fd/" + x).startswith("socket")])`)
	d.endsWithin(5 * time.Second)
	if r := d.Wait(); r.Status != 0 || r.Stdout != "silent\nb'child\\n'\n7\nTrue []\n" {
		t.Errorf("%v", r)
	}
}

// A program with many connections in one thread goes on with the others while one is held.
func TestOtherConnectionsGoOn(t *testing.T) {
	s := newSite(t, paced, "wlan0", "wwan0")
	s.Configure("[failover]\nstandby = \"never\"\n")
	d := s.download(true, "python3", "-c", `import selectors, socket, time
sel = selectors.DefaultSelector()
for a in ("10.77.1.80", "10.77.2.80"):
    s = socket.create_connection((a, 80))
    s.sendall(b"GET /film.mkv HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % a.encode())
    s.setblocking(False)
    sel.register(s, selectors.EVENT_READ, [a, 0, time.monotonic(), 0.0])
left, ends = 2, {}
while left:
    for key, _ in sel.select():
        d, now = key.data, time.monotonic()
        try: b = key.fileobj.recv(70000)
        except BlockingIOError: continue
        except OSError as e: b = b""
        d[3], d[2] = max(d[3], now - d[2]), now
        d[1] += len(b)
        if not b:
            sel.unregister(key.fileobj)
            left -= 1
            ends[d[0]] = d[1:]
print(ends["10.77.2.80"][0] > 4 << 20, ends["10.77.2.80"][2] < 0.5)`)
	s.Configure("[failover]\nstandby = \"never\"\npatience = \"3s\"\n")
	d.Start()
	d.halfway()
	s.web["wlan0"].Kill() // nobody else has that address
	if r := d.Wait(); r.Status != 0 || r.Stdout != "True True\n" {
		t.Errorf("%v", r)
	}
}

// A server that has less than it announces ends every connection early: the program is told, and soon.
func TestATruncatedFile(t *testing.T) {
	const script = `import http.server, re
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        m = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(m[1]) if m else 0
        self.send_response(206 if m else 200)
        self.send_header("ETag", '"one"')
        if m: self.send_header("Content-Range", "bytes %d-3999999/4000000" % first)
        self.send_header("Content-Length", str(4000000 - first))
        self.end_headers()
        self.wfile.write(b"x" * max(0, 1000000 - first))
        self.close_connection = True
http.server.ThreadingHTTPServer(("10.77.1.80", 80), Handler).serve_forever()`
	s := newSite(t, func(n *lab.Network, root string) *lab.Server { return nil }, "wlan0", "wwan0")
	n := s.Network("wlan0")
	server := exec.Command("python3", "-c", script)
	if err := n.Start(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	s.Await("the server", lab.Patience, func() bool {
		c, err := net.Dial("tcp", "10.77.1.80:80")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	s.Configure("[failover]\npatience = \"5s\"\n")
	args := []string{"curl", "-4sS", "-o", "out", "URL"}
	native := s.download(false, args...).Run()
	d := s.download(true, args...)
	r := d.Run()
	lab.Compare(t, native, r)
	if r.Status != 18 || fileSize(d.out()) != 1000000 || r.Elapsed > 8*time.Second {
		t.Errorf("%d octets, %v", fileSize(d.out()), r)
	}
}

// Package core tests the built shim against a scripted core: the test itself, which speaks core/channel's messages to it. The
// program is curl.
package core

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"midstream/core/channel"
	"midstream/core/netif/nettest"
	"midstream/core/reason"
)

// patience bounds every wait.
const patience = 20 * time.Second

// folder has the shim beside the core that is a test.
var folder string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "core"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		shim, err := os.ReadFile("../../../build/libmidstream.so")
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, "libmidstream.so"), shim, 0o755)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%v; run make first\n", err)
			return 1
		}
		for name, source := range map[string]string{"libmidstream-core.so": "stub.c", "small.so": "small.c"} {
			if out, err := exec.Command("cc", "-shared", "-fPIC", "-std=gnu11", "-D_GNU_SOURCE", "-o", filepath.Join(folder, name),
				"stub/"+source).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "compile %s: %v\n%s", source, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// download is a curl under the shim, and a core for it.
type download struct {
	t        *testing.T
	content  []byte
	goOn     chan struct{} // closed: the first server sends the rest, or ends the connection
	slow     bool          // the second one sends but few octets before that
	few      int
	seen     chan struct{} // closed: who asks for /seen is answered
	listener net.Listener
	asked    chan *http.Request
	curl     *exec.Cmd
	out      bytes.Buffer
	ended    chan error
	conn     *channel.Conn
	opened   channel.Message
}

// elsewhere is an address that is none of a host's own, for all that the shim knows: only connections to those are guarded before the
// core has said so.
const elsewhere = "10.9.9.1"

// half is how much the first server sends at once.
const half = 1 << 20

// begin starts a download of twice half, of which the first server sends half for now. cut: then it ends the connection.
func begin(t *testing.T, addr string, cut bool) *download {
	return beginBy(t, addr, cut, "curl", "-sS", "--max-time", "30", "http://ADDRESS/file")
}

// beginBy has that program download.
func beginBy(t *testing.T, addr string, cut bool, program ...string) *download {
	d := &download{t: t, content: make([]byte, 2*half), goOn: make(chan struct{}), seen: make(chan struct{}), asked: make(chan *http.Request, 10), ended: make(chan error, 1)}
	rand.New(rand.NewSource(2)).Read(d.content)
	var err error
	if d.listener, err = net.Listen("tcp", addr+":0"); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked <- r
		if r.URL.Path == "/seen" {
			<-d.seen
			return
		}
		from, found := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
		at, _ := strconv.Atoi(strings.TrimSuffix(from, "-"))
		w.Header().Set("Content-Length", strconv.Itoa(len(d.content)-at))
		if found {
			w.WriteHeader(http.StatusPartialContent)
			if d.slow {
				w.Write(d.content[at : at+d.few])
				w.(http.Flusher).Flush()
				<-d.goOn
				at += d.few
			}
			w.Write(d.content[at:])
			return
		}
		w.Write(d.content[:half])
		w.(http.Flusher).Flush()
		<-d.goOn
		if cut {
			panic(http.ErrAbortHandler)
		}
		w.Write(d.content[half:])
	})}
	go server.Serve(d.listener)
	t.Cleanup(func() { server.Close() })

	for i, a := range program {
		program[i] = strings.ReplaceAll(a, "ADDRESS", d.listener.Addr().String())
	}
	d.run(exec.Command(program[0], program[1:]...))
	<-d.asked
	d.opened = d.next(channel.Opened)
	return d
}

// run starts the program under the shim, and other preloaded libraries behind it, and is its core once it has one.
func (d *download) run(curl *exec.Cmd, behind ...string) {
	also := ""
	for _, name := range behind {
		also += ":" + filepath.Join(folder, name)
	}
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "core.sock")
	unix, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		d.t.Fatal(err)
	}
	defer unix.Close()
	d.curl = curl
	d.curl.Env = append(os.Environ(), "LD_PRELOAD="+filepath.Join(folder, "libmidstream.so")+also, "MIDSTREAM_TEST_CORE="+path,
		"MIDSTREAM_RUNTIME_DIR="+d.t.TempDir(), "no_proxy=*")
	d.curl.Stdout, d.curl.Stderr = &d.out, os.Stderr
	if err := d.curl.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { d.ended <- d.curl.Wait() }()
	d.t.Cleanup(func() { d.curl.Process.Kill() })
	unix.SetDeadline(time.Now().Add(patience))
	helper, err := unix.AcceptUnix()
	if err != nil {
		d.t.Fatal(err)
	}
	defer helper.Close()
	var octet [1]byte
	rights := make([]byte, 64)
	_, n, _, _, err := helper.ReadMsgUnix(octet[:], rights)
	if err != nil {
		d.t.Fatal(err)
	}
	messages, _ := syscall.ParseSocketControlMessage(rights[:n])
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		d.t.Fatal(err)
	}
	if d.conn, err = channel.New(fds[0]); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { d.conn.Close() })
}

// next is the shim's next message of that kind; others are passed over.
func (d *download) next(kind channel.Kind) channel.Message {
	d.t.Helper()
	come := make(chan channel.Message, 1)
	go func() {
		for {
			m, err := d.conn.Receive()
			if err != nil {
				d.t.Logf("the channel: %v", err)
				close(come)
				return
			}
			if m.Kind == kind {
				come <- m
				return
			}
		}
	}()
	select {
	case m, open := <-come:
		if open {
			return m
		}
	case <-time.After(patience):
	}
	d.t.Fatalf("the shim sends no message of kind %d", kind)
	panic("not reached")
}

func (d *download) send(m channel.Message, fd int) {
	d.t.Helper()
	m.Slot, m.Stream, m.Exchange = d.opened.Slot, d.opened.Stream, 1
	if err := d.conn.Send(m, fd); err != nil {
		d.t.Fatal(err)
	}
}

// arm asks for a hand-over at the offset to a connection on which the content from there on comes.
func (d *download) arm(at int, when channel.When) {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.listener.Addr().String())
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-\r\n\r\n", at)
	<-d.asked
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one...) {
		if _, err := io.ReadFull(conn, one); err != nil {
			d.t.Fatal(err)
		}
	}
	if r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil); err != nil || r.StatusCode != http.StatusPartialContent {
		d.t.Fatalf("%q, %v", head, err)
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		d.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		d.send(channel.Message{Kind: channel.Arm, Arming: 1, Data: channel.Handover{At: int64(at), When: when, Sent: 1}.Encode()}, int(fd))
	})
}

// intact waits for the program's end, which has all of the content.
func (d *download) intact() {
	d.t.Helper()
	select {
	case err := <-d.ended:
		if err != nil || !bytes.Equal(d.out.Bytes(), d.content) {
			d.t.Errorf("curl: %v, %d octets of %d, equal: %v", err, d.out.Len(), len(d.content), bytes.Equal(d.out.Bytes(), d.content))
		}
	case <-time.After(patience):
		d.t.Error("curl does not end")
	}
}

// The program waits for more: it is woken, and goes on with what the new connection brings.
func TestCarriedOutAtOnce(t *testing.T) {
	d := begin(t, "127.0.0.1", false)
	d.next(channel.Response)
	d.arm(half-5000, channel.Now)
	p, err := channel.ParsePosition(d.next(channel.Moved).Data)
	if err != nil || p.Phase != channel.PhaseLength || p.Received < half-5000 {
		t.Errorf("%+v, %v", p, err)
	}
	d.intact()
}

// The old connection delivers up to the offset, and no octet more.
func TestCarriedOutAtTheOffset(t *testing.T) {
	d := begin(t, "127.0.0.1", false)
	d.next(channel.Response)
	d.arm(half+100_000, channel.Then)
	d.send(channel.Message{Kind: channel.Ask}, -1)
	d.next(channel.Info) // the arming has been taken
	close(d.goOn)
	if p, err := channel.ParsePosition(d.next(channel.Moved).Data); err != nil || p.Received != half+100_000 {
		t.Errorf("%+v, %v", p, err)
	}
	d.intact()
}

func TestCalledOff(t *testing.T) {
	d := begin(t, "127.0.0.1", false)
	d.next(channel.Response)
	d.arm(2*half-1, channel.Then)
	d.send(channel.Message{Kind: channel.Disarm, Arming: 1}, -1)
	if r, err := reason.Parse(d.next(channel.Unmoved).Data); err != nil || r.Why != reason.CalledOff {
		t.Errorf("%v, %v", r, err)
	}
	close(d.goOn)
	d.intact()
}

// The core ends while the program waits: it goes on as without.
func TestTheCoreEnds(t *testing.T) {
	d := begin(t, "127.0.0.1", false)
	d.next(channel.Response)
	d.arm(2*half-1, channel.Then)
	d.conn.Close()
	close(d.goOn)
	d.intact()
}

// The connection ends early. The program is held until the core says what becomes of it.
func TestHeldAndServed(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	nettest.Run(t, "ip address add "+elsewhere+"/32 dev lo")
	d := begin(t, elsewhere, true)
	d.next(channel.Response)
	close(d.goOn)
	m := d.next(channel.Failed)
	if m.Flags&channel.Held == 0 || m.B != half {
		t.Errorf("%+v", m)
	}
	d.arm(half, channel.Now)
	d.next(channel.Moved)
	d.intact()
}

func TestHeldAndGivenUp(t *testing.T) {
	if !nettest.Inside(t) {
		return
	}
	nettest.Run(t, "ip address add "+elsewhere+"/32 dev lo")
	d := begin(t, elsewhere, true)
	d.next(channel.Response)
	close(d.goOn)
	m := d.next(channel.Failed)
	d.send(channel.Message{Kind: channel.GiveUp, A: m.A}, -1)
	select {
	case err := <-d.ended:
		var exit *exec.ExitError
		if !asExit(err, &exit) || exit.ExitCode() != 18 && exit.ExitCode() != 56 || !bytes.Equal(d.out.Bytes(), d.content[:half]) {
			t.Errorf("curl: %v, %d octets", err, d.out.Len())
		}
	case <-time.After(patience):
		t.Error("curl does not end")
	}
}

func asExit(err error, to **exec.ExitError) (is bool) {
	*to, is = err.(*exec.ExitError)
	return is
}

// Before there is a core, the channel of a program without privileges fills with short exchanges: those that come then wait for the core,
// and are told as well.
func TestManyExchangesBeforeTheCore(t *testing.T) {
	const many = 2000
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("content")) })}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	d := &download{t: t, ended: make(chan error, 1)}
	d.run(exec.Command("curl", "-sS", "--max-time", "30", "-o", "/dev/null", fmt.Sprintf("http://%v/[1-%d]", listener.Addr(), many)), "small.so")
	requests := 0
	for {
		m, err := d.conn.Receive()
		if err != nil {
			break
		}
		switch m.Kind {
		case channel.Left:
			t.Errorf("left: %+v", m)
		case channel.Request:
			requests++
		}
	}
	if err := <-d.ended; err != nil || requests != many {
		t.Errorf("%v, %d requests of %d", err, requests, many)
	}
}

// forker asks for a small file many times, while a fork of its main thread lasts, for it has handlers that take their time.
const forker = `import ctypes, os, socket, sys, threading, time
host, port = sys.argv[1].split(":")
handler = ctypes.CFUNCTYPE(None)(lambda: time.sleep(0.4))
ctypes.CDLL(None).__register_atfork(handler, None, None, None)
c = socket.create_connection((host, int(port)))
first = threading.Event()
def ask():
    for n in range(int(sys.argv[2])):
        c.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n)
        got = b""
        while not got.endswith(b"\r\n\r\ncontent"): got += c.recv(1000)
        first.set()
t = threading.Thread(target=ask)
t.start()
first.wait()
if not os.fork(): os._exit(0)
t.join()`

// A fork that lasts keeps the core from coming: what is to be said to it waits meanwhile, too.
func TestManyExchangesWhileAForkLasts(t *testing.T) {
	const many = 2000
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("content")) })}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	d := &download{t: t, ended: make(chan error, 1)}
	d.run(exec.Command("python3", "-W", "ignore", "-c", forker, listener.Addr().String(), fmt.Sprint(many)), "small.so")
	requests := 0
	for {
		m, err := d.conn.Receive()
		if err != nil {
			break
		}
		switch m.Kind {
		case channel.Left:
			t.Errorf("left: %+v", m)
		case channel.Request:
			requests++
		}
	}
	if err := <-d.ended; err != nil || requests != many {
		t.Errorf("%v, %d requests of %d", err, requests, many)
	}
}

// looker looks at 5,000 octets of content or waits for any, asks for /seen, and reads as many or as FIONREAD says.
const looker = `import fcntl, select, socket, sys, termios, urllib.request
host, port = sys.argv[1].split(":")
c = socket.create_connection((host, int(port)))
c.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
head = b""
while not head.endswith(b"\r\n\r\n"): head += c.recv(1)
if sys.argv[3] == "look": seen = c.recv(5000, socket.MSG_PEEK | socket.MSG_WAITALL)
else: select.select([c], [], [])
urllib.request.urlopen("http://" + sys.argv[1] + "/seen")
if sys.argv[3] != "look":
    count = fcntl.ioctl(c, termios.FIONREAD, bytes(4))
    if count == bytes(4): sys.exit("nothing can be read where something could be")
    seen = c.recv(int.from_bytes(count, sys.byteorder), socket.MSG_PEEK)
got = c.recv(len(seen))
if got != seen: sys.exit("%d octets are not the %d that were seen" % (len(got), len(seen)))
sys.stdout.buffer.write(got)
left = int(sys.argv[2]) - len(got)
while left and (got := c.recv(left)):
    sys.stdout.buffer.write(got)
    left -= len(got)`

// What a look ahead has shown, or a wait, can be read at once, whatever connection is there by then.
func TestMovedAfterALookAhead(t *testing.T) {
	for _, test := range []struct {
		name, by string
		move     func(d *download)
	}{
		{"within what was seen", "look", func(d *download) { d.arm(784, channel.Then) }},
		{"before it", "look", func(d *download) { d.slow, d.few = true, 100; d.arm(0, channel.Now) }},
		{"after a wait", "wait", func(d *download) { d.slow = true; d.arm(0, channel.Now) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := beginBy(t, "127.0.0.1", false, "python3", "-c", looker, "ADDRESS", strconv.Itoa(2*half), test.by)
			d.next(channel.Response)
			if r := <-d.asked; r.URL.Path != "/seen" {
				t.Fatal(r.URL)
			}
			begun := time.Now()
			test.move(d)
			d.send(channel.Message{Kind: channel.Ask}, -1)
			d.next(channel.Info) // the arming has been taken
			close(d.seen)
			if d.slow {
				time.Sleep(20 * time.Millisecond) // the server is as slow: the program may ask before it sends more
			}
			close(d.goOn)
			if d.slow && time.Since(begun) > 250*time.Millisecond {
				t.Skip("too busy a machine: the new connection brings nothing for so long that it is not waited for")
			}
			d.intact()
		})
	}
}

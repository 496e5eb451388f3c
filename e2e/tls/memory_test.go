package tls

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// asyncio reads with Python's asyncio, whose TLS sessions work on memory. "slowly" reads less than what comes for a while.
func (s *site) asyncio(out, how string) []string {
	return []string{"/usr/bin/python3", "-c", asyncioClient, s.ca.certificate, host, out, how}
}

const asyncioClient = `
import asyncio, ssl, sys
async def main(ca, host, out, how):
    context = ssl.create_default_context(cafile=ca)
    reader, writer = await asyncio.open_connection(host, 443, ssl=context)
    writer.write(b"GET /film.bin HTTP/1.1\r\nHost: " + host.encode() + b"\r\n" + (b"Connection: close\r\n" if how else b"") + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    with open(out, "wb") as f:
        while left:
            if how == "slowly" and left < 600000:
                await asyncio.sleep(0.01)
            piece = await reader.read(min(left, 20000))
            assert piece
            f.write(piece)
            f.flush()
            left -= len(piece)
    if how:
        assert await reader.read() == b""
    writer.close()
    try:
        await writer.wait_closed()
    except ssl.SSLError:
        pass
asyncio.run(main(*sys.argv[1:]))
`

// memory reads with sessions on memory that a program feeds itself.
func (s *site) memory(how, out string) []string {
	if how == "pair" {
		return []string{s.CC("biopair", "-l:libssl.so.3", "-l:libcrypto.so.3"), host, "443", "/" + name, s.ca.certificate, out}
	}
	return []string{"/usr/bin/python3", "-c", memoryClient, how, s.ca.certificate, host, out}
}

// "blocking" waits in recv(), "poll" in poll(), "queue" has received records wait in a queue for a while.
const memoryClient = `
import collections, select, socket, ssl, sys
how, ca, host, out = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
s = socket.create_connection((host, 443))
into, outof, queue = ssl.MemoryBIO(), ssl.MemoryBIO(), collections.deque()
tls = context.wrap_bio(into, outof, server_hostname=host)
poll = select.poll()
poll.register(s, select.POLLIN)
if how != "blocking":
    s.setblocking(False)
ready, ended = False, False
def feed():
    global ended
    if outof.pending:
        s.setblocking(True)
        s.sendall(outof.read())
        s.setblocking(how == "blocking")
    while True:
        if how != "blocking" and not (queue and len(queue) < 4 and not poll.poll(0)):
            poll.poll(50 if queue else None)
        try:
            octets = s.recv(30000)
            if octets:
                queue.append(octets)
            else:
                ended = True
        except BlockingIOError:
            pass
        if queue and (how != "queue" or len(queue) > 8 or not ready or not poll.poll(5)):
            into.write(queue.popleft())
            return
        if ended:
            into.write_eof()
            return
def call(function, *arguments):
    while True:
        try:
            return function(*arguments)
        except ssl.SSLWantReadError:
            feed()
call(tls.do_handshake)
tls.write(b"GET /film.bin HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
got, length, ready = b"", -1, True
with open(out, "wb") as f:
    while length:
        piece = call(tls.read, 10000)
        assert piece
        if length < 0:
            got += piece
            head, end, piece = got.partition(b"\r\n\r\n")
            if not end:
                continue
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        f.write(piece)
        f.flush()
        length -= len(piece)
print(tls.version(), tls.cipher()[0], s.getpeername())
`

// Sessions on memory move whatever the program does between its socket and its library.
func TestMemory(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	for _, how := range []string{"blocking", "poll", "queue", "pair", "asyncio"} {
		t.Run(how, func(t *testing.T) {
			s.t = t
			out := s.out(how)
			args := s.memory(how, out)
			if how == "asyncio" {
				args = s.asyncio(out, "slowly")
			}
			native := s.Command(args...).Run()
			os.Remove(out)
			r, moved := s.move(s.Midstream(args...), out, 6)
			lab.Compare(t, native, r)
			s.intact(how, out)
			if len(moved) == 0 {
				t.Error("nothing was moved")
			}
			for _, m := range moved {
				if !m.OK {
					t.Errorf("not moved: %s", m.Reason)
				}
			}
		})
	}
}

// A session on memory is shown as any other is.
func TestMemoryListed(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	out := s.out("listed")
	p := s.Midstream(s.asyncio(out, "")...).Start()
	s.reached(p, out, size/4)
	list := s.Ctl("sessions", "--json").Run().Stdout
	for _, part := range []string{`"library":"OpenSSL `, `"version":"TLSv1.3"`, `"movable":true`, s.url()} {
		if !strings.Contains(strings.ReplaceAll(list, `": `, `":`), part) {
			t.Errorf("%s is not in %s", part, list)
		}
	}
	p.Wait()
	s.intact("listed", out)
}

// Of a server that has gone, all that is left comes in one record together with the new answer's head, and then nothing: a
// program that waits for its socket has to be woken for it.
func TestMemoryWoken(t *testing.T) {
	s := newSite(t, lab.Link{})
	var broken chan struct{}
	s.breakingOff(&broken)
	for _, how := range []string{"blocking", "poll", "queue", "pair", "asyncio"} {
		t.Run(how, func(t *testing.T) {
			s.t = t
			broken = make(chan struct{})
			out := s.out(how)
			args := s.memory(how, out)
			if how == "asyncio" {
				args = s.asyncio(out, "")
			}
			p := s.Midstream(args...).Start()
			reached := s.reached(p, out, size-last)
			close(broken)
			if !reached {
				t.Fatalf("%v", p.Wait())
			}
			if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			s.intact(how, out)
		})
	}
}

// A connection that is kept moves between two requests, and within the second.
func TestMemoryKept(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	first, second, sign := s.out("first"), s.out("second"), s.out("sign")
	p := s.Midstream("/usr/bin/python3", "-c", twice, s.ca.certificate, host, sign, first, second).Start()
	s.reached(p, first, size)
	moved := s.migrate("wwan0")
	if err := os.WriteFile(sign, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s.reached(p, second, size/4) {
		moved = append(moved, s.migrate("wlan0")...)
	}
	if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
		t.Errorf("%v", r)
	}
	s.intact("first", first)
	s.intact("second", second)
	if len(moved) != 2 || !moved[0].OK || !moved[1].OK {
		t.Errorf("%+v", moved)
	}
	if got := s.web["wwan0"].Requests(); len(got) == 0 || got[0].Status != 200 {
		t.Errorf("the second request did not go to the second server: %+v", got)
	}
}

const twice = `
import asyncio, os, ssl, sys
async def main(ca, host, sign, *files):
    reader, writer = await asyncio.open_connection(host, 443, ssl=ssl.create_default_context(cafile=ca))
    for file in files:
        writer.write(b"GET /film.bin HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        with open(file, "wb") as f:
            while left:
                piece = await reader.read(min(left, 20000))
                assert piece
                f.write(piece)
                f.flush()
                left -= len(piece)
        while not os.path.exists(sign):
            await asyncio.sleep(0.01)
    writer.close()
    await writer.wait_closed()
asyncio.run(main(*sys.argv[1:]))
`

// Where no other server has the content, the program sees all that came, and the end that it would have seen.
func TestMemoryGivenUp(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.Configure("[failover]\npatience = \"1s\"\n")
	others := s.out("others")
	lab.Content(t, others, name, size-1, 8)
	s.serve(map[string]identity{"wwan0": {extra: "location / { root " + others + "; }"}})
	content, err := os.ReadFile(s.out("content/" + name))
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"asyncio", "poll", "blocking", "pair"} {
		t.Run(how, func(t *testing.T) {
			s.t = t
			out := s.out(how)
			args := s.memory(how, out)
			if how == "asyncio" {
				args = s.asyncio(out, "")
			}
			run := func(p *lab.Program, move bool) (status int, said string) {
				os.Remove(out)
				p.Start()
				s.reached(p, out, size/4)
				if move {
					if moved := s.migrate("wwan0"); len(moved) != 1 || moved[0].OK {
						t.Errorf("%+v", moved)
					}
				}
				s.web["wlan0"].Kill()
				r := p.Wait()
				s.web["wlan0"].Restart()
				if got, err := os.ReadFile(out); err != nil || !bytes.HasPrefix(content, got) || len(got) < size/4 {
					t.Errorf("%d octets, not those of the content (%v)", len(got), err)
				}
				lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
				return r.Status, lines[len(lines)-1]
			}
			status, said := run(s.Command(args...), false)
			if status == 0 {
				t.Fatal("natively it does not fail")
			}
			if under, saidUnder := run(s.Midstream(args...), true); under != status || saidUnder != said {
				t.Errorf("ends with %d, %q; natively with %d, %q", under, saidUnder, status, said)
			}
		})
	}
}

// A server that ends the connection after the response has sent all: nobody else is asked because the program has not
// decrypted it yet.
func TestMemoryClosed(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.rate = 0
	s.serve(nil)
	out := s.out("closed")
	native, under := s.Both(nil, s.asyncio(out, "slowly")...)
	lab.Compare(t, native, under)
	s.intact("closed", out)
	if n := len(s.web["wwan0"].Requests()); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

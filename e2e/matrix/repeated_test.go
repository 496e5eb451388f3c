package matrix

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// One response is moved again and again, at random octets, each time to an answer in another framing; between the
// migrations connections end too early.
func TestAResponseMovesThroughFramingsAtRandom(t *testing.T) { both(t, testThroughFramings) }

func testThroughFramings(t *testing.T, over transport) {
	body := content(2_000_000)
	l := lab.New(t)
	var cases []testCase
	clients := []string{"curl", "wget", "python"}
	if over.secure {
		clients = append(clients, "asyncio")
	}
	for _, client := range clients {
		for _, framing := range []string{"length", "chunked", "decorated"} {
			for _, ends := range []bool{false, true} {
				cases = append(cases, testCase{fmt.Sprintf("%s/%s/%v", client, framing, ends), func(t *testing.T, s seat) {
					answers := script{
						framing: framing, body: body, etag: strong, modified: modified, ranges: true, hold: -1, over: over,
						piece: 2000, later: []string{"length", "chunked", "close"},
					}
					if framing == "decorated" {
						answers.framing, answers.decorate, answers.chunk = "chunked", true, 700
					}
					near, far := s.serve(t, 0, answers), s.serve(t, 1, answers)
					far.asked = append(far.asked, nil) // its answers are all later ones
					d := &download{t: t, lab: s.Lab, out: s.out}
					d.program = s.Midstream(over.client(client, s.host, s.out)...).Start()
					d.control = s.Control(d.program.Pid(), lab.Patience)
					d.reads("some of it", func(s lab.Session) bool { return s.Received > 10_000 })
					moves, deliveries := 0, map[string]int{}
					for d.runs(time.Duration(rand.Intn(60)) * time.Millisecond) {
						if ends && rand.Intn(3) == 0 {
							[]*origin{near, far}[moves%2].cut()
							continue
						}
						moved, err := d.control.Migrate(s.Networks()[(moves+1)%2].Name)
						if err != nil {
							break // it is at its end
						}
						for _, m := range moved {
							switch {
							case m.OK && m.Migration == nil:
								moves++ // it is there already: a recovery has been faster
							case m.OK:
								moves++
								deliveries[m.Migration.Delivery]++
							default:
								t.Logf("not moved: %s", m.Reason)
							}
						}
					}
					d.ends(body)
					t.Log(deliveries)
					if moves == 0 {
						t.Error("it was not moved")
					}
					near.stop()
					far.stop()
				}})
			}
		}
	}
	runCases(t, l, cases)
}

// runs waits so long, and reports whether the program still runs.
func (d *download) runs(limit time.Duration) bool {
	select {
	case <-d.program.Ended():
		return false
	case <-time.After(limit):
		return true
	}
}

// asyncioSource fetches by a TLS session that works on memory.
const asyncioSource = `
import asyncio, ssl, sys
async def main(host, out, ca):
    reader, writer = await asyncio.open_connection(host, 443, ssl=ssl.create_default_context(cafile=ca))
    writer.write(b"GET /file HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    with open(out, "wb") as f:
        if b"chunked" in head:
            while n := int((await reader.readline()).partition(b";")[0], 16):
                f.write(await reader.readexactly(n))
                assert await reader.readline() == b"\r\n"
            while await reader.readline() != b"\r\n":
                pass
        else:
            left = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            while left:
                piece = await reader.read(min(left, 20000))
                assert piece
                f.write(piece)
                left -= len(piece)
    writer.transport.abort()
asyncio.run(main(*sys.argv[1:]))
`

// client is the command with which a client fetches the file from a host.
func (t transport) client(name, host, out string) []string {
	switch name {
	case "curl":
		args := []string{"curl", "-sS", "-o", out, t.at(host).url()}
		if t.secure {
			args = append(args, "--cacert", authority().file)
		}
		return args
	case "wget":
		args := []string{"wget", "-q", "--tries=1", "-O", out, t.at(host).url()}
		if t.secure {
			args = append(args, "--ca-certificate="+authority().file)
		}
		return args
	}
	if name == "asyncio" {
		return []string{"python3", "-c", asyncioSource, host, out, authority().file}
	}
	ca := ""
	if t.secure {
		ca = authority().file
	}
	return []string{"python3", "-c", python, host, out, ca, "/file"}
}

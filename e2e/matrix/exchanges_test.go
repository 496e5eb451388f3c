package matrix

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// relayed reports whether a pair of sockets is behind the session's descriptor.
func (d *download) relayed() bool {
	d.t.Helper()
	s := d.reads("its session", func(lab.Session) bool { return true })
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", s.PID, s.FD))
	if err != nil {
		d.t.Fatal(err)
	}
	inode := strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", s.PID))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && f[9] == inode {
			return strings.HasPrefix(f[2], "0100007F")
		}
	}
	return true // it was replaced between the two looks
}

// Hundreds of exchanges of all kinds on one stream, with moves between and within them; after each relayed delivery the
// stream returns to direct delivery.
func TestAStreamMovesAgainAndAgain(t *testing.T) { both(t, testAgainAndAgain) }

func testAgainAndAgain(t *testing.T, over transport) {
	body := content(300_000)
	l := lab.New(t)
	named(l)
	near, far := l.Networks()[0], l.Networks()[1]
	s := script{body: body, etag: strong, modified: modified, ranges: true, hold: -1, location: "/elsewhere", over: over}
	serve(t, near, s)
	s.framing, s.chunk = "chunked", 20_000
	serve(t, far, s)

	var asked []string
	args := over.talk(near.Content())
	k := talkTo(t, l, true, args...)
	ask := func(line string) {
		asked = append(asked, line)
		k.asks(line)
	}
	round := func() {
		for i := range 10 {
			ask(fmt.Sprintf("GET /x?n=%d", i))
		}
		for _, line := range []string{"HEAD /file", "GET /x?status=204", "GET /x?status=304", "GET /x?status=302", "GET /x?status=404", "POST /x?n=post"} {
			ask(line)
		}
		k.answered()
	}
	relays := 0
	for i := range 12 {
		round()
		to := []*lab.Network{far, near}[i%2]
		if i%3 == 2 {
			k.move(to.Name)
			continue
		}
		ask("GET /file?hold=150000")
		k.reads("half of the file", func(s lab.Session) bool { return s.State == "active" && s.Received > 100_000 })
		if k.move(to.Name).Delivery != "direct" {
			relays++
		}
		k.answered()
		ask("GET /x?n=after")
		k.answered()
		if !over.secure {
			l.Await("direct delivery", lab.Patience, func() bool { return !k.relayed() })
		}
	}
	round()
	got := k.ends()
	if relays < 3 {
		t.Errorf("only %d of the moves were to another framing", relays)
	}
	native := talkTo(t, l, false, args...)
	for _, line := range asked {
		native.asks(strings.Replace(line, "?hold=150000", "", 1))
	}
	if want := native.ends(); got != want {
		t.Errorf("it printed\n%swant\n%s", got, want)
	}
}

// Heads of every make, moved inside the head and in the content: the program sees the octets that one server sends.
func TestHeadsOfEveryMakeMove(t *testing.T) { both(t, testHeads) }

func testHeads(t *testing.T, over transport) {
	body := content(300_000)
	l := lab.New(t)
	var cases []testCase
	long := strings.Repeat("X-Long: "+strings.Repeat("y", 8000)+"\r\n", 31)
	for name, s := range map[string]script{
		"plain":    {},
		"obs-fold": {fields: "X-Folded: one\r\n two\r\n\tthree\r\n"},
		"bare LF":  {bareLF: true},
		"interim":  {interim: hints},
		"long":     {fields: long},
		"final":    {final: true},
	} {
		// Not before the first octet: a request is not sent again before its answer has begun, however it is asked for.
		for _, hold := range []int{1, 40, -2, -1, 150_000} {
			if over.secure && s.interim != "" && hold >= 0 && hold < 100 {
				continue // over TLS, a repeated request has its interim answers left out
			}
			cases = append(cases, testCase{fmt.Sprintf("%s/%d", name, hold), func(t *testing.T, at seat) {
				s := s
				s.body, s.etag, s.modified, s.ranges, s.over = body, strong, modified, true, over
				o := &origin{script: s}
				native, _ := o.answer(getFile)
				head := len(native) - len(body)
				s.hold = hold
				if hold < 0 {
					s.hold += head
				} else if hold > 1000 {
					s.hold += head
				}
				first := at.serve(t, 0, s)
				s.hold = -1
				second := at.serve(t, 1, s)
				d := start(t, l, over.at(at.host).curl("-i")...)
				first.awaits(t, d.program)
				d.reads("what there is", func(s lab.Session) bool { return s.State == "active" && (hold < 1000 || s.Received > 100_000) })
				d.moveOrEnd(at.far())
				d.ends(native)
				first.stop()
				second.stop()
			}})
		}
	}
	runCases(t, l, cases)
}

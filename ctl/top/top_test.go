// What top draws, says and does, on simulated terminals of any size.
package top

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"midstream/core/control"
	"midstream/core/netif"
	"midstream/ctl/client"
)

// aScreen is a terminal of that size.
func aScreen(t *testing.T, charset string, width, height int) tcell.SimulationScreen {
	t.Helper()
	s := tcell.NewSimulationScreen(charset)
	if err := s.Init(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Fini)
	s.SetSize(width, height)
	return s
}

// shows are the lines of a screen.
func shows(s tcell.SimulationScreen) string {
	cells, width, height := s.GetContents()
	var b strings.Builder
	for y := range height {
		line := ""
		for x := range width {
			r := ' '
			if c := cells[y*width+x]; len(c.Runes) > 0 {
				r = c.Runes[0]
			}
			line += string(r)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// aRun is top after a minute of two downloads over two networks, of which one has been moved twice, and one is held.
func aRun() *Top {
	t := New(context.Background(), nil)
	links := []netif.Interface{
		{Name: "lo", Kind: netif.KindLoopback, Loopback: true, Up: true, Carrier: true, V4: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		{Name: "docker0", Kind: netif.KindOther, Up: true, Carrier: true, V4: []netip.Addr{netip.MustParseAddr("172.17.0.1")}}, {Name: "wlan0", Kind: netif.KindWiFi, Up: true, Carrier: true, V4: []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
		{Name: "wwan0", Kind: netif.KindWWAN, Up: true, Carrier: true, V4: []netip.Addr{netip.MustParseAddr("10.0.1.2")}}, {Name: "eth9", Kind: netif.KindEthernet},
	}
	length := int64(80_000_000)
	until := control.Time{Time: time.Unix(1_000_095, 0)}
	film := control.Session{ID: "4711-1", PID: 4711, Command: "/usr/bin/curl -O x", URL: "http://download.example/dir/film.mkv?token=1", State: control.StateActive,
		Interface: "wlan0", Server: "10.77.1.80:80", Length: &length, Movable: true}
	other := control.Session{ID: "4712-3", PID: 4712, Command: "wget", URL: "http://download.example/\x1b[2Jother.iso", State: control.StateMigrating, Interface: "wwan0",
		Received: 1_000_000, Held: &control.Held{Since: control.Time{Time: time.Unix(1_000_050, 0)}, Until: &until, Why: "its connection has ended"}}
	for i := range 120 {
		now := time.Unix(1_000_000, 0).Add(time.Duration(i) * 500 * time.Millisecond)
		switch i {
		case 60:
			film.Migrations = append(film.Migrations, control.Migration{From: control.End{Interface: "wlan0"}, To: control.End{Interface: "wwan0"}, Trigger: "request", Offset: film.Received, StallMS: 4.6})
			film.Interface = "wwan0"
		case 90:
			film.Migrations = append(film.Migrations, control.Migration{From: control.End{Interface: "wwan0"}, To: control.End{Interface: "wlan0"}, Trigger: "the network was lost", Offset: film.Received, StallMS: 23.1})
			film.Interface = "wlan0"
		}
		film.Received += int64(300_000 + 200_000*(i%10)/10)
		t.take([]control.Session{film, other}, links, now)
	}
	t.note(control.Event{At: control.Time{Time: time.Unix(1_000_045, 0)}, Session: "4711-1", Text: "moved from wwan0 to wlan0 (10.77.1.80:80) at octet 35800000"})
	return t
}

func TestTopFitsEveryTerminal(t *testing.T) {
	run := aRun()
	for _, size := range [][2]int{{80, 24}, {132, 50}, {60, 16}, {40, 12}, {20, 4}, {10, 2}, {300, 100}} {
		for _, l := range []look{wide, narrow} {
			s := aScreen(t, "UTF-8", size[0], size[1])
			run.draw(s, l)
			s.Show()
			text := shows(s)
			if os.Getenv("SHOW") != "" {
				fmt.Printf("%dx%d\n%s\n", size[0], size[1], text)
			}
			if strings.ContainsRune(text, '\x1b') {
				t.Error("something is obeyed")
			}
			if size[0] >= 80 {
				for _, want := range []string{"2 downloads", "longest stall 23.1 ms", "wlan0", "wwan0", "4711-1  film.mkv  curl", "% of 80.0 MB", "moved 2", "HELD", "m move", "octet 35800000"} {
					if !strings.Contains(text, want) {
						t.Errorf("%v: there is no %q in\n%s", size, want, text)
					}
				}
				for _, useless := range []string{"eth9", "docker0"} {
					if strings.Contains(text, useless) {
						t.Errorf("%s is shown", useless)
					}
				}
			}
			for _, r := range text {
				if l.empty == '.' && r > 0x7f {
					t.Errorf("%c in a terminal without it", r)
				}
			}
		}
	}
	total := int64(0)
	for _, g := range client.Segments(run.sessions[0]) {
		total += g.To - g.From
	}
	if total != run.sessions[0].Received || len(client.Segments(run.sessions[0])) != 3 {
		t.Errorf("%+v", client.Segments(run.sessions[0]))
	}
}

// did notes what is asked for.
type did chan string

func (d did) say(what string) string {
	d <- what
	return what
}

func (d did) Move(session, to string) string              { return d.say("move " + session + " " + to) }
func (d did) Use(network string) string                   { return d.say("use " + network) }
func (d did) Hold(session string) string                  { return d.say("hold " + session) }
func (d did) Release(session string) string               { return d.say("release " + session) }
func (d did) Follow(context.Context, func(control.Event)) {}

// The keys of a person, and what is asked for by them.
func TestKeys(t *testing.T) {
	done := make(did, 1)
	run := New(t.Context(), done)
	run.sessions = []control.Session{{ID: "1-1", PID: 1}, {ID: "1-2", PID: 1}}
	run.networks = []*network{{name: "wlan0", usable: true}, {name: "gone0"}, {name: "wwan0", usable: true}}
	for _, test := range []struct{ keys, question, want string }{
		{"jm2", "move 1-2 to:  1 wlan0  2 wwan0", "move 1-2 wwan0"},
		{"u1", "use for all downloads:  1 wlan0  2 wwan0", "use wlan0"},
		{"a", "", "use auto"}, {"h", "", "hold 1-2"}, {"r", "", "release 1-2"}, {"kh", "", "hold 1-1"}, {"kkjjr", "", "release 1-2"},
	} {
		question := ""
		for _, r := range test.keys {
			if run.key(tcell.KeyRune, r) {
				t.Fatal(test.keys, "end it")
			}
			question = max(question, run.question)
		}
		if question != test.question {
			t.Errorf("%s: it asks %q, and not %q", test.keys, question, test.question)
		}
		if said := <-done; said != test.want {
			t.Errorf("%s: %s", test.keys, said)
		}
		if said := <-run.done; said != test.want {
			t.Errorf("%s: it says %s", test.keys, said)
		}
	}
	run.key(tcell.KeyRune, 'm')
	if run.key(tcell.KeyEscape, 0) || run.question != "" {
		t.Error("Esc does not leave the question")
	}
	if !run.key(tcell.KeyRune, 'q') {
		t.Error("q does not end it")
	}
}

// What a terminal writes decides, not that it has a block of its own (terminfo(5), acs_chars).
func TestATerminalWithoutBlocks(t *testing.T) {
	for charset, want := range map[string]look{"UTF-8": wide, "US-ASCII": narrow} {
		if l := lookOf(aScreen(t, charset, 80, 24)); l.empty != want.empty {
			t.Errorf("%s: %c", charset, l.empty)
		}
	}
}

// In a narrow terminal no key and no sentence loses its middle.
func TestNarrowTerminals(t *testing.T) {
	s := aScreen(t, "UTF-8", 60, 20)
	aRun().draw(s, wide)
	s.Show()
	text := shows(s)
	for _, want := range []string{"2 downloads", "/s   longest stall 23.1 ms", "m move  u use  a best  h hold  r release  q quit", "over wlan0, moved 2×, last from wwan0 ("} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

func TestSentences(t *testing.T) {
	once := New(t.Context(), nil).sentence(control.Session{ID: "1-1", URL: "http://h/f", Interface: "wlan0", Migrations: make([]control.Migration, 1)})
	if !strings.HasSuffix(once, "over wlan0, moved once") {
		t.Error(once)
	}
	kept := New(t.Context(), nil).sentence(control.Session{ID: "1-1", Kept: true})
	if !strings.HasSuffix(kept, "; it stays where it is until midstreamctl release") {
		t.Error(kept)
	}
}

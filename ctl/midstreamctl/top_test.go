package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"midstream/core/config"
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
func aRun() *top {
	t := newTop(&environment{})
	links := []netif.Interface{
		{Name: "lo", Loopback: true}, {Name: "wlan0", Up: true, Carrier: true, V4: []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
		{Name: "wwan0", Up: true, Carrier: true, V4: []netip.Addr{netip.MustParseAddr("10.0.1.2")}}, {Name: "eth9"},
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
				for _, want := range []string{"2 downloads", "longest stall 23.1 ms", "wlan0", "wwan0", "4711-1  film.mkv  curl", "% of 80.0 MB", "moved 2×", "HELD", "m move", "octet 35800000"} {
					if !strings.Contains(text, want) {
						t.Errorf("%v: there is no %q in\n%s", size, want, text)
					}
				}
				if strings.Contains(text, "eth9") {
					t.Error("a network without a use is shown")
				}
			}
			for _, r := range text {
				if l.empty == '.' && r > 0x7f && r != '…' && r != '×' {
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

// The keys of a person, and what is asked of the process for them.
func TestTopMovesWhatIsChosen(t *testing.T) {
	dir := isolate(t)
	asked := make(chan control.MigrateParams, 1)
	serve(t, dir, 1, &fake{list: []control.Session{{ID: "1-1", PID: 1}, {ID: "1-2", PID: 1}}, holds: func(method, session string) control.MigrateResult {
		return control.MigrateResult{Streams: []control.StreamResult{{ID: session, OK: method == control.MethodHold, Reason: "it is not held"}}}
	}, migrate: func(p control.MigrateParams) (control.MigrateResult, error) {
		asked <- p
		return control.MigrateResult{Streams: []control.StreamResult{{ID: p.Session, OK: true, Migration: &control.Migration{StallMS: 5}}}}, nil
	}})
	e := &environment{ctx: t.Context()}
	var err error
	if e.config, err = config.Load(config.Find()); err != nil {
		t.Fatal(err)
	}
	run := newTop(e)
	run.look(time.Now())
	run.networks = []*network{{name: "wlan0", usable: true}, {name: "gone0"}, {name: "wwan0", usable: true}}
	for _, r := range "jm" {
		if run.key(tcell.KeyRune, r) {
			t.Fatal("ended")
		}
	}
	if run.question != "move 1-2 to:  1 wlan0  2 wwan0" {
		t.Fatal(run.question)
	}
	run.key(tcell.KeyRune, '2')
	if p := <-asked; p.To != "wwan0" || p.Session != "1-2" {
		t.Errorf("%+v", p)
	}
	if said := <-run.done; said != "1-2 moved to wwan0; stall 5.0 ms" {
		t.Error(said)
	}
	run.key(tcell.KeyRune, 'm')
	if run.key(tcell.KeyEscape, 0) || run.question != "" {
		t.Error("Esc does not leave the question")
	}
	for r, want := range map[rune]string{'h': "held: 1-2", 'r': "1-2 was not released: it is not held"} {
		run.key(tcell.KeyRune, r)
		if said := <-run.done; said != want {
			t.Error(said)
		}
	}
	run.key(tcell.KeyRune, 'a')
	if said := <-run.done; said == "" {
		t.Error("nothing is said of use")
	}
	if !run.key(tcell.KeyRune, 'q') {
		t.Error("q does not end it")
	}
}

func TestTopInWords(t *testing.T) {
	dir := isolate(t)
	if status, out, _ := ctl("top", "--once"); status != exitOK || out != "no downloads\n" {
		t.Errorf("%d %q", status, out)
	}
	kept := newTop(&environment{}).sentence(control.Session{ID: "1-1", Kept: true})
	if !strings.HasSuffix(kept, "; it stays where it is until midstreamctl release") {
		t.Error(kept)
	}
	length := int64(1000)
	serve(t, dir, 1, &fake{list: []control.Session{{ID: "1-1", PID: 1, Command: "curl -O", URL: "http://h/film.mkv", Interface: "wlan0", Received: 340, Length: &length}}})
	if status, out, _ := ctl("top", "--once"); status != exitOK || out != "film.mkv by curl (1-1): 34 percent of 1.0 kB, 0 B a second over wlan0\n" {
		t.Errorf("%d %q", status, out)
	}
}

// Demo shows Midstream at work: a download that changes network and server, twice, without the program noticing.
//
// It raises two networks in namespaces of its own, each with a content server and a DNS server
// that answers for the same name with the server of its network, starts curl under
// build/midstream, moves the download with build/midstreamctl, and then says what happened.
// It needs root or user namespaces, and to be run from within the project's folder.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"midstream/e2e/lab"
)

const (
	url  = "http://download.example/film.mkv"
	rate = 40_000_000 // bit/s of each network
	size = 80 << 20   // octets: 17 s at that rate
)

// move is a migration that the demonstration asks for.
type move struct {
	at float64 // share of the file that has arrived
	to string
}

var moves = []move{{0.33, "wwan0"}, {0.67, "wlan0"}}

func main() {
	plain := flag.Bool("plain", false, "run curl without Midstream, and move nothing")
	fail := flag.Bool("fail", false, "lose the networks one after the other, instead of asking for a move")
	together := flag.Bool("together", false, "let both networks feed the download, and move nothing")
	to := flag.String("record", "", "write NAME.jsonl, NAME.svg and NAME-dark.svg, and in a terminal NAME.cast, where `NAME` is this")
	lab.Enter()
	flag.Parse()
	s := &lab.Stage{}
	if !*plain {
		lab.Build(s, "midstream") // before anything is raised
		lab.Build(s, "midstreamctl")
	}
	end := func() {}
	if *to != "" && isTerminal(os.Stdout) {
		var err error
		if end, err = record(*to + ".cast"); err != nil {
			s.Fatalf("demo: %v", err)
		}
	}
	ok := perform(s, show{*plain, *fail, *together, *to})
	end()
	s.Clear()
	if !ok {
		os.Exit(1)
	}
}

// show is what is to be shown, and where it is recorded.
type show struct {
	plain, fail, together bool
	record                string
}

// perform is the demonstration; it says whether all went as it should.
func perform(s *lab.Stage, show show) bool {
	plain := show.plain
	folder, err := os.MkdirTemp("", "midstream-demo-")
	if err != nil {
		s.Fatalf("demo: %v", err)
	}
	s.Cleanup(func() { os.RemoveAll(folder) })
	link := lab.Link{Rate: rate, Delay: 10 * time.Millisecond}
	l := lab.New(s, lab.Net("wlan0", link), lab.Net("wwan0", link))
	l.LogLevel = "off"
	p := &performance{lab: l, out: filepath.Join(folder, "film.mkv")}
	for _, n := range l.Networks() {
		root := filepath.Join(folder, n.Name)
		p.sum = lab.Content(s, root, "film.mkv", size, 1)
		p.web = append(p.web, n.Nginx(root, lab.ServerOptions{}))
		p.dns = append(p.dns, n.DNS(map[string][]string{"download.example": {n.Content(), n.Content6()}}))
	}
	fmt.Println("Two networks of 40 Mbit/s and 20 ms, wlan0 and wwan0, each with its own server for " + url)
	args := []string{"curl", "-sS", "-o", p.out, url}
	if plain {
		p.curl = l.Command(args...)
	} else {
		p.curl = l.Midstream(args...)
	}
	fmt.Printf("\n$ %scurl -sS -o film.mkv %s\n", map[bool]string{false: "midstream "}[plain], url)
	p.show = show
	if !plain && !show.together {
		p.moves = moves
	}
	if show.together {
		p.curl.Cmd.Env = append(p.curl.Cmd.Env, "MIDSTREAM_AGGREGATE=always")
	}
	var recorder *lab.Program
	if show.record != "" && !plain {
		recorder = l.Ctl("record", show.record+".jsonl", "--until-idle")
		recorder.Start()
	}
	p.run()
	ok := p.summary(plain)
	if recorder != nil {
		recorder.Wait()
		for _, name := range [][]string{{".svg"}, {"-dark.svg", "--dark"}} {
			r := l.Ctl(append([]string{"plot", show.record + ".jsonl", "-o", show.record + name[0]}, name[1:]...)...).Run()
			if r.Status != 0 {
				fmt.Println("NOT DRAWN      ", strings.TrimSpace(r.Stderr))
				ok = false
			}
		}
		fmt.Printf("recorded        %s.jsonl, drawn in %[1]s.svg\n", show.record)
	}
	return ok
}

// performance is one download and what is observed of it.
type performance struct {
	lab      *lab.Lab
	curl     *lab.Program
	web, dns []*lab.Server
	out, sum string
	show     show
	moves    []move
	refused  []string
	growth   *growth
	sessions []lab.Session
	result   lab.Result
}

// run starts curl, shows the traffic while it runs, and moves the download when its time has come.
func (p *performance) run() {
	p.growth = watchGrowth(p.out)
	p.curl.Start()
	display := newDisplay(p.lab.Networks())
	tick := time.NewTicker(display.interval)
	defer tick.Stop()
	for {
		select {
		case <-p.curl.Ended():
			p.result = p.curl.Wait()
			p.growth.stop()
			display.show(p.growth.octets())
			return
		case <-tick.C:
		}
		have := p.growth.octets()
		display.show(have)
		if p.show.fail || p.show.together {
			p.look()
		}
		if len(p.moves) > 0 && float64(have) >= p.moves[0].at*size {
			p.migrate(p.moves[0].to, display)
			p.moves = p.moves[1:]
		}
	}
}

// lose takes the carrier of the other networks than one.
func (p *performance) lose(to string, d *display) {
	d.say("The other network than " + to + " is lost")
	p.growth.mark()
	for _, n := range p.lab.Networks() {
		if n.Name == to {
			n.CarrierUp()
		}
	}
	for _, n := range p.lab.Networks() {
		if n.Name != to {
			n.CarrierDown()
		}
	}
}

func (p *performance) migrate(to string, d *display) {
	if p.show.fail {
		p.lose(to, d)
		return
	}
	d.say("$ midstreamctl migrate --to " + to)
	p.growth.mark()
	r := p.lab.Ctl("migrate", "--to", to, "--json").Run()
	if r.Status != 0 {
		p.refused = append(p.refused, fmt.Sprintf("migrate --to %s: status %d: %s%s", to, r.Status, r.Stdout, r.Stderr))
	}
	p.look()
}

// look takes what is known of the download.
func (p *performance) look() {
	list := p.lab.Ctl("sessions", "--json").Run()
	var sessions []lab.Session
	if json.Unmarshal([]byte(list.Stdout), &sessions) == nil && len(sessions) > 0 {
		p.sessions = sessions
	}
}

// summary prints what happened and says whether it is what was promised.
func (p *performance) summary(plain bool) bool {
	got := lab.Sum(p.out)
	intact := got == p.sum && p.result.Status == 0
	fmt.Printf("\ncurl ended with status %d after %.1f s\n", p.result.Status, p.result.Elapsed.Seconds())
	if text := strings.TrimSpace(p.result.Stderr); text != "" {
		fmt.Println("  it said:", text)
	}
	if intact {
		fmt.Println("intact          yes, SHA-256", got)
	} else {
		fmt.Printf("intact          NO, SHA-256 %s instead of %s\n", got, p.sum)
	}
	migrations := 0
	for _, s := range p.sessions {
		for _, m := range s.Migrations {
			migrations++
			fmt.Printf("migration %d     at octet %d from %s (%s) to %s (%s), stall %.1f ms\n",
				migrations, m.Offset, m.From.Interface, m.From.Server, m.To.Interface, m.To.Server, m.StallMS)
		}
	}
	for _, text := range p.refused {
		fmt.Println("NOT MOVED      ", strings.TrimSpace(text))
	}
	near, far := p.growth.longest()
	if !plain {
		fmt.Printf("pauses          as the growing file shows them: %.0f ms around the migrations, %.0f ms elsewhere\n", ms(near), ms(far))
	}
	served := 0
	for i, n := range p.lab.Networks() {
		if p.show.fail {
			// A server whose network is lost still waits for its client, and logs a request at its end only.
			n.ResetConnections()
			for tries := 0; tries < 200 && len(p.web[i].Requests()) == 0; tries++ {
				time.Sleep(10 * time.Millisecond)
			}
		}
		p.web[i].Stop() // so that it has logged everything
		var octets int64
		for _, r := range p.web[i].Requests() {
			octets += r.Sent
		}
		if octets > 0 {
			served++
		}
		fmt.Printf("%-15s server %s sent %.1f MB in answer to:\n", n.Name, n.Content(), float64(octets)/1e6)
		for _, r := range p.web[i].Requests() {
			fmt.Printf("                  %s %s %s → %d %s\n", r.Method, r.Target, orDash(r.Range), r.Status, r.ContentRange)
		}
		fmt.Printf("                DNS server %s was asked: %s\n", n.Resolver(), orDash(strings.Join(p.dns[i].Asked(), ", ")))
	}
	if plain {
		return intact
	}
	if p.show.together {
		return intact && served == len(p.web)
	}
	return intact && len(p.refused) == 0 && migrations == len(moves) && served == len(p.web)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

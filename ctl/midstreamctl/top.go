// midstreamctl top: a living picture of networks and downloads in the terminal, with keys that move them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/ctl/client"
	"midstream/ctl/table"
)

const topLong = `Shows each network's rate as a curve and each download as a bar, with what came over which
network, what it waits for and how long it has stalled. Keys move the download that is
chosen (m), have all downloads use one network (u) or the best again (a), hold it where it
is and its program, for as long as it takes (h), and release it (r). Up and down choose, q
ends.

With --plain, or where the output is no terminal, it says in sentences what changes: for
screen readers. NO_COLOR leaves colours out.`

// How often is looked, and how many looks a curve remembers.
const (
	topInterval = 500 * time.Millisecond
	topMemory   = 400
)

func topCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "top [--plain] [--once]", Short: "a living picture of networks and downloads", Long: topLong}
	plain := c.Flags().Bool("plain", false, "sentences instead of a picture")
	once := c.Flags().Bool("once", false, "say how things are, and end")
	return e.command(c, "0; 1 where the terminal cannot show it; 2 wrong usage or configuration", func(*cobra.Command, []string) int {
		t := newTop(e)
		if *plain || *once || table.Width(os.Stdout) == 0 {
			return t.inWords(*once)
		}
		return t.inPictures()
	})
}

// network is what is shown of one.
type network struct {
	name   string
	rates  []float64 // octets a second, the last one now
	total  int64     // octets since top began
	usable bool
	gone   bool
}

// picture is what is drawn.
type picture struct {
	now      time.Time
	networks []*network
	sessions []control.Session
	rates    map[string]float64 // of sessions, octets a second
	chosen   int
	events   []string
	question string // to be answered by a key
	answer   string // what came of the last key
}

// top follows all processes.
type top struct {
	*environment
	picture
	tally  client.Tally
	asking func(key rune) string // what the key does that answers the question, and what is said of it
	done   chan string           // what came of what keys have begun
}

func newTop(e *environment) *top {
	return &top{environment: e, done: make(chan string, 8)}
}

// look asks all processes and the kernel.
func (t *top) look(now time.Time) {
	all, err := client.Processes()
	if err != nil {
		t.answer = err.Error()
	}
	var list []control.Session
	for _, a := range client.AskAll[[]control.Session](t.ctx, all, client.AnswerLimit, control.MethodSessions, nil) {
		list = append(list, a.Result...)
	}
	links, _ := netif.List()
	t.take(list, links, now)
}

// take works out what has changed since the last look.
func (t *top) take(list []control.Session, links []netif.Interface, now time.Time) {
	seconds := now.Sub(t.now).Seconds()
	first := t.now.IsZero()
	t.now = now
	over := map[string]float64{}
	t.rates = map[string]float64{}
	for id, parts := range t.tally.Take(list, false) {
		for name, n := range parts {
			t.rates[id] += float64(n)
			over[name] += float64(n)
		}
	}
	t.sessions = list
	for _, l := range links {
		if l.Loopback {
			continue
		}
		n := t.network(l.Name)
		n.usable, n.gone = l.Usable() == nil, false
	}
	for iface := range over {
		t.network(iface)
	}
	for _, n := range t.networks {
		if !slices.ContainsFunc(links, func(l netif.Interface) bool { return l.Name == n.name }) {
			n.gone, n.usable = true, false
		}
		n.total += int64(over[n.name])
		rate := 0.0
		if !first && seconds > 0 {
			rate = over[n.name] / seconds
		}
		if n.rates = append(n.rates, rate); len(n.rates) > topMemory {
			n.rates = n.rates[1:]
		}
	}
	for id := range t.rates {
		t.rates[id] /= max(seconds, 0.001)
	}
	t.chosen = max(0, min(t.chosen, len(t.sessions)-1))
}

func (t *top) network(name string) *network {
	for _, n := range t.networks {
		if n.name == name {
			return n
		}
	}
	n := &network{name: name}
	t.networks = append(t.networks, n)
	return n
}

// shown are the networks that are worth a curve: usable ones, and those that something came over.
func (p *picture) shown() (all []*network) {
	for _, n := range p.networks {
		if n.usable || n.total > 0 {
			all = append(all, n)
		}
	}
	return all
}

// now is the last of a network's rates.
func (n *network) now() float64 {
	if len(n.rates) == 0 {
		return 0
	}
	return n.rates[len(n.rates)-1]
}

// longestStall is that of all sessions shown, in ms.
func (p *picture) longestStall() (ms float64) {
	for _, s := range p.sessions {
		for _, m := range s.Migrations {
			ms = max(ms, m.StallMS)
		}
	}
	return ms
}

// follow gives the events of all processes to each, until the context ends.
func (e *environment) follow(ctx context.Context, each func(control.Event)) {
	f := client.Follower{More: daemons, Each: func(raw json.RawMessage) bool {
		var event control.Event
		if json.Unmarshal(raw, &event) == nil {
			each(event)
		}
		return true
	}}
	f.Follow(ctx)
}

// note remembers an event.
func (t *top) note(event control.Event) {
	who := event.Session
	if who == "" {
		who = fmt.Sprint(event.PID)
	}
	line := event.At.Local().Format("15:04:05") + "  " + display.Line(who) + "  " + display.Line(event.Text)
	if t.events = append(t.events, line); len(t.events) > 50 {
		t.events = t.events[1:]
	}
}

// worthTelling leaves out what the picture shows by itself.
func worthTelling(event control.Event) bool {
	switch event.Kind {
	case control.EventOpened, control.EventExchange, control.EventClosed, control.EventStandby:
		return false
	}
	return true
}

// inPictures runs until q, Esc, or a signal.
func (t *top) inPictures() int {
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		t.complain("top: %v; with --plain it needs no such terminal", err)
		return exitFailed
	}
	defer screen.Fini()
	ctx, stop := context.WithCancel(t.ctx)
	defer stop()
	keys := make(chan tcell.Event, 16)
	go screen.ChannelEvents(keys, ctx.Done())
	events := make(chan control.Event, 64)
	go t.follow(ctx, func(e control.Event) {
		select {
		case events <- e:
		default:
		}
	})
	look := lookOf(screen)
	tick := time.NewTicker(topInterval)
	defer tick.Stop()
	t.look(time.Now())
	for {
		t.draw(screen, look)
		screen.Show()
		select {
		case <-t.ctx.Done():
			return exitOK
		case <-tick.C:
			t.look(time.Now())
		case e := <-events:
			if worthTelling(e) {
				t.note(e)
			}
		case t.answer = <-t.done:
		case event := <-keys:
			switch k := event.(type) {
			case nil:
				return exitOK
			case *tcell.EventResize:
				screen.Sync()
			case *tcell.EventKey:
				if t.key(k.Key(), k.Rune()) {
					return exitOK
				}
			}
		}
	}
}

// key does what a key stands for; true: it is the end.
func (t *top) key(key tcell.Key, r rune) bool {
	if t.asking != nil {
		ask := t.asking
		t.asking, t.question = nil, ""
		if key == tcell.KeyRune {
			t.answer = ask(r)
		}
		return key == tcell.KeyCtrlC
	}
	t.answer = ""
	switch {
	case key == tcell.KeyCtrlC || key == tcell.KeyEscape || r == 'q':
		return true
	case key == tcell.KeyUp || r == 'k':
		t.chosen = max(0, t.chosen-1)
	case key == tcell.KeyDown || r == 'j':
		t.chosen = max(0, min(t.chosen+1, len(t.sessions)-1))
	case r == 'm' && len(t.sessions) > 0:
		id := t.sessions[t.chosen].ID
		t.ask("move "+display.Line(id)+" to", func(to string) string {
			t.begin(func() string { return t.moves(id, to) })
			return "moving " + display.Line(id) + " to " + to
		})
	case r == 'u':
		t.ask("use for all downloads", func(to string) string {
			t.begin(func() string { return t.uses(to) })
			return "moving all to " + to
		})
	case r == 'a':
		t.begin(func() string { return t.uses(manager.Auto) })
	case (r == 'h' || r == 'r') && len(t.sessions) > 0:
		id, does := t.sessions[t.chosen].ID, holds
		if r == 'r' {
			does = releases
		}
		t.begin(func() string {
			return t.silently(does.done, func(e *environment) int { return does.run(e, []string{id}, 0, false) })
		})
	}
	return false
}

// ask has one of the networks chosen by its number.
func (t *top) ask(what string, do func(to string) string) {
	var names []string
	for _, n := range t.networks {
		if n.usable {
			names = append(names, n.name)
		}
	}
	if len(names) == 0 {
		t.answer = "there is no network to choose"
		return
	}
	t.question = what + ":"
	for i, name := range names[:min(len(names), 9)] {
		t.question += fmt.Sprintf("  %d %s", i+1, name)
	}
	t.asking = func(key rune) string {
		if i := int(key - '1'); i >= 0 && i < min(len(names), 9) {
			return do(names[i])
		}
		return ""
	}
}

// begin does something while the picture lives on.
func (t *top) begin(do func() string) {
	go func() {
		select {
		case t.done <- do():
		case <-t.ctx.Done():
		}
	}()
}

// silently runs a command, and returns the last of what it says.
func (t *top) silently(otherwise string, run func(*environment) int) string {
	var said lastLine
	scoped := *t.environment
	scoped.out, scoped.err = &said, &said
	run(&scoped)
	if said == "" {
		return otherwise
	}
	return string(said)
}

func (t *top) moves(id, to string) string {
	owner, _ := client.SessionPID(id)
	all, err := client.Processes()
	if err != nil {
		return err.Error()
	}
	all = slices.DeleteFunc(all, func(p client.Process) bool { return p.PID != owner })
	limit := t.config.Migration.Timeout
	for _, a := range client.AskAll[control.MigrateResult](t.ctx, all, limit+answerSlack, control.MethodMigrate, control.MigrateParams{To: to, Session: id}) {
		switch {
		case a.Err != nil:
			return a.Err.Error()
		case len(a.Result.Streams) != 1:
		case !a.Result.Streams[0].OK:
			return id + " did not move: " + a.Result.Streams[0].Reason
		case a.Result.Streams[0].Migration != nil:
			return fmt.Sprintf("%s moved to %s; stall %.1f ms", id, to, a.Result.Streams[0].Migration.StallMS)
		}
	}
	return "nothing matched"
}

func (t *top) uses(to string) string {
	return t.silently("done", func(e *environment) int { return use(e, useCommand(e), []string{to}, 0, false, false) })
}

// lastLine keeps the last line that was written.
type lastLine string

func (l *lastLine) Write(p []byte) (int, error) {
	lines := strings.Split(strings.TrimSpace(string(p)), "\n")
	*l = lastLine(strings.TrimPrefix(lines[len(lines)-1], "midstreamctl: "))
	return len(p), nil
}

// inWords says what changes, in sentences.
func (t *top) inWords(once bool) int {
	told := map[string]int{} // tenths of sessions that were told of
	events := make(chan control.Event, 256)
	if !once {
		go t.follow(t.ctx, func(e control.Event) {
			select {
			case events <- e:
			default:
			}
		})
	}
	tick := time.NewTicker(topInterval)
	defer tick.Stop()
	for first := true; ; first = false {
		t.look(time.Now())
		if first && once { // a second look, for the rates
			select {
			case <-t.ctx.Done():
				return exitOK
			case <-tick.C:
				t.look(time.Now())
			}
		}
		if first && len(t.sessions) == 0 {
			if status := t.say(exitOK, "no downloads"); status != exitOK {
				return status
			}
		}
		for _, s := range t.sessions {
			tenth := -1
			if s.Length != nil && *s.Length > 0 {
				tenth = int(10 * s.Received / *s.Length)
			}
			if before, known := told[s.ID]; known && before == tenth {
				continue
			}
			told[s.ID] = tenth
			if status := t.say(exitOK, "%s", t.sentence(s)); status != exitOK {
				return status
			}
		}
		if once {
			return exitOK
		}
		select {
		case <-t.ctx.Done():
			return exitOK
		case e := <-events:
			if worthTelling(e) {
				t.say(exitOK, "%s: %s", e.Session, e.Text)
			}
		case <-tick.C:
		}
	}
}

// sentence says how a download fares.
func (t *top) sentence(s control.Session) string {
	text := client.Name(s) + " by " + client.Program(s) + " (" + s.ID + "): "
	switch {
	case s.Length != nil && *s.Length > 0:
		text += fmt.Sprintf("%d percent of %s", 100*s.Received / *s.Length, display.Size(*s.Length))
	default:
		text += display.Size(s.Received)
	}
	text += ", " + display.Size(int64(t.rates[s.ID])) + " a second over " + s.Interface
	if left := client.Remaining(s, t.rates[s.ID]); left != "" {
		text += ", " + left + " left"
	}
	if n := len(s.Migrations); n > 0 {
		text += fmt.Sprintf(", moved %d times", n)
	}
	switch {
	case s.Held != nil:
		text += "; it " + client.Held(s.Held, s.Kept, t.now)
	case s.Kept:
		text += "; it " + keptSentence
	}
	return text
}

// isDumb reports whether a terminal has no colours, or they are not wanted: https://no-color.org.
func isDumb() bool { return os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" }

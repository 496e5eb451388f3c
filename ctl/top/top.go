// Package top is a living picture of networks and downloads in a terminal, with keys that move them, or the same in words.
package top

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gdamore/tcell/v2"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/manager"
	"midstream/core/netif"
	"midstream/ctl/client"
)

// How often is looked, and how many looks a curve remembers.
const (
	interval = 500 * time.Millisecond
	memory   = 400
)

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

	firstLook bool // there is nothing to tell rates from
}

// Does is what keys have done, each said of in one sentence, and what tells of events.
type Does interface {
	Move(session, to string) string
	Use(network string) string // or manager.Auto
	Hold(session string) string
	Release(session string) string
	// Follow gives each event to each until ctx ends.
	Follow(ctx context.Context, each func(control.Event))
}

// Top follows all processes. Its methods are for one goroutine.
type Top struct {
	picture
	ctx    context.Context
	does   Does
	tally  client.Tally
	asking func(key rune) string // what the key does that answers the question, and what is said of it
	done   chan string           // what came of what keys have begun
}

// New makes one, which ends with ctx.
func New(ctx context.Context, does Does) *Top {
	return &Top{ctx: ctx, does: does, done: make(chan string, 8)}
}

// look asks all processes and the kernel.
func (t *Top) look(now time.Time) {
	all, err := client.Processes()
	if err != nil {
		t.answer = err.Error()
	}
	var list []control.Session
	for _, a := range client.AskAll[[]control.Session](t.ctx, all, client.AnswerLimit, control.MethodSessions, nil) {
		list = append(list, a.Result...)
	}
	links, _, _ := netif.Survey()
	t.take(list, links, now)
}

// take works out what has changed since the last look.
func (t *Top) take(list []control.Session, links []netif.Interface, now time.Time) {
	seconds := now.Sub(t.now).Seconds()
	first := t.now.IsZero()
	t.firstLook = first
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
		if !l.Offered() && !slices.ContainsFunc(t.networks, func(n *network) bool { return n.name == l.Name }) {
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
		if n.rates = append(n.rates, rate); len(n.rates) > memory {
			n.rates = n.rates[1:]
		}
	}
	for id := range t.rates {
		t.rates[id] /= max(seconds, 0.001)
	}
	t.chosen = max(0, min(t.chosen, len(t.sessions)-1))
}

func (t *Top) network(name string) *network {
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

// note remembers an event.
func (t *Top) note(event control.Event) {
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

// InPictures runs until q, Esc, or the end of the context. Its error is that the terminal cannot show it.
func (t *Top) InPictures() error {
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return err
	}
	defer screen.Fini()
	ctx, stop := context.WithCancel(t.ctx)
	defer stop()
	keys := make(chan tcell.Event, 16)
	go screen.ChannelEvents(keys, ctx.Done())
	events := make(chan control.Event, 64)
	go t.does.Follow(ctx, func(e control.Event) {
		select {
		case events <- e:
		default:
		}
	})
	look := lookOf(screen)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	t.look(time.Now())
	for {
		t.draw(screen, look)
		screen.Show()
		select {
		case <-t.ctx.Done():
			return nil
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
				return nil
			case *tcell.EventResize:
				screen.Sync()
			case *tcell.EventKey:
				if t.key(k.Key(), k.Rune()) {
					return nil
				}
			}
		}
	}
}

// key does what a key stands for; true: it is the end.
func (t *Top) key(key tcell.Key, r rune) bool {
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
			t.begin(func() string { return t.does.Move(id, to) })
			return "moving " + display.Line(id) + " to " + to
		})
	case r == 'u':
		t.ask("use for all downloads", func(to string) string {
			t.begin(func() string { return t.does.Use(to) })
			return "moving all to " + to
		})
	case r == 'a':
		t.begin(func() string { return t.does.Use(manager.Auto) })
	case (r == 'h' || r == 'r') && len(t.sessions) > 0:
		id, does := t.sessions[t.chosen].ID, t.does.Hold
		if r == 'r' {
			does = t.does.Release
		}
		t.begin(func() string { return does(id) })
	}
	return false
}

// ask has one of the networks chosen by its number.
func (t *Top) ask(what string, do func(to string) string) {
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
func (t *Top) begin(do func() string) {
	go func() {
		select {
		case t.done <- do():
		case <-t.ctx.Done():
		}
	}()
}

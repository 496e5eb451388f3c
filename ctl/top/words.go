// Top in words: sentences instead of a picture, for screen readers and where there is no terminal.
package top

import (
	"fmt"
	"os"
	"time"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/client"
)

// InWords says what changes, in sentences, until the context ends or nobody listens; with once how things are.
func (t *Top) InWords(once bool, say func(sentence string) bool) {
	told := map[string]int{} // tenths of sessions that were told of
	events := make(chan control.Event, 256)
	if !once {
		go t.does.Follow(t.ctx, func(e control.Event) {
			select {
			case events <- e:
			default:
			}
		})
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for first := true; ; first = false {
		t.look(time.Now())
		if first && once { // a second look, for the rates
			select {
			case <-t.ctx.Done():
				return
			case <-tick.C:
				t.look(time.Now())
			}
		}
		if first && len(t.sessions) == 0 && !say("no downloads") {
			return
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
			if !say(t.sentence(s)) {
				return
			}
		}
		if once {
			return
		}
		select {
		case <-t.ctx.Done():
			return
		case e := <-events:
			if worthTelling(e) {
				say(e.Session + ": " + e.Text)
			}
		case <-tick.C:
		}
	}
}

// sentence says how a download fares.
func (t *Top) sentence(s control.Session) string {
	text := client.Name(s) + " by " + client.Program(s) + " (" + s.ID + "): "
	switch {
	case s.Length != nil && *s.Length > 0:
		text += fmt.Sprintf("%d percent of %s", 100*s.Received / *s.Length, display.Size(*s.Length))
	default:
		text += display.Size(s.Received)
	}
	if !t.firstLook {
		text += ", " + display.Size(int64(t.rates[s.ID])) + " a second"
	}
	text += " over " + s.Interface
	if left := client.Remaining(s, t.rates[s.ID]); left != "" {
		text += ", " + left + " left"
	}
	if n := len(s.Migrations); n > 0 {
		text += ", moved " + map[bool]string{true: "once", false: fmt.Sprintf("%d times", n)}[n == 1]
	}
	switch {
	case s.Held != nil:
		text += "; it " + client.Held(s.Held, s.Kept, t.now)
	case s.Kept:
		text += "; it " + client.Kept
	}
	return text
}

// isDumb reports whether a terminal has no colours, or they are not wanted: https://no-color.org.
func isDumb() bool { return os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" }

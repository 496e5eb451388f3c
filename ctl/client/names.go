// What is shown of a session.
package client

import (
	"fmt"
	"path"
	"strings"
	"time"

	"midstream/core/control"
	"midstream/core/display"
)

// Name is what a download is called: the last part of its URL.
func Name(s control.Session) string {
	url, _, _ := strings.Cut(s.URL, "?")
	if name := path.Base(url); name != "" && name != "." && name != "/" {
		return display.Line(name)
	}
	return display.Line(s.URL)
}

// Program is the program's name alone.
func Program(s control.Session) string {
	word, _, _ := strings.Cut(s.Command, " ")
	return display.Line(path.Base(word))
}

// Kept is said of a session that a person holds, and whose connection has not ended.
const Kept = "stays where it is until midstreamctl release"

// Held says why a program is held, since when and for how long.
func Held(h *control.Held, kept bool, now time.Time) string {
	s := fmt.Sprintf("has been held for %v: %s", now.Sub(h.Since.Time).Round(time.Second), h.Why)
	switch {
	case kept:
		s += "; it waits until midstreamctl release"
	case h.Until != nil:
		s += fmt.Sprintf("; it is told of that in %v, if nothing helps", max(h.Until.Sub(now), 0).Round(time.Second))
	}
	return s
}

// Remaining is the time that is left, "" where that cannot be told.
func Remaining(s control.Session, rate float64) string {
	if s.Length == nil || rate < 1 || *s.Length <= s.Received {
		return ""
	}
	seconds := float64(*s.Length-s.Received) / rate
	if seconds > 99*3600 {
		return "" // and more than a Duration may hold
	}
	return (time.Duration(seconds+0.5) * time.Second).String()
}

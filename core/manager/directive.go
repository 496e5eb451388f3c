// What a person or another program has ordered, for all processes: use, hints and conditional triggers.
package manager

import (
	"time"

	"midstream/core/policy"
)

// Directives are never changed once they are given to an engine.
type Directives struct {
	// Use is the interface that everything is to use, "" for automatic choice.
	Use   string            `json:"use"`
	Hints map[string][]Hint `json:"hints"` // by interface, in order of key
	Whens []When            `json:"whens"` // in order of arrival
}

// When is a conditional trigger: once Condition comes true, Use is used, as if a person had asked for it: by all, or
// by the session that it speaks of.
type When struct {
	ID        string    `json:"id"`
	Condition string    `json:"condition"`
	Use       string    `json:"use"`
	Once      bool      `json:"once"`
	At        time.Time `json:"at"`
	Expires   time.Time `json:"expires"` // zero: never

	compiled *policy.Condition
}

// MaxWhens and MaxHinted bound the triggers left and the interfaces with hints.
const (
	MaxWhens  = 64
	MaxHinted = 64
)

// Expire returns the directives without what has expired at now.
func (d Directives) Expire(now time.Time) Directives {
	out := Directives{Use: d.Use, Hints: map[string][]Hint{}}
	for name, hints := range d.Hints {
		for _, h := range hints {
			if h.Expires.IsZero() || now.Before(h.Expires) {
				out.Hints[name] = append(out.Hints[name], h)
			}
		}
	}
	for _, w := range d.Whens {
		if w.Expires.IsZero() || now.Before(w.Expires) {
			out.Whens = append(out.Whens, w)
		}
	}
	return out
}

// Tell adds a hint, or replaces that of the same key; what was found and what was said stand beside each other.
func (d *Directives) Tell(name string, h Hint) {
	if d.Hints == nil {
		d.Hints = map[string][]Hint{}
	}
	hints := append([]Hint(nil), d.Hints[name]...)
	for i := range hints {
		if hints[i].Key == h.Key && hints[i].Found == h.Found {
			hints[i] = h
			d.Hints[name] = hints
			return
		}
	}
	d.Hints[name] = append(hints, h)
}

// Drop removes the trigger with this id, and reports whether it was there.
func (d *Directives) Drop(id string) bool {
	for i, w := range d.Whens {
		if w.ID == id {
			d.Whens = append(append([]When(nil), d.Whens[:i]...), d.Whens[i+1:]...)
			return true
		}
	}
	return false
}

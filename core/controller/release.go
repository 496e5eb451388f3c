// A program that is held while its connection has ended: whoever looks sees why and until when, and a person may end or prolong it.
package controller

import (
	"context"
	"errors"
	"sort"
	"time"

	"midstream/core/control"
)

// holding is what is told of it. With s.mu.
type holding struct {
	since, until time.Time // until: zero where that is not known yet
	met          string    // what the last attempt has failed with
	released     bool      // a person wants the program to be told
}

// Hold implements recovery.Stream: it notes how long the program is going to be held.
func (s *Stream) Hold(deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.failed.pending() {
		return
	}
	s.failed.hold.until = deadline
	s.publish(control.EventHeld, "the program is held: its connection has ended, and others are tried for "+
		time.Until(deadline).Round(time.Second).String(), map[string]any{"until": control.Time{Time: deadline}})
}

// HoldOn implements recovery.Stream: it notes that the program is held for longer than it was said.
func (s *Stream) HoldOn(deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		s.failed.hold.until = deadline
	}
}

// Met implements recovery.Stream: it notes what stands in the way.
func (s *Stream) Met(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil && reason != nil && !errors.Is(reason, context.Canceled) {
		s.failed.hold.met = reason.Error()
	}
}

// describe says what a person is told, nil where the program is not held; kept: for as long as it takes. With s.mu.
func (f *failure) describe(kept bool) *control.Held {
	if !f.pending() {
		return nil
	}
	until := f.hold.until
	if kept {
		until = time.Time{}
	}
	return control.HeldSince(f.hold.since, until, f.errno, f.hold.met)
}

// hold keeps downloads where they are, as if the person had moved them there, and has their programs held, should it come to that, for as
// long as it takes; those of one session only unless session is empty. release takes it back.
func (c *Controller) hold(session string) control.MigrateResult {
	result := control.MigrateResult{Streams: []control.StreamResult{}}
	streams := c.all(session)
	sort.Slice(streams, func(i, j int) bool { return streams[i].id < streams[j].id })
	for _, s := range streams {
		s.mu.Lock()
		why := s.why()
		if why.None() && !s.closed {
			s.kept, s.asked = true, s.iface
			s.change()
		}
		s.mu.Unlock()
		switch {
		case why.None():
			result.Streams = append(result.Streams, control.StreamResult{ID: s.name(), OK: true})
		case session != "":
			result.Streams = append(result.Streams, control.StreamResult{ID: s.name(), Reason: why.Error()})
		}
	}
	return result
}

// release has programs told how their connections ended, those of one session only unless session is empty, and takes hold back. The
// recovery that runs does it: a hand-over that it has begun comes first.
func (c *Controller) release(session string) control.MigrateResult {
	result := control.MigrateResult{Streams: []control.StreamResult{}}
	streams := c.all(session)
	sort.Slice(streams, func(i, j int) bool { return streams[i].id < streams[j].id })
	for _, s := range streams {
		s.mu.Lock()
		held, kept := s.failed.pending(), s.kept
		if kept {
			s.kept, s.asked = false, ""
		}
		if held {
			s.failed.hold.released = true
			s.change()
		}
		s.mu.Unlock()
		switch {
		case held || kept:
			result.Streams = append(result.Streams, control.StreamResult{ID: s.name(), OK: true})
		case session != "":
			result.Streams = append(result.Streams, control.StreamResult{ID: s.name(), Reason: "it is not held"})
		}
	}
	return result
}

// How often a process is woken in which nothing moves.
package liaison

import (
	"testing"

	"midstream/core/manager"
)

func TestStillStreamsAreLookedAtSeldom(t *testing.T) {
	var s stillness
	streams := []manager.Stream{{ID: "1-1", Active: true, Received: 5}, {ID: "1-2"}}
	for range stillLooks {
		s.look(streams)
		if s.interval() != lookInterval {
			t.Fatal("too soon")
		}
	}
	if moves := s.look(streams); s.interval() != lookSeldom || moves(streams[0]) || !s.seldom.Load() {
		t.Error("they are still looked at")
	}
	streams[0].Received++
	if moves := s.look(streams); s.interval() != lookInterval || !moves(streams[0]) || moves(streams[1]) {
		t.Error("one has moved")
	}
	for range stillLooks {
		s.look(streams)
	}
	if s.restart(); s.interval() != lookInterval {
		t.Error("something has happened")
	}
}

package client

import (
	"maps"
	"testing"

	"midstream/core/control"
)

func TestWhatCameOverWhichNetwork(t *testing.T) {
	end := func(name string) control.End { return control.End{Interface: name} }
	s := control.Session{ID: "1-1", Interface: "a", Received: 100}
	var tally Tally
	look := func(change func(), want map[string]int64) {
		t.Helper()
		change()
		if got := tally.Take([]control.Session{s}, true)["1-1"]; !maps.Equal(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	}
	look(func() {}, map[string]int64{"a": 100})
	look(func() {
		s.Migrations = []control.Migration{{From: end("a"), To: end("b"), Offset: 150}}
		s.Interface, s.Received = "b", 250
	}, map[string]int64{"a": 50, "b": 100})
	// Two feed it, and then one again.
	look(func() {
		s.Paths = []control.Path{{Interface: "a", Octets: 30}, {Interface: "b", Octets: 70}}
		s.Received = 350
	}, map[string]int64{"b": 100})
	look(func() { s.Paths, s.Received = nil, 400 }, map[string]int64{"a": 50})
	look(func() { s.Received = 450 }, map[string]int64{"b": 50})
	// Another exchange.
	look(func() { s.Received = 20 }, map[string]int64{"b": 20})
	look(func() {}, map[string]int64{})
	if got := new(Tally).Take([]control.Session{s}, false); len(got) != 0 {
		t.Errorf("what was there before counts: %v", got)
	}
	for _, s := range []control.Session{
		{Received: 10, Interface: "a", Paths: []control.Path{{Interface: "b", Octets: 100}}}, {Received: 10, Paths: []control.Path{{Octets: -5}}}, {Received: 0},
		{Received: 10, Migrations: []control.Migration{{Offset: 50}, {Offset: 5}, {Offset: 7}}},
	} {
		at := int64(0)
		for _, g := range Segments(s) {
			if g.From != at || g.To <= g.From {
				t.Errorf("%+v: %+v", s, Segments(s))
			}
			at = g.To
		}
		if at != s.Received && s.Received > 0 {
			t.Errorf("%+v: %+v", s, Segments(s))
		}
	}
}

package client

import (
	"testing"

	"midstream/core/control"
)

func TestAFilmIsToldInTime(t *testing.T) {
	left := 3.25
	list := []control.Session{{ID: "7-1", Play: &control.Play{HandedS: 75.04, BufferS: &left}}, {ID: "7-2"}, {ID: "8-1", Play: &control.Play{HandedS: 1e300}}}
	const want = "7-1 is a film of which 1m15s have come; a player that has played ever since has 3.3s left\n8-1 is a film of which 277777h46m40s have come\n"
	if got := string(Playing(list)); got != want {
		t.Errorf("%q", got)
	}
}

func TestAProcesssObjectsAreToldOnce(t *testing.T) {
	o := &control.Objects{Count: 12, Last: []control.Object{{URL: "http://a/3\x1b[m.ts", Octets: 1_500_000}, {URL: "http://a/2.ts", Octets: 10}}}
	list := []control.Session{{PID: 7, Objects: o}, {PID: 7, Objects: o}, {PID: 8}, {PID: 9, Objects: &control.Objects{Count: 1}}}
	if got := string(Objects(list, false)); got != "process 7 has received 12 objects, the last http://a/3?[m.ts (1.5 MB)\n" {
		t.Errorf("%q", got)
	}
	if got := string(Objects(list, true)); got != "process 7 has received 12 objects, the last http://a/3?[m.ts (1.5 MB)\n  before http://a/2.ts (10 B)\n" {
		t.Errorf("%q", got)
	}
}

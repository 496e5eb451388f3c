package main

import (
	"testing"

	"midstream/core/config"
	"midstream/core/control"
)

// What processes are asked for by top's keys.
func TestTopAsksForWhatItsKeysSay(t *testing.T) {
	dir := isolate(t)
	asked := make(chan control.MigrateParams, 1)
	serve(t, dir, 1, &fake{list: []control.Session{{ID: "1-1", PID: 1}, {ID: "1-2", PID: 1}}, holds: func(method, session string) control.MigrateResult {
		return control.MigrateResult{Streams: []control.StreamResult{{ID: session, OK: method == control.MethodHold, Reason: "it is not held"}}}
	}, migrate: func(p control.MigrateParams) (control.MigrateResult, error) {
		asked <- p
		return control.MigrateResult{Streams: []control.StreamResult{{ID: p.Session, OK: true, Migration: &control.Migration{StallMS: 5}}}}, nil
	}})
	e := &environment{ctx: t.Context()}
	var err error
	if e.config, err = config.Load(config.Find()); err != nil {
		t.Fatal(err)
	}
	k := keys{e}
	if said := k.Move("1-2", "wwan0"); said != "1-2 moved to wwan0; stall 5.0 ms" {
		t.Error(said)
	}
	if p := <-asked; p.To != "wwan0" || p.Session != "1-2" {
		t.Errorf("%+v", p)
	}
	if said := k.Hold("1-2"); said != "held: 1-2" {
		t.Error(said)
	}
	if said := k.Release("1-2"); said != "1-2 was not released: it is not held" {
		t.Error(said)
	}
	if said := k.Use("auto"); said == "" {
		t.Error("nothing is said of use")
	}
}

func TestTopInWords(t *testing.T) {
	dir := isolate(t)
	if status, out, _ := ctl("top", "--once"); status != exitOK || out != "no downloads\n" {
		t.Errorf("%d %q", status, out)
	}
	length := int64(1000)
	serve(t, dir, 1, &fake{list: []control.Session{{ID: "1-1", PID: 1, Command: "curl -O", URL: "http://h/film.mkv", Interface: "wlan0", Received: 340, Length: &length}}})
	if status, out, _ := ctl("top", "--once"); status != exitOK || out != "film.mkv by curl (1-1): 34 percent of 1.0 kB, 0 B a second over wlan0\n" {
		t.Errorf("%d %q", status, out)
	}
}

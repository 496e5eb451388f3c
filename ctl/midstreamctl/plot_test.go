package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"midstream/core/control"
	"midstream/ctl/recording"
)

func TestPlotCommand(t *testing.T) {
	folder := t.TempDir()
	record, picture := filepath.Join(folder, "run.jsonl"), filepath.Join(folder, "run.svg")
	os.WriteFile(record, []byte(`{"midstream_record":1,"begun":"2026-11-30T00:00:00Z"}`+"\n"+
		`{"t":0,"sessions":[{"id":"1-1","name":"film.mkv","received":5,"interface":"wlan0","parts":{"wlan0":5}}]}`+"\n"), 0o644)
	if status, out, errs := ctl("plot", record, "-o", picture, "--title", "a title", "--dark"); status != exitOK || out+errs != "" {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if drawn, _ := os.ReadFile(picture); !strings.Contains(string(drawn), "a title") {
		t.Errorf("%s", drawn)
	}
	os.WriteFile(record, nil, 0o644)
	if status, _, errs := ctl("plot", record, "-o", picture); status != exitFailed || !strings.Contains(errs, "it is empty") {
		t.Errorf("status %d: %s", status, errs)
	}
	if status, _, errs := ctl("plot", record, "-o", "x.pdf"); status != exitUsage || !strings.Contains(errs, ".svg or .png") {
		t.Errorf("status %d: %s", status, errs)
	}
}

// What is recorded can be drawn, and the recording ends by itself.
func TestRecordWritesWhatGoesOn(t *testing.T) {
	dir := isolate(t)
	length := int64(1000)
	f := &fake{watched: make(chan struct{}, 1), list: []control.Session{{ID: "1-1", State: control.StateActive, URL: "http://h/film.mkv", Interface: "wlan0", Received: 500, Length: &length}}}
	serve(t, dir, 1, f)
	file := filepath.Join(t.TempDir(), "run.jsonl")
	var out, errs output
	ended := make(chan int)
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	go func() {
		ended <- run(&environment{ctx: ctx, out: &out, err: &errs}, []string{"record", file, "--for", "1"})
	}()
	<-f.watched
	f.Publish(control.Event{At: control.Now(), Kind: control.EventMigration, PID: 1, Session: "1-1", Text: "moved"})
	if status := <-ended; status != exitOK || out.String()+errs.String() != "" {
		t.Fatalf("status %d, %s%s", status, &out, &errs)
	}
	text, _ := os.ReadFile(file)
	_, all, err := recording.Read(bytes.NewReader(text))
	events, samples := 0, 0
	for _, e := range all {
		if e.Event != nil {
			events++
		}
		if len(e.Sample) == 1 && e.Sample[0].Parts["wlan0"] == 500 && e.Sample[0].Name == "film.mkv" {
			samples++
		}
	}
	if err != nil || events != 1 || samples == 0 {
		t.Errorf("%v, %d events, %d samples\n%s", err, events, samples, text)
	}
	if status, _, errs := ctl("record", "/nowhere/at/all"); status != exitFailed || errs == "" {
		t.Errorf("status %d", status)
	}
}

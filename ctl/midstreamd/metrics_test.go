package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/manager"
)

// asTold is an event as it comes over a control socket.
func asTold(t *testing.T, e control.Event) control.Event {
	t.Helper()
	text, err := json.Marshal(e)
	if err == nil {
		e = control.Event{}
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func someMetrics(t *testing.T) *metrics {
	m := newMetrics()
	session := control.Session{ID: "1-1", State: control.StateActive, Interface: "wlan0", Received: 1000}
	m.take([]control.Session{session}, 1)
	session.Received, session.Interface = 5000, "wwan0"
	session.Migrations = []control.Migration{{From: control.End{Interface: "wlan0"}, To: control.End{Interface: "wwan0"}, Offset: 2000}}
	session.Held = &control.Held{}
	m.take([]control.Session{session}, 1)
	session.Received, session.Migrations, session.Held = 100, nil, nil // the next exchange
	m.take([]control.Session{session, {ID: "2-1", State: control.StateIdle}}, 2)
	moved := control.Migration{Trigger: "request", StallMS: 4.6}
	for _, e := range []control.Event{
		{Kind: control.EventMigration, Fields: map[string]any{"migration": moved}}, {Kind: control.EventStandby}, {Kind: control.EventHeld}, {Kind: control.EventDone},
		{Kind: control.EventRefused, Fields: map[string]any{"reason": "the server at 10.0.0.1 says \"no\"\\: x"}},
		{Kind: control.EventRefused, Fields: map[string]any{"reason": "the server at 10.0.0.7 says \"no\"\\: y"}},
		{Kind: control.EventFailure, Fields: map[string]any{"cause": "the network was lost"}},
	} {
		m.event(asTold(t, e))
	}
	return m
}

func TestMetricsAreUnderstoodByPrometheus(t *testing.T) {
	interfaces := []manager.Interface{{Name: "wlan0", Up: true, RTT: 12.5}, {Name: "wwan0"}}
	for open, parser := range map[bool]string{false: "prometheus_client.parser", true: "prometheus_client.openmetrics.parser"} {
		text := someMetrics(t).write(open, interfaces)
		c := exec.Command("/usr/bin/python3", "-c", `
import sys, json
from `+parser+` import text_string_to_metric_families as parse
print(json.dumps({s.name + "".join(sorted(s.labels.values())): s.value for f in parse(sys.stdin.read()) for s in f.samples}))`)
		c.Stdin = strings.NewReader(text)
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", parser, err, text)
		}
		var got map[string]float64
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{
			"midstream_received_bytes_totalwlan0": 2000, "midstream_received_bytes_totalwwan0": 3100, "midstream_migrations_totalrequest": 1,
			"midstream_refusals_totalthe server at NN.N.N.N says \"no\"\\": 2, "midstream_failures_totalthe network was lost": 1, "midstream_stall_seconds_count": 1,
			"midstream_stall_seconds_bucket0.0025": 0, "midstream_stall_seconds_bucket0.005": 1, "midstream_stall_seconds_bucket+Inf": 1, "midstream_standbys_total": 1,
			"midstream_holds_total": 1, "midstream_held_sessions": 0, "midstream_processes": 2, "midstream_sessionsactive": 1, "midstream_sessionsidle": 1,
			"midstream_interface_rtt_secondswlan0": 0.0125, "midstream_interface_usablewwan0": 0,
		} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s: %s is %v, not %v", parser, name, value, want)
			}
		}
	}
	c := counter{}
	for i := range 1000 {
		c.add(strings.Repeat("x", i), 1)
	}
	if len(c) > maxValues+1 || c["other"] == 0 {
		t.Errorf("%d values of one label", len(c))
	}
}

func TestMetricsAreServedOnThisHostOnly(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(control.EnvRuntimeDir, filepath.Join(folder, "run"))
	socket := filepath.Join(folder, "metrics.sock")
	os.WriteFile(socket+".other", nil, 0o600)
	stale, err := net.Listen("unix", socket) // what a daemon that was killed has left
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	d := newDaemon(config.Default(), folder, zerolog.Nop())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := d.serveMetrics(ctx, "unix:"+socket); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may ask: %v %v", info.Mode(), err)
	}
	if err := d.serveMetrics(ctx, "unix:"+socket); err == nil {
		t.Error("two serve at one place")
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for url, want := range map[string]int{"http://localhost/metrics": 200, "http://127.0.0.1:9464/metrics": 200, "http://[::1]/metrics": 200, "http://localhost/": 404, "http://evil.example/metrics": 403, "http://evil.example:9464/metrics": 403} {
		r, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != want || want == 200 && !strings.Contains(string(text), "midstream_build_info") {
			t.Errorf("%s: %d\n%s", url, r.StatusCode, text)
		}
	}
}

func TestWhatIsShownOnTheDesktop(t *testing.T) {
	for _, test := range []struct {
		e          control.Event
		shown, bad bool
	}{
		{control.Event{Kind: control.EventMigration, Text: "moved <b>"}, true, false},
		{control.Event{Kind: control.EventHeld, Text: "held"}, true, true},
		{control.Event{Kind: control.EventRefused, Text: "not recovered"}, true, true},
		{control.Event{Kind: control.EventRefused, Text: "not moved", Fields: map[string]any{"to": "wwan0"}}, false, false},
		{control.Event{Kind: control.EventDone}, false, false},
	} {
		title, body, urgent, ok := notice(asTold(t, test.e))
		if ok != test.shown || urgent != test.bad || ok && (title == "" || strings.Contains(body, "<")) {
			t.Errorf("%+v: %q %q %v %v", test.e, title, body, urgent, ok)
		}
	}
}

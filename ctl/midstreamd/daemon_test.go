package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/manager"
)

// started is a daemon in a folder of its own.
func started(t *testing.T) (*daemon, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "md") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
	d := newDaemon(config.Default(), dir, zerolog.Nop())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d, filepath.Join(dir, manager.SocketName)
}

type line struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Scanner
}

func connect(t *testing.T, path string) *line {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(10 * time.Second))
			return &line{t, c, bufio.NewScanner(c)}
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// call returns the answer's error, "" if it has none; notifications before it are passed over.
func (l *line) call(method, params string) string {
	l.t.Helper()
	if _, err := l.c.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + "}\n")); err != nil {
		l.t.Fatal(err)
	}
	for l.in.Scan() {
		var r control.Response
		if err := json.Unmarshal(l.in.Bytes(), &r); err != nil {
			l.t.Fatal(err)
		}
		switch {
		case r.Method != "":
		case r.Error != nil:
			return r.Error.Message
		default:
			return ""
		}
	}
	l.t.Fatal("no answer")
	return ""
}

func TestNobodySpeaksForAnotherProcess(t *testing.T) {
	_, path := started(t)
	a, b := connect(t, path), connect(t, path)
	if e := a.call("report", `{"pid":1234,"use":"","streams":[],"samples":[]}`); !strings.Contains(e, "has not attached") {
		t.Errorf("before it has attached: %q", e)
	}
	if e := a.call("attach", `{"pid":1234,"command":"curl"}`); e != "" {
		t.Error(e)
	}
	if e := a.call("report", `{"pid":1234,"use":"","streams":[],"samples":[]}`); e != "" {
		t.Error(e)
	}
	if e := b.call("report", `{"pid":1234,"use":"","streams":[],"samples":[]}`); !strings.Contains(e, "has not attached") {
		t.Errorf("on another connection: %q", e)
	}
	if e := b.call("outcome", `{"session":"1234-1","to":"wwan0"}`); !strings.Contains(e, "is not of a process") {
		t.Errorf("outcome on another connection: %q", e)
	}
	if e := a.call("attach", `{"pid":0,"command":""}`); e == "" {
		t.Error("a process without a number attached")
	}
}

func TestDaemonTellsWhatProcessesHaveFound(t *testing.T) {
	d, path := started(t)
	a := connect(t, path)
	if e := a.call("attach", `{"pid":77,"command":"curl"}`); e != "" {
		t.Fatal(e)
	}
	if e := a.call("report", `{"pid":77,"use":"","streams":[],"samples":[],"captive":{"lo":true}}`); e != "" {
		t.Fatal(e)
	}
	d.gather()
	if f := d.common.engine.Gather()["lo"]; !f.Captive {
		t.Errorf("%+v", f)
	}
	a.c.Close()
	for end := time.Now().Add(5 * time.Second); d.client(d.common, 77) != nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if d.client(d.common, 77) != nil {
		t.Error("it is still known after its connection has ended")
	}
}

// hear returns the parameters of the next notification of that method.
func (l *line) hear(method string) json.RawMessage {
	l.t.Helper()
	for l.in.Scan() {
		var r control.Response
		if err := json.Unmarshal(l.in.Bytes(), &r); err != nil {
			l.t.Fatal(err)
		}
		if r.Method == method {
			return r.Params
		}
	}
	l.t.Fatalf("no %s", method)
	return nil
}

func TestDaemonAsksProcesses(t *testing.T) {
	d, path := started(t)
	a, b := connect(t, path), connect(t, path)
	for l, params := range map[*line]string{a: `{"pid":77,"command":"curl"}`, b: `{"pid":78,"command":"wget"}`} {
		if e := l.call("attach", params); e != "" {
			t.Fatal(e)
		}
	}
	got := make(chan []manager.Need, 1)
	ask := func() { got <- d.ask(d.common, 77, []string{"77-1"}) }
	go ask()
	var q manager.Question
	if err := json.Unmarshal(a.hear("ask"), &q); err != nil || len(q.Sessions) != 1 || q.Sessions[0] != "77-1" {
		t.Fatalf("%+v, %v", q, err)
	}
	// Neither another process, nor this one about others, has a say.
	number := strconv.FormatInt(q.Number, 10)
	if e := b.call("needs", `{"pid":77,"number":`+number+`,"needs":[]}`); !strings.Contains(e, "has not attached on this connection") {
		t.Errorf("%q", e)
	}
	if e := b.call("needs", `{"pid":78,"number":`+number+`,"needs":[]}`); e != "" {
		t.Error(e)
	}
	if e := a.call("needs", `{"pid":77,"number":`+number+`,"needs":[{"id":"77-1","pid":77,"length":5,"to":["lo"]},{"id":"78-1","pid":78,"to":null}]}`); e != "" {
		t.Error(e)
	}
	if needs := <-got; len(needs) != 1 || needs[0].ID != "77-1" || needs[0].Length != 5 || len(needs[0].To) != 1 {
		t.Errorf("%+v", needs)
	}
	// Nobody waits for ever, nor for whoever has gone.
	go ask()
	if <-got != nil {
		t.Error("an answer from nowhere")
	}
	if needs := d.ask(d.common, 79, nil); needs != nil {
		t.Errorf("%+v", needs)
	}
}

func TestWrongUsage(t *testing.T) {
	var out, complaints strings.Builder
	if status := run([]string{"--nonsense"}, &out, &complaints); status != 2 || !strings.Contains(complaints.String(), "there is no option --nonsense; see midstreamd --help") {
		t.Errorf("%d %s", status, complaints.String())
	}
	if status := run([]string{"--help"}, &out, &complaints); status != 0 || !strings.Contains(out.String(), "--host") {
		t.Errorf("%d %s", status, out.String())
	}
}

func TestMeteredGuessesCount(t *testing.T) {
	for value, want := range map[uint32]string{0: "unknown", 1: "yes", 2: "no", 3: "yes", 4: "no", 9: "unknown"} {
		got := "unknown"
		if m := meteredOf(value); m != nil {
			got = map[bool]string{true: "yes", false: "no"}[*m]
		}
		if got != want {
			t.Errorf("%d is %s", value, got)
		}
	}
}

package lab

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// answerLines stands in for a program: for each line it is sent, it sends the next of the answers.
func answerLines(t *testing.T, l *Lab, pid int, answers ...string) <-chan string {
	listener, err := net.Listen("unix", filepath.Join(l.RuntimeDir(), fmt.Sprintf("%d.sock", pid)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	asked := make(chan string, len(answers))
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		lines := bufio.NewScanner(c)
		for _, a := range answers {
			if !lines.Scan() {
				return
			}
			asked <- lines.Text()
			fmt.Fprintln(c, a)
		}
	}()
	return asked
}

func TestControlSpeaksJSONRPC(t *testing.T) {
	l := New(t)
	asked := answerLines(t, l, 77,
		`{"jsonrpc":"2.0","id":1,"result":[{"id":"77-1","length":null,"migrations":[{"at":"2026-01-02T03:04:05.678Z","to":{"interface":"wwan0"},"stall_ms":1.5}]}]}`,
		`{"jsonrpc":"2.0","id":2,"result":{"streams":[{"id":"77-1","ok":false,"reason":"no validator","migration":null}]}}`,
		`{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"no such method"}}`,
		`{"jsonrpc":"2.0","id":4,"result":{"watching":true}}`+"\n"+`{"jsonrpc":"2.0","method":"event","params":{"kind":"opened","pid":77}}`)
	c := l.Control(77, waitLimit)

	sessions, err := c.Sessions()
	if err != nil || len(sessions) != 1 || sessions[0].Length != nil || sessions[0].Migrations[0].StallMS != 1.5 || sessions[0].Migrations[0].To.Interface != "wwan0" {
		t.Errorf("sessions: %+v, %v", sessions, err)
	}
	moved, err := c.Migrate("wwan0")
	if err != nil || len(moved) != 1 || moved[0].Reason != "no validator" {
		t.Errorf("migrate: %+v, %v", moved, err)
	}
	<-asked
	if call := <-asked; !strings.Contains(call, `"params":{"to":"wwan0"}`) {
		t.Errorf("migrate was called by %s", call)
	}
	if err := c.Call("halt", nil, nil); err == nil || !strings.Contains(err.Error(), "no such method") {
		t.Errorf("an error came back as %v", err)
	}
	events, err := c.Watch()
	if err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Kind != "opened" || e.PID != 77 {
		t.Errorf("event %+v", e)
	}
	if _, more := <-events; more {
		t.Error("events go on after the end of the program")
	}
}

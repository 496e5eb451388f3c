package main

import (
	"context"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/rs/zerolog"

	"midstream/core/config"
	"midstream/core/control"
)

// desktop is what shows notices.
type desktop struct{ shown chan string }

func (d desktop) Notify(_ string, _ uint32, _, title, body string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	d.shown <- title + ": " + body
	return 1, nil
}

// process is one under Midstream of which something is told.
type process struct{ control.Hub }

func (*process) Sessions() []control.Session { return nil }
func (*process) Migrate(context.Context, control.MigrateParams) (control.MigrateResult, error) {
	return control.MigrateResult{}, nil
}

// A real bus: what a process tells of is shown on the desktop.
func TestTheDesktopShowsThatAProgramIsHeld(t *testing.T) {
	address := aBus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := desktop{make(chan string, 8)}
	if err := conn.Export(d, notifyPath, notifyName); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(notifyName, 0); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	t.Setenv(control.EnvRuntimeDir, t.TempDir()+"/run")
	dir, err := control.EnsureRuntimeDir()
	if err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{}
	s := control.NewServer(p)
	go s.Serve(l)
	defer s.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go newDaemon(config.Default(), dir, zerolog.Nop()).notify(ctx)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); ; {
		// Until it watches, nobody hears of it.
		p.Publish(control.Event{At: control.Now(), Kind: control.EventDone, Session: "1-1", Text: "done"})
		p.Publish(control.Event{At: control.Now(), Kind: control.EventHeld, Session: "1-1", Text: "its connection has <ended>"})
		select {
		case got := <-d.shown:
			if got != "A download waits for a network: its connection has &lt;ended&gt;" {
				t.Error(got)
			}
			return
		case <-limit:
			t.Fatal("nothing was shown")
		case <-tick.C:
		}
	}
}

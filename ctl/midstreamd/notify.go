// What the person at the desk is shown, on request: org.freedesktop.Notifications, Desktop Notifications Specification 1.2.
package main

import (
	"context"
	"encoding/json"
	"html"
	"time"

	"github.com/godbus/dbus/v5"

	"midstream/core/control"
	"midstream/core/display"
	processes "midstream/ctl/client"
)

const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = "/org/freedesktop/Notifications"
	// notifyPause is how long nothing more is shown of one download after something was: a network that comes and goes is no news.
	notifyPause = 5 * time.Second
)

// notice is what is shown of an event; ok is false where it is not.
func notice(e control.Event) (title, body string, urgent, ok bool) {
	switch e.Kind {
	case control.EventMigration:
		title = "A download has changed network"
	case control.EventHeld:
		title, urgent = "A download waits for a network", true
	case control.EventRefused:
		if e.Fields["to"] != nil {
			return "", "", false, false // it goes on where it is
		}
		title, urgent = "A download was given up", true
	default:
		return "", "", false, false
	}
	// Servers of the specification may read markup in it.
	return title, html.EscapeString(display.Shorten(display.Line(e.Text), 200)), urgent, true
}

// notify shows what goes on until ctx ends.
func (d *daemon) notify(ctx context.Context) {
	shown := map[string]time.Time{}
	var conn *dbus.Conn
	f := processes.Follower{Each: func(raw json.RawMessage) bool {
		var e control.Event
		if json.Unmarshal(raw, &e) != nil {
			return true
		}
		title, body, urgent, ok := notice(e)
		if !ok || !urgent && time.Since(shown[e.Session]) < notifyPause {
			return true
		}
		if len(shown) > 1000 {
			clear(shown)
		}
		shown[e.Session] = time.Now()
		var err error
		if conn == nil || !conn.Connected() {
			if conn, err = dbus.ConnectSessionBus(dbus.WithContext(ctx)); err != nil {
				d.log.Debug().Err(err).Msg("no session bus: nothing is shown")
				conn = nil
				return true
			}
		}
		level := byte(1)
		if urgent {
			level = 2
		}
		limited, cancel := context.WithTimeout(ctx, busLimit)
		defer cancel()
		err = conn.Object(notifyName, notifyPath).CallWithContext(limited, notifyName+".Notify", 0, "Midstream", uint32(0), "network-wireless", title, body,
			[]string{}, map[string]dbus.Variant{"urgency": dbus.MakeVariant(level)}, int32(-1)).Err
		if err != nil {
			d.log.Debug().Err(err).Msg("nothing was shown")
		}
		return true
	}}
	f.Follow(ctx)
	if conn != nil {
		conn.Close()
	}
}

// midstreamctl watch: prints events as they come.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/manager"
	"midstream/ctl/client"
)

const watchLong = `Prints one line for each event of the programs under Midstream, those that start
later included, until it is interrupted; for root of the programs of all users.

Events: opened, exchange, trigger, migration, refused, failure, held, standby, declined,
manager, done, closed.`

func watchCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "watch [--json]", Short: "print what happens to them, until interrupted", Long: watchLong}
	asJSON := jsonFlag(c, "one JSON object a line")
	return e.command(c, "0; 1 where events could not be had; 2 wrong usage or configuration", func(*cobra.Command, []string) int {
		return watch(e, *asJSON)
	})
}

// watcher prints what goes on.
type watcher struct {
	*environment
	json   bool
	status int
}

func watch(e *environment, asJSON bool) int {
	w := &watcher{environment: e, json: asJSON}
	f := client.Follower{Each: w.print, Failed: w.failed, More: daemons}
	if err := f.Follow(e.ctx); err != nil {
		e.complain("watch: %v", err)
		return exitFailed
	}
	return w.status
}

// daemons are those that may be watched: that of all users tells root only.
func daemons() []client.Process {
	if path := daemonPath(); exists(path) && (os.Geteuid() == 0 || filepath.Dir(path) != manager.HostDir) {
		return []client.Process{{Path: path, UID: os.Geteuid()}}
	}
	return nil
}

func (w *watcher) failed(p client.Process, err error) {
	w.status = exitFailed
	w.complain("watch process %d: %v", p.PID, err)
}

// print writes one event, and returns whether there is still somebody to write to.
func (w *watcher) print(raw json.RawMessage) bool {
	line := append(slices.Clone(display.JSON(raw)), '\n')
	if !w.json {
		var e control.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return true
		}
		who := e.Session
		if who == "" {
			who = fmt.Sprint(e.PID)
		}
		line = fmt.Appendf(nil, "%s  %-10s %-10s %s", e.At.Local().Format("15:04:05.000"), display.Line(who), display.Line(e.Kind), display.Line(e.Text))
		if e.Skipped > 0 {
			line = fmt.Appendf(line, " (%d events before this one were missed)", e.Skipped)
		}
		line = append(line, '\n')
	}
	status := w.flush(line, exitOK)
	w.status = max(w.status, status)
	return status == exitOK
}

// Follow gives the events of all processes to each, until ctx ends.
func (e *environment) Follow(ctx context.Context, each func(control.Event)) {
	f := client.Follower{More: daemons, Each: func(raw json.RawMessage) bool {
		var event control.Event
		if json.Unmarshal(raw, &event) == nil {
			each(event)
		}
		return true
	}}
	f.Follow(ctx)
}

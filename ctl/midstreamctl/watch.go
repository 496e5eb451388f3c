// midstreamctl watch: prints events as they come.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/core/manager"
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

// rescan is how often the runtime folder is looked at for new processes.
const rescan = 100 * time.Millisecond

// watcher follows all the processes there are.
type watcher struct {
	*environment
	json bool
	wg   sync.WaitGroup

	mu       sync.Mutex // for what is below, and for output
	followed map[int]bool
	named    map[int]bool // whose failure has been told
	status   int
}

func watch(e *environment, asJSON bool) int {
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	scoped := *e
	scoped.ctx = ctx
	w := &watcher{environment: &scoped, json: asJSON, followed: map[int]bool{}, named: map[int]bool{}}
	w.run(stop)
	return w.status
}

func (w *watcher) run(stop func()) {
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	defer w.wg.Wait()
	for {
		all, err := processes()
		if err != nil {
			w.complain("watch: %v", err)
			w.status = exitFailed
			stop()
			return
		}
		// The daemon of all users tells root only.
		if path := daemonPath(); exists(path) && (os.Geteuid() == 0 || filepath.Dir(path) != manager.HostDir) {
			all = append(all, process{0, path, os.Geteuid()})
		}
		for _, p := range all {
			w.mu.Lock()
			begin := !w.followed[p.pid]
			w.followed[p.pid] = true
			w.mu.Unlock()
			if begin {
				w.wg.Go(func() { w.follow(p, stop) })
			}
		}
		select {
		case <-w.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// follow prints the events of one process until it ends. It is tried again with the next scan, for the
// same number may come back with another program.
func (w *watcher) follow(p process, stop func()) {
	err := w.events(p, stop)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.followed, p.pid)
	if err != nil && w.ctx.Err() == nil && !w.named[p.pid] {
		w.named[p.pid] = true
		w.status = exitFailed
		w.complain("watch process %d: %v", p.pid, err)
	}
}

func (w *watcher) events(p process, stop func()) error {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	// Only the start is limited in time: between events a process may be silent for long.
	late := time.AfterFunc(answerLimit, cancel)
	c, err := p.connect(ctx)
	if err != nil || c == nil {
		return err
	}
	defer c.close()
	var accepted struct{ Watching bool }
	err = c.call(control.MethodWatch, nil, &accepted)
	if !late.Stop() {
		return fmt.Errorf("it does not answer within %v; it may be stopped", answerLimit)
	}
	if err != nil {
		return err
	}
	for {
		r, err := c.read()
		if err != nil {
			return nil // it has ended, which is no failure
		}
		if r.Method == control.MethodEvent && !w.print(r.Params) {
			stop()
			return nil
		}
	}
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
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return false
	}
	status := w.flush(line, exitOK)
	w.status = max(w.status, status)
	return status == exitOK
}

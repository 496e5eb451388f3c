// midstreamctl when: leaves conditional triggers.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"midstream/core/display"
	"midstream/core/manager"
)

const whenHelp = `usage: midstreamctl when 'CONDITION' use INTERFACE|auto [--once] [--expire 2h] [--host]
       midstreamctl when [--drop ID]

Leaves a trigger that fires when the condition comes true, as the policy's rules have it:

  midstreamctl when 'wlan0.congestion > 0.8' use wwan0 --once
  midstreamctl when 'session.length > 1_000_000_000' use eth0

Where the condition speaks of no session, firing does what "midstreamctl use" does;
otherwise the sessions that it is true of are moved. It is reported by watch. Without a
condition, the triggers left are listed.

  --once          forget it after it has fired
  --expire TIME   forget it after so long, such as 60s or 2h (default: never)
  --drop ID       forget this one
  --host          for all users of the host; only as root

Exit status: 0; 1 it could not be done; 2 wrong usage, condition or configuration; 3 there is no
such trigger.
`

func when(e *environment, args []string) int {
	words, options := split(args, "expire", "drop")
	f := flag.NewFlagSet("when", flag.ContinueOnError)
	once := f.Bool("once", false, "")
	expire := f.Duration("expire", 0, "")
	drop := f.String("drop", "", "")
	host := f.Bool("host", false, "")
	if !e.parse(f, options) {
		return exitUsage
	}
	store, err := e.store(*host)
	if err != nil {
		e.complain("when: %v", err)
		return exitFailed
	}
	switch {
	case *drop != "" && len(words) == 0:
		return e.dropWhen(store, *drop)
	case len(words) == 0:
		return e.listWhens(store)
	case len(words) != 3 || words[1] != "use" || *expire < 0 || *drop != "":
		e.complain("when: write 'CONDITION' use INTERFACE; see midstreamctl when --help")
		return exitUsage
	}
	w := manager.When{
		ID: strconv.FormatUint(uint64(rand.Uint32()), 36), Condition: words[0], Use: words[2], Once: *once,
		At: time.Now(), Expires: expiry(*expire),
	}
	if err := manager.CheckWhen(w.Condition, w.Use); err != nil {
		e.complain("when: %v", err)
		return exitUsage
	}
	if e.config.Interfaces[w.Use].Never {
		e.complain("when: %s: the configuration says never (never = true)", w.Use)
		return exitFailed
	}
	err = store.Update(func(d *manager.Directives) error {
		if len(d.Whens) >= manager.MaxWhens {
			return fmt.Errorf("there are %d triggers already; drop one", manager.MaxWhens)
		}
		d.Whens = append(d.Whens, w)
		return nil
	})
	if err != nil {
		e.complain("when: %v", err)
		return exitFailed
	}
	return e.flush([]byte(w.ID+"\n"), exitOK)
}

var errNoWhen = errors.New("there is no such trigger; midstreamctl when lists them")

func (e *environment) dropWhen(store manager.Store, id string) int {
	err := store.Update(func(d *manager.Directives) error {
		if !d.Drop(id) {
			return errNoWhen
		}
		return nil
	})
	switch {
	case errors.Is(err, errNoWhen):
		e.complain("when: %s: %v", id, err)
		return exitNone
	case err != nil:
		e.complain("when: %v", err)
		return exitFailed
	}
	return exitOK
}

func (e *environment) listWhens(store manager.Store) int {
	d, err := store.Load()
	if err != nil {
		e.complain("when: %v", err)
		return exitFailed
	}
	if len(d.Whens) == 0 {
		return e.flush([]byte("no triggers\n"), exitOK)
	}
	rows := [][]string{{"ID", "USE", "ONCE", "EXPIRES", "CONDITION"}}
	for _, w := range d.Whens {
		expires, once := "never", "no"
		if !w.Expires.IsZero() {
			expires = time.Until(w.Expires).Round(time.Second).String()
		}
		if w.Once {
			once = "yes"
		}
		rows = append(rows, []string{display.Line(w.ID), w.Use, once, expires, display.Line(w.Condition)})
	}
	var b bytes.Buffer
	table(&b, rows, terminalWidth(os.Stdout))
	return e.flush(b.Bytes(), exitOK)
}

// midstreamctl when: leaves conditional triggers.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/display"
	"midstream/core/manager"
	"midstream/ctl/command"
	"midstream/ctl/table"
)

const whenLong = `Leaves a trigger that fires when the condition comes true, as the policy's rules have it:

  midstreamctl when 'wlan0.congestion > 0.8' use wwan0 --once
  midstreamctl when 'session.length > 1_000_000_000' use eth0

Where the condition speaks of no session, firing does what "midstreamctl use" does;
otherwise the sessions that it is true of are moved. It is reported by watch. Without a
condition, the triggers left are listed. Conditions are described in midstream.toml(5).`

func whenCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "when 'CONDITION' use INTERFACE|auto [--once] [--expire 2h] [--host]", Short: "leave a conditional trigger", Long: whenLong, Args: cobra.ArbitraryArgs}
	var expire command.Span
	once := c.Flags().Bool("once", false, "forget it after it has fired")
	c.Flags().Var(&expire, "expire", "forget it after so long, such as 60s or 2h, or 60 for seconds (default: never)")
	drop := c.Flags().String("drop", "", "forget the one with this `ID`")
	host := c.Flags().Bool("host", false, "for all users of the host; only as root")
	completes(c, map[string]completer{"drop": e.completeWhens}, e.completeWhen)
	e.command(c, "0; 1 it could not be done, or there is no such interface; 2 wrong usage, condition or configuration; 3 there is no such trigger",
		func(c *cobra.Command, args []string) int {
			return when(e, c, args, *once, expire.Duration, *drop, *host)
		})
	c.Annotations[command.Also] = "when [--drop ID]"
	return c
}

func when(e *environment, c *cobra.Command, words []string, once bool, expire time.Duration, drop string, host bool) int {
	store, err := e.store(host)
	if err != nil {
		e.complain("when: %v", err)
		return exitFailed
	}
	switch {
	case drop != "" && len(words) == 0:
		return e.dropWhen(store, drop)
	case len(words) == 0:
		return e.listWhens(store)
	case len(words) != 3 || words[1] != "use" || expire < 0 || drop != "":
		return e.wrong(c, "write 'CONDITION' use INTERFACE")
	}
	w := manager.When{
		ID: strconv.FormatUint(uint64(rand.Uint32()), 36), Condition: words[0], Use: words[2], Once: once,
		At: time.Now(), Expires: expiry(expire),
	}
	if err := manager.CheckWhen(w.Condition, w.Use); err != nil {
		e.complain("when: %v", err)
		return exitUsage
	}
	if w.Use != manager.Auto {
		if err := e.exists(w.Use); err != nil {
			e.complain("when: %v", err)
			return exitFailed
		}
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
	columns := []table.Column{table.Of("ID", 0, 0), table.Of("USE", 0, 0), table.Of("ONCE", 0, 1), table.Of("EXPIRES", 0, 0), table.Of("CONDITION", 20, 0)}
	var rows [][]string
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
	table.Write(&b, columns, rows, table.Width(os.Stdout))
	return e.flush(b.Bytes(), exitOK)
}

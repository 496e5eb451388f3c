// midstreamctl enable, disable, status: puts services of systemd, and a user's whole session, under Midstream by drop-ins.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"midstream/ctl/systemd"
)

const enableLong = `Has systemd start a service under Midstream from its next start on, by a drop-in beside its
unit. Before that it is looked whether the service can work under it: its program, its
sandbox, its user.

With --user-session it is all that this user's own systemd starts, from the next login on, by
environment.d(5): services, and desktops with all their programs. A shell of ssh or of a text
console is not started by it, and stays as it is. Programs of another architecture then say at their start that the library
cannot be preloaded, and go on. Disable it before Midstream is removed: a package knows nothing of
it, and every program would say at its start that the library is gone.`

const disableLong = `Takes back what "midstreamctl enable" has done. What runs goes on as it is until it is
started again.`

const statusLong = `Says whether a service is enabled, whether what runs now is under Midstream, and what keeps it
from it. Without a UNIT, all that are enabled are listed.`

// unitFlags are those of all three.
func unitFlags(c *cobra.Command) (user, session *bool) {
	return c.Flags().Bool("user", false, "a service of this user's, not of the host's"),
		c.Flags().Bool("user-session", false, "all that this user's systemd starts")
}

// unitCommand makes one of the three.
func unitCommand(e *environment, use, short, long, exits string, least int, each func(s systemd.Services, unit string) int, whole func(s systemd.Services) int) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs}
	user, session := unitFlags(c)
	completes(c, nil, func(args []string) []string { return completeUnits(args, *user) })
	return e.command(c, exits, func(c *cobra.Command, args []string) int {
		all := len(args) == 0 && (*session || least == 0)
		if !all && (*session || len(args) != 1) {
			return e.wrong(c, "name one UNIT, or --user-session")
		}
		unit, ok := "", true
		if !all {
			unit, ok = systemd.UnitName(args[0])
		}
		if !ok {
			return e.wrong(c, "%q is no service: only those start programs", args[0])
		}
		s, err := systemd.New(*user || *session)
		switch {
		case err != nil:
			e.complain("%s: %v", c.Name(), err)
			return exitFailed
		case all:
			return whole(s)
		}
		return each(s, unit)
	})
}

func enableCommand(e *environment) *cobra.Command {
	return unitCommand(e, "enable UNIT [--user] | --user-session", "have a service, or all of a user's desktop, started under Midstream", enableLong,
		"0; 1 it cannot work under Midstream, or it could not be written; 2 wrong usage or configuration; 3 there is no such service", 1,
		func(s systemd.Services, unit string) int { return e.enable(s, unit) },
		func(s systemd.Services) int { return e.enableSession(s) })
}

func disableCommand(e *environment) *cobra.Command {
	return unitCommand(e, "disable UNIT [--user] | --user-session", "take that back", disableLong,
		"0; 1 it could not be taken back; 2 wrong usage or configuration; 3 it was not enabled", 1,
		func(s systemd.Services, unit string) int { return e.disable(s, s.DropIn(unit), unit) },
		func(s systemd.Services) int { return e.disable(s, s.SessionFile(), "the session") })
}

func statusCommand(e *environment) *cobra.Command {
	return unitCommand(e, "status [UNIT] [--user] | [--user-session]", "say whether a service is under Midstream, or can be", statusLong,
		"0 it is enabled; 1 it could not be found out; 2 wrong usage or configuration; 3 it is not enabled", 0,
		func(s systemd.Services, unit string) int { return e.status(s, unit) },
		func(s systemd.Services) int { return e.statusOfAll(s) })
}

func (e *environment) enable(s systemd.Services, unit string) int {
	p, putBack, err := s.WithoutOurs(unit)
	switch {
	case err != nil:
		e.complain("enable: %v%s", err, asRoot(err, "enable "+unit))
		return exitFailed
	case p == nil:
		putBack()
		e.complain("enable: there is no service %s; systemctl list-unit-files lists them", unit)
		return exitNone
	}
	against, notes, lines := s.Judge(p)
	for _, a := range against {
		e.complain("enable: %s cannot work under Midstream: %s", unit, a)
	}
	if len(against) > 0 {
		putBack()
		return exitFailed
	}
	text := "# Made by midstreamctl enable; midstreamctl disable takes it away.\n[Service]\n" + strings.Join(lines, "\n") + "\n"
	if err := systemd.WriteFile(s.DropIn(unit), text); err != nil {
		e.complain("enable: %v%s", err, asRoot(err, "enable "+unit))
		return exitFailed
	}
	reloaded := s.Reload()
	for _, n := range notes {
		e.say(exitOK, "%s: %s", unit, n)
	}
	return e.say(exitOK, "%s is under Midstream from its next start on (%s); now: %s%s", unit, s.DropIn(unit), reloaded, s.Systemctl("restart "+unit))
}

func (e *environment) enableSession(s systemd.Services) int {
	text := "# Made by midstreamctl enable --user-session; midstreamctl disable --user-session takes it away: environment.d(5).\n" +
		"LD_PRELOAD=" + s.Library + "${LD_PRELOAD:+:$LD_PRELOAD}\n"
	if err := systemd.WriteFile(s.SessionFile(), text); err != nil {
		e.complain("enable: %v", err)
		return exitFailed
	}
	return e.say(exitOK, "all that your systemd starts, services and desktops, is under Midstream from the next login on (%s); shells of ssh and of text consoles are not", s.SessionFile())
}

func (e *environment) disable(s systemd.Services, file, what string) int {
	err := os.Remove(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.complain("disable: %s is not enabled: there is no %s", what, file)
		return exitNone
	case err != nil:
		e.complain("disable: %v%s", err, asRoot(err, "disable "+what))
		return exitFailed
	}
	os.Remove(filepath.Dir(file)) // if nothing else is in it
	if file == s.SessionFile() {
		return e.say(exitOK, "your sessions are without Midstream from the next login on")
	}
	reloaded := s.Reload()
	return e.say(exitOK, "%s is without Midstream from its next start on; now: %s%s", what, reloaded, s.Systemctl("restart "+what))
}

func (e *environment) status(s systemd.Services, unit string) int {
	p, err := s.Properties(unit)
	if err != nil {
		e.complain("status: %v", err)
		return exitFailed
	}
	if p == nil {
		e.complain("status: there is no service %s; systemctl list-unit-files lists them", unit)
		return exitNone
	}
	status, word := exitOK, "enabled: "+s.DropIn(unit)
	if !exists(s.DropIn(unit)) {
		status, word = exitNone, "not enabled"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", unit, word)
	if pid, _ := strconv.Atoi(p["MainPID"]); pid > 0 {
		switch {
		case systemd.Preloaded(pid):
			fmt.Fprintf(&b, "  process %d is under Midstream\n", pid)
		case status == exitOK:
			fmt.Fprintf(&b, "  process %d is not: it was started before; %s\n", pid, s.Systemctl("restart "+unit))
		default:
			fmt.Fprintf(&b, "  process %d is not under Midstream\n", pid)
		}
	}
	against, notes, _ := s.Judge(p)
	for _, a := range against {
		fmt.Fprintf(&b, "  it cannot work under Midstream: %s\n", a)
	}
	for _, n := range notes {
		fmt.Fprintf(&b, "  %s\n", n)
	}
	return e.flush(b.Bytes(), status)
}

func (e *environment) statusOfAll(s systemd.Services) int {
	files, _ := filepath.Glob(filepath.Join(s.Folder(), "*.service.d", systemd.DropInName))
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%s: enabled: %s\n", strings.TrimSuffix(filepath.Base(filepath.Dir(f)), ".d"), f)
	}
	if exists(s.SessionFile()) {
		fmt.Fprintf(&b, "sessions of this user: enabled: %s\n", s.SessionFile())
	}
	if b.Len() == 0 {
		return e.say(exitNone, "nothing is enabled")
	}
	return e.flush(b.Bytes(), exitOK)
}

func completeUnits(args []string, user bool) []string {
	if len(args) > 0 {
		return nil
	}
	return systemd.Units(user)
}

func asRoot(err error, words string) string {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return "; sudo midstreamctl " + words + ", or with --user for a service of your own"
	}
	return ""
}

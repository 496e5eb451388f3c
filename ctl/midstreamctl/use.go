// midstreamctl use: from now on one interface is used, or the best again.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/manager"
	"midstream/ctl/client"
)

const useLong = `From now on that interface is used, by the downloads there are and by the connections
that programs make: those are bound before they are made, unless the program has bound
them itself or the server is on a network of the host's own. While the interface is
gone, others are used. What the kernel routes into a tunnel stays there, unless the
configuration says otherwise (policy.leave_tunnel). It holds until "use auto", also for
programs started later.

Returns when each download has moved or failed.`

func useCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "use INTERFACE|auto [--pid PID] [--host] [--json]", Short: "from now on that one, or the best again", Long: useLong, Args: cobra.ArbitraryArgs}
	pid := c.Flags().Int("pid", 0, "only for the process `PID`, until it ends; auto then means that it does not follow what holds for all")
	host := c.Flags().Bool("host", false, "for all users of the host; only as root")
	asJSON := jsonFlag(c, "one JSON object, as migrate does")
	completes(c, map[string]completer{"pid": e.completePIDs}, e.completeUse)
	return e.command(c, "0 all moved, or nothing to move; 1 some did not, each with its reason; 2 wrong usage or configuration; 3 there is no such process",
		func(c *cobra.Command, args []string) int { return use(e, c, args, *pid, *host, *asJSON) })
}

func use(e *environment, c *cobra.Command, words []string, pid int, host, asJSON bool) int {
	wrong := ""
	switch {
	case len(words) != 1:
		wrong = "name one interface, or auto"
	case words[0] != manager.Auto && !config.ValidInterfaceName(words[0]):
		wrong = fmt.Sprintf("%q is no name for a network interface", words[0])
	case pid < 0 || pid != 0 && host:
		wrong = "--pid takes a process id, and not --host"
	}
	if wrong != "" {
		return e.wrong(c, "%s", wrong)
	}
	name := words[0]
	if name != manager.Auto {
		if err := e.known(name); err != nil {
			e.complain("use: %v", err)
			return exitFailed
		}
	}
	all, err := client.Processes()
	if err != nil {
		e.complain("use: %v", err)
		return exitFailed
	}
	params := control.UseParams{}
	if !host && pid == 0 {
		all = client.OwnOnly(all) // others do not follow this user's directives
	}
	if pid > 0 {
		params = control.UseParams{Interface: name, PID: pid}
		var one []client.Process
		for _, p := range all {
			if p.PID == pid {
				one = append(one, p)
			}
		}
		if all = one; len(all) == 0 {
			e.complain("use: process %d has no downloads under Midstream", pid)
			return exitNone
		}
	} else {
		store, err := e.store(host)
		if err == nil {
			err = store.Update(func(d *manager.Directives) error {
				d.Use = name
				if name == manager.Auto {
					d.Use = ""
				}
				return nil
			})
		}
		if err != nil {
			e.complain("use: %v", err)
			return exitFailed
		}
	}
	o := outcome{[]json.RawMessage{}, []unanswered{}}
	for _, a := range client.AskAll[struct{ Streams []json.RawMessage }](e.ctx, all, e.config.Migration.Timeout+answerSlack, control.MethodUse, params) {
		if a.Err != nil {
			o.Unanswered = append(o.Unanswered, unanswered{a.PID, a.Err.Error()})
			e.complain("process %d: %v", a.PID, a.Err)
		}
		o.Streams = append(o.Streams, a.Result.Streams...)
	}
	if !asJSON {
		if status := e.say(exitOK, "%s", used(name, pid, host)); status != exitOK {
			return status
		}
	}
	if len(o.Streams)+len(o.Unanswered) == 0 {
		if asJSON {
			return e.flush([]byte("{\"streams\":[],\"unanswered\":[]}\n"), exitOK)
		}
		return exitOK
	}
	return e.report(o, name, asJSON)
}

// used says what has been asked for.
func used(name string, pid int, host bool) string {
	whom := "for your downloads and new connections"
	switch {
	case pid > 0:
		whom = fmt.Sprintf("for process %d until it ends", pid)
	case host:
		whom = "for the downloads and new connections of all users"
	}
	if name == manager.Auto {
		return "the best interface is used again, " + whom
	}
	return name + " is used from now on, " + whom
}

// midstreamctl hold, release: keeps downloads where they are and their programs waiting; ends the holding of programs whose connections have ended.
package main

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/client"
)

const releaseLong = `Ends the holding of programs. While no network or server can be found that continues a
download, its program is held: it does not know yet that its connection has ended, and
waits as on a slow network, for as long as failover.patience says. Released, it sees at
once what it would have seen without Midstream. midstreamctl sessions shows which programs
are held, why, and for how long. What "midstreamctl hold" has asked for is taken back.`

const holdLong = `Keeps downloads on the networks that they are on now: no ranking moves them. Should a network
or server fail, another one is looked for as always; where none is found, the program is kept
waiting for as long as it takes, not for failover.patience only. "midstreamctl release"
takes it back, and so does "midstreamctl use".`

// holding is hold or release.
type holding struct{ verb, done, method, none string }

var (
	holds    = holding{"hold", "held", control.MethodHold, "there is no download that can be"}
	releases = holding{"release", "released", control.MethodRelease, "nothing is held"}
)

func holdCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "hold [SESSION…] [--pid PID] [--json]", Short: "keep downloads where they are, and their programs waiting",
		Long: holdLong, Args: cobra.ArbitraryArgs}
	return holdingCommand(e, c, holds, "0 all held; 1 some cannot be; 2 wrong usage or configuration; 3 nothing matched", e.completeSessions)
}

func releaseCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "release [SESSION…] [--pid PID] [--json]", Short: "end the holding of programs whose connections have ended",
		Long: releaseLong, Args: cobra.ArbitraryArgs}
	return holdingCommand(e, c, releases, "0 all released; 1 some were not held; 2 wrong usage or configuration; 3 nothing is held", e.completeHeld)
}

func holdingCommand(e *environment, c *cobra.Command, h holding, exits string, sessions completer) *cobra.Command {
	pid := c.Flags().Int("pid", 0, "only those of the process `PID`")
	asJSON := jsonFlag(c, "one JSON object: streams, and unanswered with each process that gave no answer")
	completes(c, map[string]completer{"pid": e.completePIDs}, sessions)
	return e.command(c, exits,
		func(c *cobra.Command, args []string) int {
			for _, id := range args {
				if owner, ok := client.SessionPID(id); !ok || *pid > 0 && owner != *pid {
					return e.wrong(c, "%q is no session; midstreamctl sessions lists them", id)
				}
			}
			if c.Flags().Changed("pid") && *pid <= 0 {
				return e.wrong(c, "--pid: %d is no process id", *pid)
			}
			return h.run(e, args, *pid, *asJSON)
		})
}

// completeHeld offers the sessions that are held.
func (e *environment) completeHeld([]string) (all []string) {
	for _, s := range e.seen() {
		if s.Held != nil || s.Kept {
			all = append(all, display.Line(s.ID)+"\t"+describe(s.URL, s.Interface))
		}
	}
	return all
}

func (h holding) run(e *environment, ids []string, pid int, asJSON bool) int {
	all, err := client.Processes()
	if err != nil {
		e.complain("%s: %v", h.verb, err)
		return exitFailed
	}
	if len(ids) == 0 {
		ids = []string{""}
	}
	o := outcome{[]json.RawMessage{}, []unanswered{}}
	for _, id := range ids {
		owner, _ := client.SessionPID(id)
		var selected []client.Process
		for _, p := range all {
			if (pid == 0 || p.PID == pid) && (id == "" || p.PID == owner) {
				selected = append(selected, p)
			}
		}
		for _, a := range client.AskAll[struct{ Streams []json.RawMessage }](e.ctx, selected, client.AnswerLimit, h.method, control.ReleaseParams{Session: id}) {
			if a.Err != nil {
				o.Unanswered = append(o.Unanswered, unanswered{a.PID, a.Err.Error()})
				e.complain("%s: process %d: %v", h.verb, a.PID, a.Err)
			}
			o.Streams = append(o.Streams, a.Result.Streams...)
		}
	}
	status := exitOK
	var done []string
	for _, raw := range o.Streams {
		var r control.StreamResult
		if err := json.Unmarshal(raw, &r); err != nil {
			r.Reason = "not a result: " + err.Error()
		}
		if r.OK {
			done = append(done, display.Line(r.ID))
		} else {
			status = exitFailed
			e.complain("%s was not %s: %s", r.ID, h.done, r.Reason)
		}
	}
	switch {
	case len(o.Unanswered) > 0:
		status = exitFailed
	case len(o.Streams) == 0:
		status = exitNone
		e.complain("%s: %s; midstreamctl sessions lists what there is", h.verb, h.none)
	}
	if asJSON {
		text, err := json.Marshal(o)
		if err != nil {
			e.complain("%s: %v", h.verb, err)
			return exitFailed
		}
		return e.data(text, status)
	}
	if len(done) > 0 {
		return e.say(status, "%s: %s", h.done, strings.Join(done, " "))
	}
	return status
}

// midstreamctl release: ends the holding of programs whose connections have ended.
package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/client"
)

const releaseLong = `Ends the holding of programs. While no network or server can be found that continues a
download, its program is held: it does not know yet that its connection has ended, and
waits as on a slow network, for as long as failover.patience says. Released, it sees at
once what it would have seen without Midstream. midstreamctl sessions shows which programs
are held, why, and for how long.`

func releaseCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "release [SESSION…] [--pid PID] [--json]", Short: "end the holding of programs whose connections have ended",
		Long: releaseLong, Args: cobra.ArbitraryArgs}
	pid := c.Flags().Int("pid", 0, "only those of the process `PID`")
	asJSON := jsonFlag(c, "one JSON object: streams, and unanswered with each process that gave no answer")
	completes(c, map[string]completer{"pid": e.completePIDs}, e.completeHeld)
	return e.command(c, "0 all released; 1 some were not held; 2 wrong usage or configuration; 3 nothing is held",
		func(c *cobra.Command, args []string) int {
			for _, id := range args {
				if owner, ok := client.SessionPID(id); !ok || *pid > 0 && owner != *pid {
					return e.wrong(c, "%q is no session; midstreamctl sessions lists them", id)
				}
			}
			if c.Flags().Changed("pid") && *pid <= 0 {
				return e.wrong(c, "--pid: %d is no process id", *pid)
			}
			return releaseHeld(e, args, *pid, *asJSON)
		})
}

// completeHeld offers the sessions that are held.
func (e *environment) completeHeld([]string) (all []string) {
	for _, s := range e.seen() {
		if s.Held != nil {
			all = append(all, display.Line(s.ID)+"\t"+describe(s.URL, s.Interface))
		}
	}
	return all
}

func releaseHeld(e *environment, ids []string, pid int, asJSON bool) int {
	all, err := client.Processes()
	if err != nil {
		e.complain("release: %v", err)
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
		for _, a := range client.AskAll[struct{ Streams []json.RawMessage }](e.ctx, selected, client.AnswerLimit, control.MethodRelease, control.ReleaseParams{Session: id}) {
			if a.Err != nil {
				o.Unanswered = append(o.Unanswered, unanswered{a.PID, a.Err.Error()})
				e.complain("release: process %d: %v", a.PID, a.Err)
			}
			o.Streams = append(o.Streams, a.Result.Streams...)
		}
	}
	status := exitOK
	var released []string
	for _, raw := range o.Streams {
		var r control.StreamResult
		if err := json.Unmarshal(raw, &r); err != nil {
			r.Reason = "not a result: " + err.Error()
		}
		if r.OK {
			released = append(released, display.Line(r.ID))
		} else {
			status = exitFailed
			e.complain("%s was not released: %s", r.ID, r.Reason)
		}
	}
	switch {
	case len(o.Unanswered) > 0:
		status = exitFailed
	case len(o.Streams) == 0:
		status = exitNone
		e.complain("release: nothing is held; midstreamctl sessions lists what there is")
	}
	if asJSON {
		text, err := json.Marshal(o)
		if err != nil {
			e.complain("release: %v", err)
			return exitFailed
		}
		return e.data(text, status)
	}
	if len(released) > 0 {
		return e.say(status, "released: %s", strings.Join(released, " "))
	}
	return status
}

// heldSentence says why a program is held, since when and for how long.
func heldSentence(h *control.Held, now time.Time) string {
	s := fmt.Sprintf("has been held for %v: %s", now.Sub(h.Since.Time).Round(time.Second), h.Why)
	if h.Until != nil {
		s += fmt.Sprintf("; it is told of that in %v, if nothing helps", max(h.Until.Sub(now), 0).Round(time.Second))
	}
	return s
}

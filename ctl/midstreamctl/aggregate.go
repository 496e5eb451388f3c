// midstreamctl aggregate: lets several networks feed downloads together.
package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/client"
)

const aggregateLong = `Lets all networks that may be used feed the downloads in progress together, and those that
follow on the same connections; or, with off, one network again. midstreamctl sessions shows
what each of them brings. Downloads whose length is not known, and those of programs that move
TLS records themselves, are fed by one network. aggregate.enabled does the same for all
downloads to come.`

func aggregateCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "aggregate on|off [--pid PID] [--session ID] [--json]", Short: "let several networks feed downloads together, or one again",
		Long: aggregateLong, Args: cobra.ExactArgs(1), ValidArgs: []string{"on", "off"}}
	pid := c.Flags().Int("pid", 0, "only those of the process `PID`")
	session := c.Flags().String("session", "", "only the session `ID`")
	asJSON := jsonFlag(c, "one JSON object: streams, and unanswered with each process that gave no answer")
	completes(c, map[string]completer{"pid": e.completePIDs, "session": e.completeSessions}, func([]string) []string { return []string{"on", "off"} })
	return e.command(c, "0 all done; 1 some could not; 2 wrong usage or configuration; 3 nothing matched", func(c *cobra.Command, args []string) int {
		owner, ok := client.SessionPID(*session)
		switch {
		case args[0] != "on" && args[0] != "off":
			return e.wrong(c, "%q is neither on nor off", args[0])
		case c.Flags().Changed("pid") && *pid <= 0:
			return e.wrong(c, "--pid: %d is no process id", *pid)
		case *session != "" && (!ok || *pid > 0 && owner != *pid):
			return e.wrong(c, "%q is no session; midstreamctl sessions lists them", *session)
		case ok:
			*pid = owner
		}
		return aggregateAll(e, control.AggregateParams{On: args[0] == "on", Session: *session}, *pid, *asJSON)
	})
}

func aggregateAll(e *environment, params control.AggregateParams, pid int, asJSON bool) int {
	all, err := client.Processes()
	if err != nil {
		e.complain("aggregate: %v", err)
		return exitFailed
	}
	var selected []client.Process
	for _, p := range all {
		if pid == 0 || p.PID == pid {
			selected = append(selected, p)
		}
	}
	o, status := outcome{[]json.RawMessage{}, []unanswered{}}, exitOK
	for _, a := range client.AskAll[struct{ Streams []json.RawMessage }](e.ctx, selected, e.config.Migration.Timeout+client.AnswerLimit, control.MethodAggregate, params) {
		if a.Err != nil {
			o.Unanswered = append(o.Unanswered, unanswered{a.PID, a.Err.Error()})
			e.complain("aggregate: process %d: %v", a.PID, a.Err)
			status = exitFailed
		}
		o.Streams = append(o.Streams, a.Result.Streams...)
	}
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
			e.complain("%s: %s", r.ID, r.Reason)
		}
	}
	if len(o.Streams) == 0 && len(o.Unanswered) == 0 {
		status = exitNone
		e.complain("aggregate: nothing matched; midstreamctl sessions lists what there is")
	}
	if asJSON {
		text, err := json.Marshal(o)
		if err != nil {
			e.complain("aggregate: %v", err)
			return exitFailed
		}
		return e.data(text, status)
	}
	if len(done) > 0 {
		by := "several networks"
		if !params.On {
			by = "one network"
		}
		return e.say(status, "fed by %s from now on: %s", by, strings.Join(done, " "))
	}
	return status
}

// pathLine says what one of several paths does.
func pathLine(p control.Path) string {
	line := fmt.Sprintf("%s from %s: %s so far, %s/s, round trip %.0f ms, %s asked for", p.Interface, p.Server, display.Size(p.Octets), display.Size(p.Rate), p.RTTMS, display.Size(p.Outstanding))
	if p.Server == "" {
		line = p.Interface
	}
	if p.Why != "" {
		line += "; not in use: " + p.Why
	}
	return line
}

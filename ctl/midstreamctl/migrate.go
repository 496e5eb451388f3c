// midstreamctl migrate: moves sessions to another interface.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/client"
	"midstream/ctl/command"
	"midstream/ctl/table"
)

const migrateLong = `Continues downloads over another interface, from another server where that is the
one there. Returns when each has moved or failed. A download that cannot be moved
goes on as it is. What is moved stays there until that network fails, or migrate or
use says otherwise. What the kernel routes into a tunnel is not taken out of it unless
the configuration says so (policy.leave_tunnel). Root moves those of all users.`

func migrateCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "migrate INTERFACE [--pid PID] [--session ID] [--timeout 10s] [--json]", Short: "continue them over another interface", Long: migrateLong, Args: cobra.ArbitraryArgs}
	timeout := command.Span{}
	var pid int
	var session, to string
	c.Flags().StringVar(&to, "to", "", "the `INTERFACE` to move to, as \"ip link\" names it; the same as without --to")
	c.Flags().IntVar(&pid, "pid", 0, "only those of the process `PID`")
	c.Flags().StringVar(&session, "session", "", "only the one with this `ID`, as midstreamctl sessions shows it")
	c.Flags().Var(&timeout, "timeout", "how long each may take, such as 500ms, 10s, 2m, or 5 for seconds (default: timeout in the configuration's [migration]); what is skipped of a server that ignores Range is not counted")
	asJSON := jsonFlag(c, "one JSON object: streams, and unanswered with each process that gave no answer")
	completes(c, map[string]completer{"to": e.completeInterfaces, "pid": e.completePIDs, "session": e.completeSessions}, e.completeInterfaces)
	return e.command(c, "0 all moved; 1 some did not, each with its reason; 2 wrong usage or configuration; 3 nothing matched",
		func(c *cobra.Command, args []string) int {
			switch {
			case len(args) > 1 || len(args) == 1 && to != "" && to != args[0]:
				return e.wrong(c, "unexpected argument %q", args[len(args)-1])
			case len(args) == 1:
				to = args[0]
			}
			if !c.Flags().Changed("timeout") {
				timeout.Duration = e.config.Migration.Timeout
			}
			return migrate(e, c, to, pid, session, timeout.Duration, *asJSON)
		})
}

// answerSlack is what an answer may take on top of the migration's own time-out.
const answerSlack = 6 * time.Second

// unanswered is a process that gave no result as a whole.
type unanswered struct {
	PID    int    `json:"pid"`
	Reason string `json:"reason"`
}

type outcome struct {
	Streams    []json.RawMessage `json:"streams"`
	Unanswered []unanswered      `json:"unanswered"`
}

func migrate(e *environment, c *cobra.Command, to string, pid int, session string, timeout time.Duration, asJSON bool) int {
	given := c.Flags().Changed
	owner, isSession := client.SessionPID(session)
	wrong := ""
	switch {
	case to == "":
		wrong = "name the INTERFACE to move to"
	case !config.ValidInterfaceName(to):
		wrong = fmt.Sprintf("%q is no name for a network interface", to)
	case given("pid") && pid <= 0:
		wrong = fmt.Sprintf("--pid: %d is no process id", pid)
	case given("session") && !isSession:
		wrong = fmt.Sprintf("--session: %q is no session; midstreamctl sessions lists them", session)
	case timeout < time.Millisecond || timeout > control.MaxTimeoutMS*time.Millisecond:
		wrong = fmt.Sprintf("--timeout: %v is not between 1ms and %v", timeout, control.MaxTimeoutMS*time.Millisecond)
	}
	if wrong != "" {
		return e.wrong(c, "%s", wrong)
	}
	all, err := client.Processes()
	if err != nil {
		e.complain("migrate: %v", err)
		return exitFailed
	}
	var selected []client.Process
	for _, p := range all {
		if (pid == 0 || p.PID == pid || p.Supervises()) && (!isSession || p.PID == owner) {
			selected = append(selected, p)
		}
	}
	params := control.MigrateParams{To: to, Session: session, PID: pid, TimeoutMS: timeout.Milliseconds()}
	o := outcome{[]json.RawMessage{}, []unanswered{}}
	for _, a := range client.AskAll[struct{ Streams []json.RawMessage }](e.ctx, selected, timeout+answerSlack, control.MethodMigrate, params) {
		if a.Err != nil {
			o.Unanswered = append(o.Unanswered, unanswered{a.PID, a.Err.Error()})
			e.complain("migrate process %d to %s: %v", a.PID, to, a.Err)
		}
		o.Streams = append(o.Streams, a.Result.Streams...)
	}
	return e.report(o, to, asJSON)
}

// report prints what came of it and returns the exit status that says so.
func (e *environment) report(o outcome, to string, asJSON bool) int {
	status := exitOK
	if len(o.Unanswered) > 0 {
		status = exitFailed
	} else if len(o.Streams) == 0 {
		status = exitNone
		e.complain("migrate: nothing matched; midstreamctl sessions lists what there is")
	}
	columns := []table.Column{table.Of("SESSION", 0, 0), table.Of("FROM", 12, 0), table.Of("TO", 12, 0), table.Of("AT", 0, 2), table.Of("DELIVERY", 0, 1), table.Of("STALL", 0, 0)}
	var rows [][]string
	for _, raw := range o.Streams {
		var r control.StreamResult
		if err := json.Unmarshal(raw, &r); err != nil {
			r.Reason = "not a result: " + err.Error()
		}
		if !r.OK {
			status = exitFailed
			e.complain("%s did not move to %s: %s", display.Line(r.ID), to, display.Line(r.Reason))
		} else if m := r.Migration; m != nil {
			rows = append(rows, []string{
				r.ID, end(m.From), end(m.To), display.Size(m.Offset), m.Delivery, fmt.Sprintf("%.1f ms", m.StallMS),
			})
		} else {
			rows = append(rows, []string{r.ID, "", to, "", "", ""})
		}
	}
	if asJSON {
		text, err := json.Marshal(o)
		if err != nil {
			e.complain("migrate: %v", err)
			return exitFailed
		}
		return e.data(text, status)
	}
	if len(rows) == 0 {
		return status
	}
	var b bytes.Buffer
	table.Write(&b, columns, rows, table.Width(os.Stdout))
	return e.flush(b.Bytes(), status)
}

func end(e control.End) string { return e.Interface + " " + e.Server }

// midstreamctl migrate: moves sessions to another interface.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/display"
)

const migrateHelp = `usage: midstreamctl migrate --to INTERFACE [--pid PID] [--session ID] [--timeout 10s] [--json]

Continues downloads over another interface, from another server where that is the
one there. Returns when each has moved or failed. A download that cannot be moved
goes on as it is. What is moved stays there until that network fails, or migrate or
use says otherwise. What the kernel routes into a tunnel is not taken out of it unless
the configuration says so (policy.leave_tunnel). Root moves those of all users.

  --to INTERFACE   the interface to move to, as "ip link" names it
  --pid PID        only those of this process
  --session ID     only this one, as midstreamctl sessions shows it
  --timeout TIME   how long each may take, such as 500ms, 10s, 2m
                   (default: timeout in the configuration's [migration])
  --json           print one JSON object: streams, and unanswered with each
                   process that gave no answer

Exit status: 0 all moved; 1 some did not, each with its reason; 2 wrong usage or
configuration; 3 nothing matched.
`

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

func migrate(e *environment, args []string) int {
	f := flag.NewFlagSet("migrate", flag.ContinueOnError)
	to := f.String("to", "", "")
	pid := f.Int("pid", 0, "")
	session := f.String("session", "", "")
	timeout := f.Duration("timeout", e.config.Migration.Timeout, "")
	asJSON := f.Bool("json", false, "")
	if !e.parse(f, args) {
		return exitUsage
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	wanted := *pid
	owner, isSession := sessionPID(*session)
	wrong := ""
	switch {
	case *to == "":
		wrong = "--to INTERFACE is missing"
	case !config.ValidInterfaceName(*to):
		wrong = fmt.Sprintf("--to: %q is no name for a network interface", *to)
	case given["pid"] && *pid <= 0:
		wrong = fmt.Sprintf("--pid: %d is no process id", *pid)
	case given["session"] && !isSession:
		wrong = fmt.Sprintf("--session: %q is no session; midstreamctl sessions lists them", *session)
	case *timeout < time.Millisecond || *timeout > control.MaxTimeoutMS*time.Millisecond:
		wrong = fmt.Sprintf("--timeout: %v is not between 1ms and %v", *timeout, control.MaxTimeoutMS*time.Millisecond)
	}
	if wrong != "" {
		e.complain("migrate: %s; see midstreamctl migrate --help", wrong)
		return exitUsage
	}
	all, err := processes()
	if err != nil {
		e.complain("migrate: %v", err)
		return exitFailed
	}
	var selected []process
	for _, p := range all {
		if (wanted == 0 || p.pid == wanted) && (!isSession || p.pid == owner) {
			selected = append(selected, p)
		}
	}
	params := control.MigrateParams{To: *to, Session: *session, TimeoutMS: timeout.Milliseconds()}
	o := outcome{[]json.RawMessage{}, []unanswered{}}
	for _, a := range askAll[struct{ Streams []json.RawMessage }](e.ctx, selected, *timeout+answerSlack, control.MethodMigrate, params) {
		if a.err != nil {
			o.Unanswered = append(o.Unanswered, unanswered{a.pid, a.err.Error()})
			e.complain("migrate process %d to %s: %v", a.pid, *to, a.err)
		}
		o.Streams = append(o.Streams, a.result.Streams...)
	}
	return e.report(o, *to, *asJSON)
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
	rows := [][]string{{"SESSION", "FROM", "TO", "AT", "DELIVERY", "STALL"}}
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
				r.ID, end(m.From), end(m.To), size(m.Offset), m.Delivery, fmt.Sprintf("%.1f ms", m.StallMS),
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
	if len(rows) == 1 {
		return status
	}
	var b bytes.Buffer
	table(&b, rows, terminalWidth(os.Stdout))
	return e.flush(b.Bytes(), status)
}

func end(e control.End) string { return e.Interface + " " + e.Server }

// sessionPID returns the process that a session's id, <pid>-<n>, belongs to.
func sessionPID(id string) (pid int, ok bool) {
	left, right, found := strings.Cut(id, "-")
	pid, err := strconv.Atoi(left)
	_, err2 := strconv.ParseUint(right, 10, 64)
	return pid, found && err == nil && err2 == nil && pid > 0
}

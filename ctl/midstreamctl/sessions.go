// midstreamctl sessions: lists what runs under Midstream.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/core/display"
	"midstream/ctl/client"
	"midstream/ctl/table"
	"midstream/ctl/unfollowed"
)

const sessionsLong = `Lists the HTTP exchanges of all programs that run under Midstream: this user's, for
root those of all users (unless MIDSTREAM_RUNTIME_DIR names a folder).
Below the table it says why those that cannot be moved cannot, and of each program that is
held, since when, why and for how long, and what it has received before: segments, packages. Connections that leave the host, of processes in
which nothing is followed, are listed as well: PID-fdN.

States: idle (connection kept open between two exchanges), active, migrating, done.`

func sessionsCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "sessions [--json|--wide]", Short: "list the downloads under Midstream", Long: sessionsLong}
	asJSON := jsonFlag(c, "one JSON array, sizes in octets, with the migrations of each")
	wide := c.Flags().Bool("wide", false, "the last objects that each process has received, and nothing shortened")
	return e.command(c, "0; 1 where a process did not answer; 2 wrong usage or configuration", func(*cobra.Command, []string) int {
		return sessions(e, *asJSON, *wide)
	})
}

func sessions(e *environment, asJSON, wide bool) int {
	all, err := client.Processes()
	if err != nil {
		e.complain("sessions: %v", err)
		return exitFailed
	}
	status := exitOK
	// What is printed as JSON is passed on as it came: a process may tell more than is known here.
	raw := []json.RawMessage{}
	var answered []client.Process
	for _, a := range client.AskAll[[]json.RawMessage](e.ctx, all, client.AnswerLimit, control.MethodSessions, nil) {
		if a.Err != nil {
			e.complain("sessions of process %d: %v", a.PID, a.Err)
			status = exitFailed
			continue
		}
		answered = append(answered, a.Process)
		raw = append(raw, a.Result...)
	}
	for _, s := range unfollowed.Connections(all) {
		text, err := json.Marshal(s)
		if err != nil {
			e.complain("sessions: %v", err)
			continue
		}
		raw = append(raw, text)
	}
	if asJSON {
		text, err := json.Marshal(raw)
		if err != nil {
			e.complain("sessions: %v", err)
			return exitFailed
		}
		return e.data(text, status)
	}
	for _, w := range e.versionsOf(answered) {
		e.complain("%s", w)
	}
	list := make([]control.Session, len(raw))
	for i := range raw {
		if err := json.Unmarshal(raw[i], &list[i]); err != nil {
			e.complain("sessions: not a session: %v", err)
			status = exitFailed
		}
	}
	width := table.Width(os.Stdout)
	if wide {
		width = 0
	}
	return e.flush(slices.Concat(sessionTable(list, width), client.Playing(list), client.Objects(list, wide)), status)
}

// sessionTable writes the sessions for people; width 0 means that nothing is shortened.
func sessionTable(list []control.Session, width int) []byte {
	if len(list) == 0 {
		return []byte("no sessions\n")
	}
	columns := []table.Column{
		table.Of("SESSION", 0, 0), table.Of("FD", 0, 5), table.Of("COMMAND", 8, 0), table.Of("STATE", 0, 0), table.Of("INTERFACE", 0, 0), table.Of("SERVER", 0, 4), table.Of("RECEIVED", 12, 0),
		table.Of("MOVED", 0, 3), table.Of("MOVABLE", 0, 2), table.Of("URL", 12, 0),
	}
	command := math.MaxInt
	if width == 0 {
		command = 20
	}
	var rows [][]string
	for _, s := range list {
		movable := "yes"
		if !s.Movable {
			movable = "no"
		}
		rows = append(rows, []string{
			s.ID, strconv.Itoa(s.FD), display.Shorten(display.Line(s.Command), command), s.State, s.Interface, s.Server,
			progress(s.Received, s.Length), strconv.Itoa(len(s.Migrations)) + "×", movable, display.Line(s.URL),
		})
	}
	var b bytes.Buffer
	table.Write(&b, columns, rows, width)
	for _, s := range list {
		switch {
		case s.Held != nil:
			fmt.Fprintf(&b, "%s %s\n", display.Line(s.ID), display.Line(client.Held(s.Held, s.Kept, time.Now())))
			fmt.Fprintf(&b, "  to end that now: midstreamctl release %s\n", display.Line(s.ID))
		case s.Kept:
			fmt.Fprintf(&b, "%s %s\n", display.Line(s.ID), client.Kept)
		}
		for _, p := range s.Paths {
			fmt.Fprintf(&b, "%s is fed over %s\n", display.Line(s.ID), display.Line(pathLine(p)))
		}
		switch {
		case s.Why == "":
		case s.Movable:
			fmt.Fprintf(&b, "%s can be moved %s\n", display.Line(s.ID), display.Line(s.Why))
		default:
			fmt.Fprintf(&b, "%s cannot be moved: %s\n", display.Line(s.ID), display.Line(s.Why))
		}
	}
	return b.Bytes()
}

// progress writes received and length as people read them.
func progress(received int64, length *int64) string {
	if length == nil {
		return display.Size(received)
	}
	s := display.Size(received) + " of " + display.Size(*length)
	if *length > 0 {
		s += fmt.Sprintf(" (%d%%)", int(100*(float64(received)/float64(*length))))
	}
	return s
}

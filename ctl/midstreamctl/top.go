// midstreamctl top: a living picture of networks and downloads in the terminal, with keys that move them.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"midstream/core/control"
	"midstream/ctl/client"
	"midstream/ctl/table"
	"midstream/ctl/top"
)

const topLong = `Shows each network's rate as a curve and each download as a bar, with what came over which
network, what it waits for and how long it has stalled. Keys move the download that is
chosen (m), have all downloads use one network (u) or the best again (a), hold it where it
is and its program, for as long as it takes (h), and release it (r). Up and down choose, q
ends.

With --plain, or where the output is no terminal, it says in sentences what changes: for
screen readers. NO_COLOR leaves colours out.`

func topCommand(e *environment) *cobra.Command {
	c := &cobra.Command{Use: "top [--plain] [--once]", Short: "a living picture of networks and downloads", Long: topLong}
	plain := c.Flags().Bool("plain", false, "sentences instead of a picture")
	once := c.Flags().Bool("once", false, "say how things are, and end")
	return e.command(c, "0; 1 where the terminal cannot show it; 2 wrong usage or configuration", func(*cobra.Command, []string) int {
		t := top.New(e.ctx, keys{e})
		status := exitOK
		if *plain || *once || table.Width(os.Stdout) == 0 {
			t.InWords(*once, func(sentence string) bool {
				status = e.say(exitOK, "%s", sentence)
				return status == exitOK
			})
		} else if err := t.InPictures(); err != nil {
			e.complain("top: %v; with --plain it needs no such terminal", err)
			status = exitFailed
		}
		return status
	})
}

// keys does what the commands of the same names do, and says what came of it.
type keys struct{ *environment }

func (k keys) Move(session, to string) string {
	owner, _ := client.SessionPID(session)
	all, err := client.Processes()
	if err != nil {
		return err.Error()
	}
	all = slices.DeleteFunc(all, func(p client.Process) bool { return p.PID != owner })
	limit := k.config.Migration.Timeout
	for _, a := range client.AskAll[control.MigrateResult](k.ctx, all, limit+answerSlack, control.MethodMigrate, control.MigrateParams{To: to, Session: session}) {
		switch {
		case a.Err != nil:
			return a.Err.Error()
		case len(a.Result.Streams) != 1:
		case !a.Result.Streams[0].OK:
			return session + " did not move: " + a.Result.Streams[0].Reason
		case a.Result.Streams[0].Migration != nil:
			return fmt.Sprintf("%s moved to %s; stall %.1f ms", session, to, a.Result.Streams[0].Migration.StallMS)
		}
	}
	return "nothing matched"
}

func (k keys) Use(to string) string {
	return k.silently("done", func(e *environment) int { return use(e, useCommand(e), []string{to}, 0, false, false) })
}

func (k keys) Hold(session string) string { return k.holding(holds, session) }

func (k keys) Release(session string) string { return k.holding(releases, session) }

func (k keys) holding(h holding, session string) string {
	return k.silently(h.done, func(e *environment) int { return h.run(e, []string{session}, 0, false) })
}

// silently runs a command, and returns the last of what it says.
func (k keys) silently(otherwise string, run func(*environment) int) string {
	var said lastLine
	scoped := *k.environment
	scoped.out, scoped.err = &said, &said
	run(&scoped)
	if said == "" {
		return otherwise
	}
	return string(said)
}

// lastLine keeps the last line that was written.
type lastLine string

func (l *lastLine) Write(p []byte) (int, error) {
	lines := strings.Split(strings.TrimSpace(string(p)), "\n")
	*l = lastLine(strings.TrimPrefix(lines[len(lines)-1], "midstreamctl: "))
	return len(p), nil
}

// midstreamctl use: from now on one interface is used, or the best again.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/manager"
)

const useHelp = `usage: midstreamctl use INTERFACE|auto [--pid PID] [--host] [--json]

From now on that interface is used, by the downloads there are and by the connections
that programs make: those are bound before they are made, unless the program has bound
them itself or the server is on a network of the host's own. While the interface is
gone, others are used. What the kernel routes into a tunnel stays there, unless the
configuration says otherwise (policy.leave_tunnel). It holds until "use auto", also for programs started later.

  --pid PID   only for this process, until it ends; auto then means that it does
              not follow what holds for all
  --host      for all users of the host; only as root
  --json      print one JSON object, as migrate does

Returns when each download has moved or failed. Exit status: 0 all moved, or nothing to
move; 1 some did not, each with its reason; 2 wrong usage or configuration; 3 there is
no such process.
`

// split takes the words that are no options out of args, wherever they stand; options in valued take a value.
func split(args []string, valued ...string) (words, options []string) {
	takes := map[string]bool{}
	for _, name := range valued {
		takes["--"+name], takes["-"+name] = true, true
	}
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return append(words, args[i+1:]...), options
		case strings.HasPrefix(args[i], "-") && args[i] != "-":
			options = append(options, args[i])
			if takes[args[i]] && i+1 < len(args) {
				i++
				options = append(options, args[i])
			}
		default:
			words = append(words, args[i])
		}
	}
	return words, options
}

func use(e *environment, args []string) int {
	words, options := split(args, "pid")
	f := flag.NewFlagSet("use", flag.ContinueOnError)
	pid := f.Int("pid", 0, "")
	host := f.Bool("host", false, "")
	asJSON := f.Bool("json", false, "")
	if !e.parse(f, options) {
		return exitUsage
	}
	wrong := ""
	switch {
	case len(words) != 1:
		wrong = "name one interface, or auto"
	case words[0] != manager.Auto && !config.ValidInterfaceName(words[0]):
		wrong = fmt.Sprintf("%q is no name for a network interface", words[0])
	case *pid < 0 || *pid != 0 && *host:
		wrong = "--pid takes a process id, and not --host"
	}
	if wrong != "" {
		e.complain("use: %s; see midstreamctl use --help", wrong)
		return exitUsage
	}
	name := words[0]
	if name != manager.Auto {
		if err := e.known(name); err != nil {
			e.complain("use: %v", err)
			return exitFailed
		}
	}
	all, err := processes()
	if err != nil {
		e.complain("use: %v", err)
		return exitFailed
	}
	params := control.UseParams{}
	if !*host && *pid == 0 {
		all = ownOnly(all) // others do not follow this user's directives
	}
	if *pid > 0 {
		params = control.UseParams{Interface: name, PID: *pid}
		var one []process
		for _, p := range all {
			if p.pid == *pid {
				one = append(one, p)
			}
		}
		if all = one; len(all) == 0 {
			e.complain("use: process %d has no downloads under Midstream", *pid)
			return exitNone
		}
	} else {
		store, err := e.store(*host)
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
	for _, a := range askAll[struct{ Streams []json.RawMessage }](e.ctx, all, e.config.Migration.Timeout+answerSlack, control.MethodUse, params) {
		if a.err != nil {
			o.Unanswered = append(o.Unanswered, unanswered{a.pid, a.err.Error()})
			e.complain("process %d: %v", a.pid, a.err)
		}
		o.Streams = append(o.Streams, a.result.Streams...)
	}
	if len(o.Streams)+len(o.Unanswered) == 0 {
		if *asJSON {
			return e.flush([]byte("{\"streams\":[],\"unanswered\":[]}\n"), exitOK)
		}
		return exitOK
	}
	return e.report(o, name, *asJSON)
}

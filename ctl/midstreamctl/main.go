// Midstreamctl lists, moves and watches the downloads of programs that run under Midstream.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"midstream/core/config"
	"midstream/core/display"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // some did not do what was asked
	exitUsage  = 2 // wrong usage or configuration
	exitNone   = 3 // nothing matched
)

const usage = `usage: midstreamctl COMMAND [OPTION…]

Commands:
  sessions [--json]         list the downloads under Midstream
  migrate --to INTERFACE [--pid PID] [--session ID] [--timeout 10s] [--json]
                            continue them over another interface
  watch [--json]            print what happens to them, until interrupted
  interfaces [--json]       list the network interfaces, and how they are ranked
  use INTERFACE|auto [--pid PID]
                            from now on that one, or the best again
  hint INTERFACE KEY=VALUE… [--expire 60s]
                            tell what the interface manager cannot find out
  when 'CONDITION' use INTERFACE [--once] [--expire 2h]
                            leave a conditional trigger
  config [--json]           check and print the configuration, without passwords

midstreamctl COMMAND --help tells more of each.

Exit status: 0 all done; 1 some of it failed, with the reason on standard error;
2 wrong usage or configuration; 3 migrate found nothing to move.

Environment: MIDSTREAM_CONFIG names the configuration file, MIDSTREAM_RUNTIME_DIR
the folder of the control sockets. Both must be as for the programs.
`

// command is one of midstreamctl's. It gets what follows its name and returns an exit status.
type command struct {
	help string
	run  func(env *environment, args []string) int
}

var commands = map[string]command{
	"sessions": {sessionsHelp, sessions},
	"migrate":  {migrateHelp, migrate},
	"watch":    {watchHelp, watch},
	"config":   {configHelp, showConfig},

	"interfaces": {interfacesHelp, interfaces},
	"use":        {useHelp, use},
	"hint":       {hintHelp, hint},
	"when":       {whenHelp, when},
}

// environment is what every command works with.
type environment struct {
	ctx      context.Context // ends with SIGINT, SIGTERM, SIGHUP
	out, err io.Writer
	config   *config.Config
}

func (e *environment) complain(format string, args ...any) {
	fmt.Fprintln(e.err, "midstreamctl: "+display.Line(fmt.Sprintf(format, args...)))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := run(&environment{ctx: ctx, out: os.Stdout, err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(status)
}

func run(e *environment, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(e.err, usage)
		return exitUsage
	}
	switch args[0] {
	case "--help", "-h", "help":
		fmt.Fprint(e.out, usage)
		return exitOK
	}
	c, ok := commands[args[0]]
	if !ok {
		e.complain("there is no command %q; midstreamctl --help lists them", args[0])
		return exitUsage
	}
	for _, arg := range args[1:] {
		if arg == "--" {
			break
		}
		if arg == "--help" || arg == "-h" || arg == "-help" {
			fmt.Fprint(e.out, c.help)
			return exitOK
		}
	}
	var err error
	if e.config, err = config.Load(config.Find()); err != nil {
		e.complain("%v", err)
		return exitUsage
	}
	return c.run(e, args[1:])
}

// parse reads a command's options, and says what is wrong with them.
func (e *environment) parse(f *flag.FlagSet, args []string) bool {
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err != nil {
		// The flag package writes options with one hyphen.
		text := strings.NewReplacer("defined: -", "defined: --", "argument: -", "argument: --", "flag -", "--").Replace(err.Error())
		e.complain("%s: %s; see midstreamctl %[1]s --help", f.Name(), text)
	}
	return err == nil
}

// data writes one JSON text, a line, with nothing in it that a terminal obeys.
func (e *environment) data(text []byte, status int) int {
	return e.flush(append(display.JSON(text), '\n'), status)
}

// flush writes what a command has to say; a reader that has gone away is not worth a word.
func (e *environment) flush(text []byte, status int) int {
	if _, err := e.out.Write(text); err != nil {
		if !errors.Is(err, syscall.EPIPE) {
			e.complain("write the result: %v", err)
		}
		return exitFailed
	}
	return status
}

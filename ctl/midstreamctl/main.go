// Midstreamctl lists, moves and watches the downloads of programs that run under Midstream.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"midstream/core/config"
	"midstream/core/display"
	"midstream/ctl/command"
)

// The exit statuses.
const (
	exitOK     = command.OK
	exitFailed = command.Failed // some did not do what was asked
	exitUsage  = command.Usage  // wrong usage or configuration
	exitNone   = 3              // nothing matched
)

const about = `Shows, moves and watches the downloads of programs that were started under
Midstream, and tells the interface manager what it cannot find out by itself.

The configuration is $MIDSTREAM_CONFIG, else $XDG_CONFIG_HOME/midstream/config.toml,
else /etc/midstream/config.toml, else none. MIDSTREAM_RUNTIME_DIR names the folder of
the control sockets. Both must be as for the programs.`

// commands are midstreamctl's, in the order in which they are listed.
var commands = []func(*environment) *cobra.Command{
	sessionsCommand, migrateCommand, watchCommand, aggregateCommand, holdCommand, releaseCommand,
	interfacesCommand, useCommand, hintCommand, whenCommand, doctorCommand,
	topCommand, recordCommand, plotCommand,
	enableCommand, disableCommand, statusCommand,
	configCommand, completionCommand, pageCommand,
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

func run(e *environment, args []string) int { return command.Run(e.root(), args) }

// root is the tree of all commands.
func (e *environment) root() *cobra.Command {
	version := false
	root := &cobra.Command{
		Use: "midstreamctl COMMAND [OPTION…]", Short: "show, move and watch the downloads of programs under Midstream", Long: about,
		Annotations: map[string]string{command.Exits: "0 all done; 1 some of it failed, with the reason on standard error; 2 wrong usage or configuration; " +
			"3 nothing matched"},
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			text := fmt.Sprintf("there is no command %q", args[0])
			c.SuggestionsMinimumDistance = 2
			if like := c.SuggestionsFor(args[0]); len(like) > 0 {
				text += "; do you mean " + like[0] + "?"
			}
			return &command.Wrong{Command: c, Text: text}
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if version {
				return command.Done(e.versions())
			}
			fmt.Fprint(e.err, command.Help(c))
			return command.Status(exitUsage)
		},
	}
	command.Prepare(root, e.out, e.err)
	root.Flags().BoolVar(&version, "version", false, "print which version this is, and where another one runs or is installed")
	cobra.EnableCommandSorting = false
	for _, make := range commands {
		root.AddCommand(make(e))
	}
	return root
}

// command makes one that needs the configuration.
func (e *environment) command(c *cobra.Command, exits string, run func(c *cobra.Command, args []string) int) *cobra.Command {
	c.Annotations = map[string]string{command.Exits: exits}
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if e.config, err = config.Load(config.Find()); err != nil {
			e.complain("%v", err)
			return command.Status(exitUsage)
		}
		return command.Done(run(c, args))
	}
	if c.Args == nil {
		c.Args = command.NoArguments
	}
	return c
}

// wrong says what is wrong with how a command was called.
func (e *environment) wrong(c *cobra.Command, format string, args ...any) int {
	e.complain("%v", &command.Wrong{Command: c, Text: fmt.Sprintf(format, args...)})
	return exitUsage
}

// jsonFlag is what most have.
func jsonFlag(c *cobra.Command, what string) *bool {
	return c.Flags().Bool("json", false, "print "+what)
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

// say writes a sentence.
func (e *environment) say(status int, format string, args ...any) int {
	return e.flush([]byte(display.Line(fmt.Sprintf(format, args...))+"\n"), status)
}

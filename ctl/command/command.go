// Package command is what midstreamctl and midstreamd share of a command line: help for people, what is said of wrong usage, and
// manual pages, all from one tree of commands.
package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"midstream/core/display"
)

// The exit statuses that all commands have in common.
const (
	OK     = 0
	Failed = 1 // some of it was not done
	Usage  = 2 // wrong usage or configuration
)

// The annotations of a command that Help and Page read beside cobra's own fields.
const (
	Also  = "also"  // further lines of usage, without the program's name
	Exits = "exits" // the exit statuses, in one sentence
)

// Status is the error of a command that has said everything itself: what it exits with.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Done makes an error of an exit status: nil of OK.
func Done(status int) error {
	if status == OK {
		return nil
	}
	return Status(status)
}

// Wrong is an error that the usage has: it is told with a word on where the right one is shown.
type Wrong struct {
	Command *cobra.Command
	Text    string
}

func (w *Wrong) Error() string {
	path := w.Command.CommandPath()
	name := ""
	if w.Command.HasParent() {
		name = w.Command.Name() + ": "
	}
	return name + w.Text + "; see " + path + " --help"
}

// NoArguments refuses whatever is no option.
func NoArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &Wrong{c, fmt.Sprintf("unexpected argument %q", args[0])}
	}
	return nil
}

// Prepare gives the tree below root its help, and its errors to whoever calls Run.
func Prepare(root *cobra.Command, out, complaints io.Writer) {
	root.SetOut(out)
	root.SetErr(complaints)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Use: "help [COMMAND]", Hidden: true, Run: func(c *cobra.Command, args []string) {
		of, _, err := c.Root().Find(args)
		if err != nil || of == nil {
			of = c.Root()
		}
		fmt.Fprint(c.OutOrStdout(), Help(of))
	}})
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { fmt.Fprint(c.OutOrStdout(), Help(c)) })
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &Wrong{c, flagError(err)} })
	root.PersistentFlags().BoolP("help", "h", false, "print this")
	root.PersistentFlags().Lookup("help").Hidden = true
}

// flagError says what is wrong with an option.
func flagError(err error) string {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var bad *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			return fmt.Sprintf("there is no option -%s", short)
		}
		return "there is no option --" + name
	case errors.As(err, &bare):
		return fmt.Sprintf("--%s needs a value", bare.GetSpecifiedName())
	case errors.As(err, &bad):
		why := bad.Unwrap().Error()
		if strings.HasPrefix(why, "strconv.") {
			why = "that is no " + bad.GetFlag().Value.Type()
		}
		return fmt.Sprintf("--%s %s: %s", bad.GetFlag().Name, bad.GetValue(), why)
	}
	return err.Error()
}

// Run executes what args ask for. An error that nobody has told of yet goes to complaints, after the program's name.
func Run(root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.Execute()
	var status Status
	var wrong *Wrong
	switch {
	case err == nil:
		return OK
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &wrong):
		fmt.Fprintln(root.ErrOrStderr(), root.Name()+": "+display.Line(err.Error()))
		return Usage
	}
	fmt.Fprintln(root.ErrOrStderr(), root.Name()+": "+display.Line(err.Error()))
	return Failed
}

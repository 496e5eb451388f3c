// What --help prints: for people, in 80 columns, the same words as in the manual page.
package command

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// columns is what help fits into.
const columns = 80

// Help is the text of --help.
func Help(c *cobra.Command) string {
	var b strings.Builder
	usage := Usages(c)
	fmt.Fprintf(&b, "usage: %s\n", usage[0])
	for _, u := range usage[1:] {
		fmt.Fprintf(&b, "       %s\n", u)
	}
	if text := c.Long; text != "" {
		fmt.Fprintf(&b, "\n%s\n", fill(text))
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		widest := 0
		for _, s := range listed(c) {
			widest = max(widest, utf8.RuneCountInString(s.Name()))
		}
		for _, s := range listed(c) {
			entry(&b, s.Name(), s.Short, widest)
		}
		fmt.Fprintf(&b, "\n%s COMMAND --help tells more of each; %[1]s(1) has it all.\n", c.CommandPath())
	}
	if options := Options(c); len(options) > 0 {
		b.WriteString("\n")
		widest := 0
		for _, o := range options {
			if n := utf8.RuneCountInString(o.Name); n <= 20 {
				widest = max(widest, n)
			}
		}
		for _, o := range options {
			entry(&b, o.Name, o.Text, widest)
		}
	}
	if exits := c.Annotations[Exits]; exits != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(Wrap("Exit status: "+exits+".", columns), "\n"))
	}
	return b.String()
}

// listed are the subcommands that are shown.
func listed(c *cobra.Command) (all []*cobra.Command) {
	for _, s := range c.Commands() {
		if !s.Hidden && s.Name() != "help" {
			all = append(all, s)
		}
	}
	return all
}

// Usages are the lines of how a command is called.
func Usages(c *cobra.Command) []string {
	parent := ""
	if c.HasParent() {
		parent = c.Parent().CommandPath() + " "
	}
	all := []string{parent + c.Use}
	if also := c.Annotations[Also]; also != "" {
		for _, line := range strings.Split(also, "\n") {
			all = append(all, parent+line)
		}
	}
	return all
}

// Option is one as help and manual page show it.
type Option struct{ Name, Text string }

// Options are those of a command, --help left out.
func Options(c *cobra.Command) (all []Option) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if value != "" && f.Value.Type() != "bool" {
			name += " " + value
		}
		all = append(all, Option{name, text})
	})
	return all
}

// entry writes a name and what is said of it in a column beside, or below where the name is long.
func entry(b *strings.Builder, name, text string, widest int) {
	lines := Wrap(text, columns-widest-5)
	if utf8.RuneCountInString(name) > widest {
		fmt.Fprintf(b, "  %s\n", name)
		name = ""
	}
	for _, line := range lines {
		fmt.Fprintf(b, "  %s%s   %s\n", name, strings.Repeat(" ", widest-utf8.RuneCountInString(name)), line)
		name = ""
	}
}

// fill breaks the lines of a text anew; those that begin with blanks stay as they are.
func fill(text string) string {
	var out, words []string
	flush := func() {
		if len(words) > 0 {
			out = append(out, Wrap(strings.Join(words, " "), columns)...)
		}
		words = nil
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line == "" || line[0] == ' ' {
			flush()
			out = append(out, line)
		} else {
			words = append(words, line)
		}
	}
	flush()
	return strings.Join(out, "\n")
}

// Wrap breaks a text at blanks into lines of that many characters at most, where its words allow it.
func Wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// A manual page in mdoc(7) from a tree of commands.
package command

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// Page describes what a manual page has beside the commands.
type Page struct {
	Section int
	Date    string // of the last change to what it says: "November 30, 2026"
	// Further sections in mdoc, which belong before EXIT STATUS and after it.
	Before, After string
}

// Write returns the page of root and its commands.
func (p Page) Write(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".\\\" Made from the program's own help.\n.Dd %s\n.Dt %s %d\n.Os\n", p.Date, strings.ToUpper(root.Name()), p.Section)
	fmt.Fprintf(&b, ".Sh NAME\n.Nm %s\n.Nd %s\n.Sh SYNOPSIS\n", root.Name(), escape(root.Short))
	for _, c := range listed(root) {
		for _, u := range Usages(c) {
			synopsis(&b, u)
		}
	}
	if len(listed(root)) == 0 {
		synopsis(&b, root.Use)
	}
	b.WriteString(".Sh DESCRIPTION\n")
	text(&b, root.Long)
	options(&b, root)
	if len(listed(root)) > 0 {
		b.WriteString(".Sh COMMANDS\n")
	}
	for _, c := range listed(root) {
		fmt.Fprintf(&b, ".Ss %s\n", escape(c.Name()))
		for _, u := range Usages(c) {
			b.WriteString(".D1 " + escape(u) + "\n")
		}
		b.WriteString(".Pp\n")
		text(&b, c.Long)
		options(&b, c)
		if exits := c.Annotations[Exits]; exits != "" {
			b.WriteString(".Pp\n")
			text(&b, "Exit status: "+exits+".")
		}
	}
	b.WriteString(strings.TrimLeft(p.Before, "\n"))
	if exits := root.Annotations[Exits]; exits != "" {
		b.WriteString(".Sh EXIT STATUS\n")
		text(&b, sentence(exits))
	}
	b.WriteString(strings.TrimLeft(p.After, "\n"))
	return b.String()
}

func sentence(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r) + "."
}

// synopsis writes a line of usage: the name is the page's, what follows is as it stands.
func synopsis(b *strings.Builder, usage string) {
	name, rest, _ := strings.Cut(usage, " ")
	fmt.Fprintf(b, ".Nm %s\n", name)
	if rest != "" {
		fmt.Fprintf(b, "%s\n", escape(rest))
	}
}

func options(b *strings.Builder, c *cobra.Command) {
	all := Options(c)
	if len(all) == 0 {
		return
	}
	b.WriteString(".Bl -tag -width Ds\n")
	for _, o := range all {
		name, value, _ := strings.Cut(strings.TrimPrefix(o.Name, "-"), " ")
		fmt.Fprintf(b, ".It Fl %s", escape(name))
		if value != "" {
			fmt.Fprintf(b, " Ar %s", escape(value))
		}
		b.WriteString("\n")
		text(b, sentence(strings.TrimSuffix(o.Text, ".")))
	}
	b.WriteString(".El\n")
}

// text writes paragraphs; lines that begin with blanks stay as they are.
func text(b *strings.Builder, long string) {
	literal, first := false, true
	for _, paragraph := range strings.Split(strings.TrimSpace(long), "\n\n") {
		if !first && !literal {
			b.WriteString(".Pp\n")
		}
		for i, line := range strings.Split(paragraph, "\n") {
			asIs := strings.HasPrefix(line, "  ")
			switch {
			case asIs && !literal:
				if i == 0 && !first {
					trimEnd(b, ".Pp\n") // a display begins with an empty line itself
				}
				b.WriteString(".Bd -literal -offset indent\n")
			case !asIs && literal:
				b.WriteString(".Ed\n")
				if i == 0 {
					b.WriteString(".Pp\n")
				}
			}
			literal = asIs
			if asIs {
				b.WriteString(escape(strings.TrimPrefix(line, "  ")) + "\n")
			} else {
				sentences(b, line)
			}
		}
		first = false
	}
	if literal {
		b.WriteString(".Ed\n")
	}
}

// sentences writes a line; each sentence begins one of its own, as mdoc wants it.
func sentences(b *strings.Builder, line string) {
	for {
		at := -1
		for _, end := range []string{". ", "? "} {
			if i := strings.Index(line, end); i >= 0 && (at < 0 || i < at) && i+2 < len(line) && unicode.IsUpper(rune(line[i+2])) {
				at = i
			}
		}
		if at < 0 {
			break
		}
		for _, part := range Wrap(line[:at+1], columns-10) {
			b.WriteString(escape(part) + "\n")
		}
		line = line[at+2:]
	}
	for _, part := range Wrap(line, columns-10) {
		b.WriteString(escape(part) + "\n")
	}
}

func trimEnd(b *strings.Builder, end string) {
	if s := b.String(); strings.HasSuffix(s, end) {
		b.Reset()
		b.WriteString(strings.TrimSuffix(s, end))
	}
}

// escape keeps roff(7) from reading anything in a text.
func escape(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = strings.NewReplacer("…", `\&...`, "–", `\(en`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, `\(aq`) {
		s = `\&` + s
	}
	return s
}

// A manual page from a text of the documentation, so that there is one text: paragraphs, one table, examples.
package command

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	code = regexp.MustCompile("`([^`]+)`")
	link = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)
)

// FromMarkdown returns a page of section 5 from a text whose first table describes keys: key, default, meaning.
func FromMarkdown(name, about, date, markdown string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".\\\" Made from docs/configuration.md.\n.Dd %s\n.Dt %s 5\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n.Sh DESCRIPTION\n",
		date, strings.ToUpper(name), name, about)
	first := true
	for _, part := range strings.Split(strings.TrimSpace(markdown), "\n\n") {
		switch {
		case strings.HasPrefix(part, "# "):
			continue
		case strings.HasPrefix(part, "#"):
			fmt.Fprintf(&b, ".Ss %s\n", escape(strings.TrimLeft(part, "# ")))
			first = true
			continue
		case strings.HasPrefix(part, "|"):
			table(&b, part)
		case strings.HasPrefix(part, "    "):
			b.WriteString(".Bd -literal -offset indent\n")
			for _, line := range strings.Split(part, "\n") {
				b.WriteString(escape(strings.TrimPrefix(line, "    ")) + "\n")
			}
			b.WriteString(".Ed\n")
		default:
			if !first {
				b.WriteString(".Pp\n")
			}
			prose(&b, part)
		}
		first = false
	}
	b.WriteString(".Sh SEE ALSO\n.Xr midstream 1 ,\n.Xr midstreamctl 1 ,\n.Xr midstream 7 ,\n.Xr midstreamd 8\n")
	return b.String()
}

// table writes the keys, each with its meaning and default.
func table(b *strings.Builder, markdown string) {
	b.WriteString(".Bl -tag -width Ds\n")
	for i, row := range strings.Split(markdown, "\n") {
		cells := strings.Split(strings.Trim(row, "|"), " | ")
		if i < 2 || len(cells) < 3 {
			continue // the head
		}
		fmt.Fprintf(b, ".It %s\n", escape(plain(strings.TrimSpace(cells[0]))))
		if is := strings.TrimSpace(cells[1]); is != "" && is != "none" {
			prose(b, "By default "+is+".")
		}
		prose(b, sentence(strings.TrimSuffix(strings.TrimSpace(strings.Join(cells[2:], " | ")), ".")))
	}
	b.WriteString(".El\n")
}

// plain leaves out the marks of code and links.
func plain(text string) string {
	return link.ReplaceAllString(code.ReplaceAllString(text, "$1"), "$1")
}

// prose writes a paragraph; code is set in the font of literals.
func prose(b *strings.Builder, text string) {
	text = link.ReplaceAllString(strings.Join(strings.Fields(text), " "), "$1 ($2)")
	// Blanks in code are not to be broken at, and the marks survive the escaping.
	text = code.ReplaceAllStringFunc(text, func(c string) string {
		return "\x01" + strings.ReplaceAll(strings.Trim(c, "`"), " ", "\x03") + "\x02"
	})
	var lines strings.Builder
	sentences(&lines, text)
	b.WriteString(strings.NewReplacer("\x01", `\fB`, "\x02", `\fP`, "\x03", " ").Replace(lines.String()))
}

// Package doctor looks at the host for what stands in the way of moving downloads, and says what to type: networks.go at interfaces and
// their routes, programs.go at programs.
package doctor

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"midstream/core/display"
	"midstream/ctl/command"
)

// The weights of a finding.
const (
	Fine    = "ok"
	Note    = "note"    // worth knowing
	Problem = "problem" // keeps downloads from being moved, or may
)

// Finding is one thing that doctor has looked at.
type Finding struct {
	Weight string   `json:"weight"`
	About  string   `json:"about"`
	Text   string   `json:"text"`
	Do     []string `json:"do"` // lines to type, or to write into a file that the first names
}

// Findings are collected in the order in which they are told.
type Findings []Finding

func (f *Findings) Add(weight, about, text string, do ...string) {
	*f = append(*f, Finding{weight, about, text, append([]string{}, do...)})
}

// Text writes them for people: one a paragraph, what is to be typed on lines of its own.
func (f Findings) Text(width int) []byte {
	if width <= 0 || width > 100 {
		width = 100
	}
	about := 0
	for _, one := range f {
		about = max(about, min(utf8.RuneCountInString(one.About), 16))
	}
	var b bytes.Buffer
	problems := 0
	for _, one := range f {
		if one.Weight == Problem {
			problems++
		}
		head := fmt.Sprintf("%-7s  %-*s  ", one.Weight, about, display.Line(one.About))
		indent := strings.Repeat(" ", 7+2+about+2)
		for i, line := range command.Wrap(display.Line(one.Text), max(width-len(indent), 30)) {
			if i > 0 {
				head = indent
			}
			fmt.Fprintf(&b, "%s%s\n", head, line)
		}
		for _, line := range one.Do {
			fmt.Fprintf(&b, "%s    %s\n", indent, display.Line(line))
		}
	}
	switch problems {
	case 0:
		fmt.Fprintln(&b, "No problem has been found.")
	case 1:
		fmt.Fprintln(&b, "One problem has been found.")
	default:
		fmt.Fprintf(&b, "%d problems have been found.\n", problems)
	}
	return b.Bytes()
}

// ClosedToOthers returns the first folder on the way to a file that other users may not enter, "" if there is none.
func ClosedToOthers(file string) string {
	for i, c := range file {
		if path := file[:i]; c == '/' && i > 0 {
			if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o001 == 0 {
				return path
			}
		}
	}
	return ""
}

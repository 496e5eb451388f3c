// Package table writes aligned columns for people, of which nothing is obeyed by a terminal.
package table

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"midstream/core/display"
)

// Width returns how many columns the terminal at f has, 0 where it is none.
func Width(f *os.File) int {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(ws.Col)
}

// Column is one of a table.
type Column struct {
	name  string
	least int // characters that it may be shortened to in a narrow terminal, 0: it is never
	drop  int // what is left out first where all do not fit, 0: never
}

// Of makes a column: its name, how far it may be shortened, 0 for not at all, and which is left out first, 0 for never.
func Of(name string, least, drop int) Column { return Column{name, least, drop} }

// gap is between two columns.
const gap = 2

// Write writes rows in columns, of which nothing is obeyed by a terminal. Where width is not 0, columns are left out and shortened
// so that lines fit it; what is told most by its ends, a URL, a command, loses its middle.
func Write(w io.Writer, columns []Column, rows [][]string, width int) {
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.name
	}
	rows = append([][]string{heads}, rows...)
	widest := make([]int, len(columns))
	for _, row := range rows {
		for i := range row {
			row[i] = display.Line(row[i])
			widest[i] = max(widest[i], utf8.RuneCountInString(row[i]))
		}
	}
	shown := fit(columns, widest, width)
	t := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	for _, row := range rows {
		var cells []string
		for i := range row {
			if shown[i] > 0 {
				cells = append(cells, display.Shorten(row[i], shown[i]))
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush()
}

// fit says how wide each column is shown, 0: not at all.
func fit(columns []Column, widest []int, width int) []int {
	shown := slices.Clone(widest)
	for i := range shown {
		shown[i] = max(shown[i], 1)
	}
	if width <= 0 {
		return shown
	}
	total := func(of []int) (n int) {
		for _, w := range of {
			if w > 0 {
				n += w + gap
			}
		}
		return n - gap
	}
	// Without the least important ones, until the others fit when they are shortened.
	for {
		short := slices.Clone(shown)
		out := -1
		for i, c := range columns {
			if short[i] > 0 && c.least > 0 {
				short[i] = min(short[i], c.least)
			}
			if shown[i] > 0 && c.drop > 0 && (out < 0 || c.drop > columns[out].drop) {
				out = i
			}
		}
		if total(short) <= width || out < 0 {
			break
		}
		shown[out] = 0
	}
	// From the widest of those that can be shortened.
	for total(shown) > width {
		at := -1
		for i, c := range columns {
			if c.least > 0 && shown[i] > c.least && (at < 0 || shown[i] > shown[at]) {
				at = i
			}
		}
		if at < 0 {
			break
		}
		shown[at]--
	}
	return shown
}

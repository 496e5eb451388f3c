// How things are written for people: aligned columns, short numbers, nothing that a terminal obeys.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"midstream/core/display"
)

// minLastColumn is what the last column keeps in a terminal too narrow for the others.
const minLastColumn = 20

// terminalWidth returns how many columns the terminal at f has, 0 where it is none.
func terminalWidth(f *os.File) int {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(ws.Col)
}

// table writes rows in columns, of which nothing is obeyed by a terminal; the last one is shortened so that lines fit width, if that is not 0.
func table(w io.Writer, rows [][]string, width int) {
	for _, row := range rows {
		for column := range row {
			row[column] = display.Line(row[column])
		}
	}
	if width > 0 {
		last := len(rows[0]) - 1
		room := width - 1
		for column := range last {
			widest := 0
			for _, row := range rows {
				widest = max(widest, utf8.RuneCountInString(row[column]))
			}
			room -= widest + 2
		}
		for _, row := range rows {
			row[last] = display.Shorten(row[last], max(room, minLastColumn))
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
}

// size writes octets in decimal units.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	i := -1
	// 999 950 would be written as 1000.0 kB.
	for f >= 999.95 && i < len(units)-1 {
		f /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

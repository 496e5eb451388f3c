// The table as docs/programs.md has it, of several releases: what stands before the table there is written by hand, the rest here.

package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// document is such a table, with whatever stands before it.
type document struct {
	before   string
	releases []string // sorted
	rows     []*documentRow
}

type documentRow struct {
	name  string
	cells map[string]map[string]cell // by release and scheme
}

// set enters what became of a program; rows stand in the order of the list.
func (d *document) set(name, release, scheme string, c cell) {
	if at, known := slices.BinarySearch(d.releases, release); !known {
		d.releases = slices.Insert(d.releases, at, release)
	}
	at := slices.IndexFunc(d.rows, func(r *documentRow) bool { return r.name == name })
	if at < 0 {
		at = len(d.rows)
		d.rows = append(d.rows, &documentRow{name, map[string]map[string]cell{}})
	}
	cells := d.rows[at].cells
	if cells[release] == nil {
		cells[release] = map[string]cell{}
	}
	cells[release][scheme] = c
	place := func(r *documentRow) int {
		return slices.IndexFunc(programs, func(p program) bool { return p.name == r.name })
	}
	slices.SortStableFunc(d.rows, func(a, b *documentRow) int { return place(a) - place(b) })
}

// reasons are all that are given, each once, as they come.
func (d *document) reasons() (all []string) {
	for _, r := range d.rows {
		for _, release := range d.releases {
			for _, scheme := range schemes {
				if why := r.cells[release][scheme].Why; why != "" && !slices.Contains(all, why) {
					all = append(all, why)
				}
			}
		}
	}
	return all
}

// table is the table, with the numbers of reasons, and those below it.
func (d *document) table() string {
	var b strings.Builder
	b.WriteString("| program |")
	for _, release := range d.releases {
		fmt.Fprintf(&b, " %s: http | https |", release)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- | --- |", len(d.releases)) + "\n")
	reasons := d.reasons()
	for _, r := range d.rows {
		b.WriteString("| " + r.name + " |")
		for _, release := range d.releases {
			for _, scheme := range schemes {
				c := r.cells[release][scheme]
				text := c.Marks
				if c.Why != "" {
					text += fmt.Sprintf(" (%d)", slices.Index(reasons, c.Why)+1)
				}
				b.WriteString(" " + text + " |")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, why := range reasons {
		fmt.Fprintf(&b, "%d. %s\n", i+1, why)
	}
	return b.String()
}

// summary counts, for each release and scheme.
func (d *document) summary() string {
	var b strings.Builder
	for _, release := range d.releases {
		for _, scheme := range schemes {
			all, moved, passed := 0, 0, 0
			for _, r := range d.rows {
				if marks := strings.Fields(r.cells[release][scheme].Marks); len(marks) == 3 {
					all++
					if marks[1] == "y" {
						moved++
					}
					if marks[2] == "y" {
						passed++
					}
				}
			}
			fmt.Fprintf(&b, "* %s, %s: of %d programs %d moved, and %d went on when their server was killed\n", release, scheme, all, moved, passed)
		}
	}
	return b.String()
}

// differences are what another table has for a release that this one has not, and the other way round for the programs of both.
func (d *document) differences(other *document, release string) (lines []string) {
	for _, r := range other.rows {
		at := slices.IndexFunc(d.rows, func(old *documentRow) bool { return old.name == r.name })
		for _, scheme := range schemes {
			var old cell
			if at >= 0 {
				old = d.rows[at].cells[release][scheme]
			}
			if now := r.cells[release][scheme]; now != old {
				lines = append(lines, fmt.Sprintf("%s has of %s over %s: %q, %q; found: %q, %q", documentFile, r.name, scheme, old.Marks, old.Why, now.Marks, now.Why))
			}
		}
	}
	return lines
}

func (d *document) write(path string) error {
	return os.WriteFile(path, []byte(d.before+d.table()+"\n"+d.summary()), 0o644)
}

var cellPattern = regexp.MustCompile(`^(.*?)(?: \(([0-9]+)\))?$`)

// readDocument reads what write has written.
func readDocument(path string) (*document, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := &document{}
	at := strings.Index(string(text), "| program |")
	if at < 0 {
		return nil, fmt.Errorf("%s: no table of programs", path)
	}
	lines := strings.Split(string(text[at:]), "\n")
	var reasons []string
	for _, line := range lines {
		if number, why, found := strings.Cut(line, ". "); found && number == strconv.Itoa(len(reasons)+1) {
			reasons = append(reasons, why)
		}
	}
	split := func(line string) (fields []string) {
		for _, field := range strings.Split(strings.Trim(line, "|"), "|") {
			fields = append(fields, strings.TrimSpace(field))
		}
		return fields
	}
	head := split(lines[0])
	for _, line := range lines[2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		fields := split(line)
		if len(fields) != len(head) {
			return nil, fmt.Errorf("%s: %d fields where the table has %d: %s", path, len(fields), len(head), line)
		}
		for i := 1; i < len(head); i++ {
			release, scheme := strings.TrimSuffix(head[(i-1)/2*2+1], ": http"), schemes[(i-1)%2]
			part := cellPattern.FindStringSubmatch(fields[i])
			c := cell{Marks: part[1]}
			if part[2] != "" {
				number, _ := strconv.Atoi(part[2])
				if number < 1 || number > len(reasons) {
					return nil, fmt.Errorf("%s: no reason %d: %s", path, number, line)
				}
				c.Why = reasons[number-1]
			}
			if c != (cell{}) {
				d.set(fields[0], release, scheme, c)
			}
		}
	}
	d.before = string(text[:at])
	return d, nil
}

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Of each reason that programs are not moved for, a piece, and one of the row in docs/limits.md.
var grounds = map[string]string{
	"statically linked":                "statically linked and Go programs",
	"is a Go program":                  "statically linked and Go programs",
	"through stdio":                    "read through stdio",
	"only GET requests":                "requests other than GET",
	"that Midstream does not know":     "TLS by a library other than",
	"carries its TLS records itself":   "carries the records",
	"has another certificate, and the": "TLS, another certificate on the new server",
}

// What is written to the page takes nothing away that was written by hand.
func TestThePageIsWrittenAsItIs(t *testing.T) {
	is, err := os.ReadFile("../../" + documentFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := readDocument("../../" + documentFile)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "programs.md")
	if err := d.write(again); err != nil {
		t.Fatal(err)
	}
	if written, _ := os.ReadFile(again); string(written) != string(is) {
		t.Errorf("what stands behind the table, or between its notes, would be lost: it belongs before the table")
	}
}

// The page has a row for each program, and none for others; whatever was not moved has a reason, and that a row among the limits.
func TestThePageIsComplete(t *testing.T) {
	d, err := readDocument("../../" + documentFile)
	if err != nil {
		t.Fatal(err)
	}
	limits, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if !slices.ContainsFunc(d.rows, func(r *documentRow) bool { return r.name == p.name }) {
			t.Errorf("there is no row of %s: make programs PROGRAMS='-write -only ...'", p.name)
		}
	}
	for _, r := range d.rows {
		if !slices.ContainsFunc(programs, func(p program) bool { return p.name == r.name }) {
			t.Errorf("%s has a row, but is not tried", r.name)
		}
		for release, cells := range r.cells {
			for scheme, c := range cells {
				marks := strings.Fields(c.Marks)
				if c.Marks != "–" && (len(marks) != 3 || marks[0] != "y" || marks[1] == "N") {
					t.Errorf("%s, %s, %s: %s", r.name, release, scheme, c.Marks)
				} else if len(marks) == 3 && (marks[1] == "y") != (c.Why == "") {
					t.Errorf("%s, %s, %s: %s, for %q", r.name, release, scheme, c.Marks, c.Why)
				}
			}
		}
	}
	shown := map[string]bool{}
	for _, why := range d.reasons() {
		known := false
		for piece, row := range grounds {
			if strings.Contains(why, piece) {
				known, shown[piece] = true, true
				if !strings.Contains(string(limits), row) {
					t.Errorf("docs/limits.md has no row of %q", row)
				}
			}
		}
		if !known {
			t.Errorf("a reason that docs/limits.md does not explain: %s", why)
		}
	}
	for piece := range grounds {
		if !shown[piece] {
			t.Errorf("no program shows that it is not moved for this any more: %s", piece)
		}
	}
}

func TestDocumentIsReadAsItIsWritten(t *testing.T) {
	d := &document{before: "# Title\n\n1. a list\n\n"}
	d.set("wget", "Debian 13", "http", cell{"y y y", ""})
	d.set("curl", "Debian 12", "https", cell{"y n n", "for a reason"})
	d.set("curl", "Debian 12", "http", cell{"–", ""})
	path := t.TempDir() + "/page.md"
	if err := d.write(path); err != nil {
		t.Fatal(err)
	}
	read, err := readDocument(path)
	if err != nil {
		t.Fatal(err)
	}
	if read.before != d.before || read.table() != d.table() || read.rows[0].name != "curl" {
		t.Errorf("%s%s", read.before, read.table())
	}
	read.set("curl", "Debian 12", "https", cell{"y y y", ""})
	if lines := d.differences(read, "Debian 12"); len(lines) != 1 || !strings.Contains(lines[0], "curl over https") {
		t.Error(lines)
	}
}

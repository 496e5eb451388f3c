// The core's packages are as docs/architecture.md has them, which finds every file that it names; and no package has outgrown itself.
package core

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// most is how many lines a package, or a folder of the shim, may have without its tests.
const most = 3000

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// table is the packages of the page's table, row by row.
func table(t *testing.T) (rows [][]string) {
	_, section, found := strings.Cut(read(t, "../docs/architecture.md"), "\n## The core's packages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	names := regexp.MustCompile("`([a-z0-9]+)`")
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			var row []string
			for _, m := range names.FindAllStringSubmatch(cells[1], -1) {
				row = append(row, m[1])
			}
			if row != nil {
				rows = append(rows, row)
			}
		}
	}
	if !found || len(rows) < 10 {
		t.Fatalf("no table of packages: %v", rows)
	}
	return rows
}

// sources are a folder's files without its tests.
func sources(t *testing.T, folder string) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.go", "*.c", "*.h"} {
		all, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, all...)
	}
	return slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

func TestImportsLeadUpwards(t *testing.T) {
	rows := table(t)
	var seen []string
	for _, row := range rows {
		if slices.Contains(row, "config") {
			seen = append(seen, row...) // what a user says, which all use
		}
	}
	for _, row := range rows {
		seen = append(seen, row...)
		for _, name := range row {
			files := sources(t, name)
			if len(files) == 0 {
				t.Errorf("there is no package %s", name)
			}
			for _, path := range files {
				file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range file.Imports {
					imported, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "midstream/core/")
					if ours && !strings.HasPrefix(imported, "internal/") && !slices.Contains(seen, imported) {
						t.Errorf("%s imports %s, which stands below it in docs/architecture.md", path, imported)
					}
				}
			}
		}
	}
	folders, err := filepath.Glob("*/")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if name := filepath.Base(folder); name != "internal" && !slices.Contains(seen, name) {
			t.Errorf("docs/architecture.md does not name %s", name)
		}
	}
}

// Somebody who reads only the page finds the places.
func TestThePagesNameFilesThatAreThere(t *testing.T) {
	names := regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_]+)*/[a-z0-9_]+\\.(?:go|c|h|def|sh|md))`")
	for _, page := range []string{"../docs/architecture.md", "../docs/hacking.md"} {
		found := names.FindAllStringSubmatch(read(t, page), -1)
		if len(found) < 5 {
			t.Errorf("%s names no files", page)
		}
		for _, m := range found {
			if !slices.ContainsFunc([]string{"..", ".", "../shim"}, func(base string) bool {
				_, err := os.Stat(filepath.Join(base, m[1]))
				return err == nil
			}) {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
}

func TestNoPackageIsTooLarge(t *testing.T) {
	for _, root := range []string{".", "../shim", "../cgo", "../ctl"} {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			switch {
			case err != nil:
				t.Fatal(err)
			case !d.IsDir():
				return nil
			case d.Name() == "tests" || d.Name() == "testdata":
				return filepath.SkipDir
			}
			lines := 0
			for _, file := range sources(t, path) {
				lines += bytes.Count([]byte(read(t, file)), []byte("\n"))
			}
			if lines > most {
				t.Errorf("%s has %d lines without its tests, more than %d", path, lines, most)
			}
			return nil
		})
	}
}

package libraries

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The packages are of the version that the binaries say.
func TestPackagesHaveTheVersion(t *testing.T) {
	version, err := os.ReadFile("../../VERSION")
	if err != nil {
		t.Fatal(err)
	}
	changelog, err := os.ReadFile("../../debian/changelog")
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`^midstream \(([^)]*)\)`).FindSubmatch(changelog)
	if got == nil || string(got[1]) != strings.TrimSpace(string(version)) {
		t.Errorf("debian/changelog begins with %q, VERSION is %q", got, version)
	}
}

// What the documentation leads to is installed with it.
func TestLinksOfTheDocumentationLeadToWhatIsInstalled(t *testing.T) {
	list, err := os.ReadFile("../../package/files")
	if err != nil {
		t.Fatal(err)
	}
	to := map[string]string{} // in the documentation's folder, by the file here
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) == 3 && strings.HasPrefix(f[2], "DOC/") {
			to[f[1]] = strings.TrimPrefix(f[2], "DOC/")
		}
	}
	installed := map[string]bool{}
	for _, name := range to {
		installed[name] = true
	}
	link := regexp.MustCompile(`\]\(([^):#]+)[)#]|(?:src|srcset)="([^":]+)"`)
	links := 0
	for file, name := range to {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil || !strings.HasSuffix(file, ".md") {
			continue
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			links++
			if target := filepath.Join(filepath.Dir(name), string(m[1])+string(m[2])); !installed[target] {
				t.Errorf("%s leads to %s, which is not installed", file, target)
			}
		}
	}
	if links < 10 {
		t.Errorf("there are %d links", links)
	}
}

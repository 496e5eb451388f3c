package libraries

import (
	"os"
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

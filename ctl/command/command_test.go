package command

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The core is a guest in other people's processes: what makes commands stays out of it.
func TestTheCoreKnowsNothingOfCommands(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "midstream/cgo").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dependency := range strings.Fields(string(out)) {
		for _, bad := range []string{"spf13", "tcell", "midstream/ctl", "text/template"} {
			if strings.Contains(dependency, bad) {
				t.Errorf("the core depends on %s", dependency)
			}
		}
	}
	if !strings.Contains(string(out), "midstream/core/controller\n") {
		t.Error("this is not the core's list")
	}
}

// What roff would obey is shown as it is.
func TestPagesAreLiteral(t *testing.T) {
	c := &cobra.Command{Use: "x", Short: "s", Long: ".so /etc/passwd\nIt's one. Two-three.\n\n  \\fBas is\n\nEnd."}
	got := Page{Section: 1, Date: "d"}.Write(c)
	want := ".Sh DESCRIPTION\n\\&.so /etc/passwd\nIt\\(aqs one.\nTwo\\-three.\n.Bd -literal -offset indent\n\\efBas is\n.Ed\n.Pp\nEnd.\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("%q", got)
	}
	got = FromMarkdown("n", "a", "d", "# T\n\nSee `a b` and [x](y).\n\n| key | default | meaning |\n| --- | --- | --- |\n| `k` | `1` | counts |\n\n    .as is\n")
	want = "See \\fBa b\\fP and x (y).\n.Bl -tag -width Ds\n.It k\nBy default \\fB1\\fP.\nCounts.\n.El\n.Bd -literal -offset indent\n\\&.as is\n.Ed\n"
	if !strings.Contains(got, want) {
		t.Errorf("%q", got)
	}
}

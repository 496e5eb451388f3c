// The programs of testdata/programs, natively and under Midstream.

package transparency

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var flagsLine = regexp.MustCompile(`(?m)^/\* cflags: (.*) \*/$`)

// compile builds one program and returns the path of its executable.
func compile(t *testing.T, source string) string {
	t.Helper()
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(source), ".c"))
	arguments := []string{"-Wall", "-Wextra", "-Werror", "-pthread", "-o", program}
	if match := flagsLine.FindSubmatch(text); match != nil {
		arguments = append(arguments, strings.Fields(string(match[1]))...)
	}
	if output, err := exec.Command("cc", append(arguments, source)...).CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s", source, err, output)
	}
	return program
}

func TestProgramsCannotTellTheDifference(t *testing.T) {
	address, port := startServer(t)
	t.Run("programs", func(t *testing.T) {
		sources, err := filepath.Glob(repository(t, "testdata", "programs", "*.c"))
		if err != nil || len(sources) < 100 {
			t.Fatalf("found %d programs: %v", len(sources), err)
		}
		for _, source := range sources {
			t.Run(strings.TrimSuffix(filepath.Base(source), ".c"), func(t *testing.T) {
				t.Parallel()
				program := compile(t, source)
				var first outcome
				for i := range max(1, *nativeRuns) {
					again := run(t, native(), program, address, port, "0")
					if i == 0 {
						first = again
					}
					if strings.HasPrefix(again.status, "hung") || strings.Contains(again.stdout, "FAILED") {
						t.Fatalf("does not work natively: %s\n%s%s", again.status, again.stdout, again.stderr)
					}
					agree(t, first, again, "natively, again")
				}
				if t.Failed() {
					return
				}
				// At once: the core arrives while the program goes on, or after its end.
				agree(t, first, run(t, preloaded(t), program, address, port, "0"), "under Midstream")
				// With a pause after the first request: the core is there for all that follows.
				agree(t, first, run(t, preloaded(t), program, address, port, "60"), "under Midstream, core loaded")
			})
		}
	})
}

// The comparison would be empty if nothing were loaded: the library must be in
// every process, the core only in one that has sent an HTTP request.
func TestCoreIsLoadedByTheFirstRequestOnly(t *testing.T) {
	address, port := startServer(t)
	maps := run(t, preloaded(t), "cat", "/proc/self/maps").stdout
	if !strings.Contains(maps, "libmidstream.so") {
		t.Error("the library is not in a preloaded process")
	}
	if strings.Contains(maps, "libmidstream-core") {
		t.Error("the core is in a process that sent no HTTP request")
	}
	source := filepath.Join(t.TempDir(), "loads.c")
	text := `#include "observe.h"
int main(int argc, char **argv)
{
	begin(argc, argv);
	int fd = dial();
	ask(fd, "/slow/20000");
	for (int i = 0; i < 200; i++) {
		char line[600];
		FILE *maps = fopen("/proc/self/maps", "r");
		while (maps && fgets(line, sizeof line, maps))
			if (strstr(line, "libmidstream-core")) {
				say("loaded\n");
				return 0;
			}
		fclose(maps);
		sleep_ms(25);
	}
	return 1;
}
`
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "loads")
	include := "-I" + repository(t, "testdata", "programs")
	if output, err := exec.Command("cc", "-pthread", include, "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, bytes.TrimSpace(output))
	}
	if got := run(t, preloaded(t), program, address, port); got.stdout != "loaded\n" {
		t.Errorf("the core was not loaded within five seconds of the first request: %+v", got)
	}
}

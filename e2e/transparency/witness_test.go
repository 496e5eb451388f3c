package transparency

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Another preloaded library, which the calls come to before or after Midstream, sees the octets of those that the program makes, even
// if it knows of one call only.
func TestOtherPreloadedLibrariesSeeEveryRead(t *testing.T) {
	address, port := startServer(t)
	source := repository(t, "e2e", "clients", "witness.c")
	compiled := func(name string, flags ...string) string {
		path := filepath.Join(t.TempDir(), name)
		if output, err := exec.Command("cc", append(flags, "-Wall", "-Wextra", "-Werror", "-o", path, source)...).CombinedOutput(); err != nil {
			t.Fatalf("compile: %v\n%s", err, output)
		}
		return path
	}
	program := compiled("witness")
	for _, call := range []string{"read", "recv", "recvfrom"} {
		t.Run(call, func(t *testing.T) {
			witness := compiled(call+".so", "-DWITNESS_"+call, "-shared", "-fPIC")
			alone := run(t, append(native(), "LD_PRELOAD="+witness), program, address, port, "/close/3000000")
			if alone.status != "exit status 0" || !strings.Contains(alone.stderr, " octets") || alone.stderr == "0 octets\n" {
				t.Fatalf("%+v", alone)
			}
			for _, libraries := range []string{library(t) + ":" + witness, witness + ":" + library(t)} {
				agree(t, alone, run(t, append(preloaded(t), "LD_PRELOAD="+libraries), program, address, port, "/close/3000000"), libraries)
			}
		})
	}
}

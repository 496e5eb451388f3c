package transparency

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Whoever looks a TLS library up must not be waited for by a constructor, on which the dynamic linker waits.
func TestConstructorsMayCallTLS(t *testing.T) {
	source := repository(t, "e2e", "clients", "constructor.c")
	program, plugin := filepath.Join(t.TempDir(), "constructor"), filepath.Join(t.TempDir(), "plugin.so")
	for _, arguments := range [][]string{
		{"-rdynamic", "-o", program, source},
		{"-DPLUGIN", "-shared", "-fPIC", "-o", plugin, source},
	} {
		arguments = append([]string{"-Wall", "-Wextra", "-Werror", "-pthread"}, append(arguments, "-lssl", "-lcrypto")...)
		if output, err := exec.Command("cc", arguments...).CombinedOutput(); err != nil {
			t.Fatalf("compile: %v\n%s", err, output)
		}
	}
	first := run(t, native(), program, plugin)
	if first.stdout != "set\n" {
		t.Fatalf("%+v", first)
	}
	for range 10 {
		agree(t, first, run(t, preloaded(t), program, plugin), "under Midstream")
		if t.Failed() {
			return
		}
	}
}

package libraries

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkout makes one in which everything that is installed stands, as an empty file.
func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"files", "install.sh"} {
		text, err := os.ReadFile(filepath.Join("../../package", name))
		if err != nil {
			t.Fatal(err)
		}
		os.MkdirAll(filepath.Join(root, "package"), 0o755)
		if err := os.WriteFile(filepath.Join(root, "package", name), text, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if f := strings.Fields(line); name == "files" && len(f) == 3 && f[0] != "#" {
				file := filepath.Join(root, f[1])
				os.MkdirAll(filepath.Dir(file), 0o755)
				os.WriteFile(file, []byte("ExecStart=@PREFIX@/bin/midstreamd\n"), 0o600)
				if _, err := os.Stat(filepath.Join("../..", f[1])); err != nil && !strings.HasPrefix(f[1], "build/") {
					t.Error(err)
				}
			}
		}
	}
	return root
}

// Wherever it is installed, what belongs together is found, nothing is left of it, and nothing else is touched.
func TestInstall(t *testing.T) {
	for _, test := range []struct {
		prefix, destdir, libdir string
		want, unit, says        string // where below $W; what its unit starts
	}{
		{"/usr", "stage", "", "stage/usr", "/usr/bin", ""},
		{"/usr/", "$W/stage", "lib/x86_64-linux-gnu/midstream", "stage/usr", "/usr/bin", ""},
		{"usr", "$W/stage", "", "stage/usr", "/usr/bin", ""},
		{"/", "$W/stage", "", "stage", "/bin", ""},
		{"out", "", "", "out", "$W/out/bin", "does not look for units"},
		{"./out/", "", "", "out", "$W/out/bin", ""},
		{"~/.local", "", "", "home/.local", "$W/home/.local/bin", ""},
		{"$W/home/.local", "", "", "home/.local", "$W/home/.local/bin", ""},
	} {
		root := checkout(t)
		in := func(s string) string { return strings.ReplaceAll(s, "$W", root) }
		script := func(verb string) string {
			t.Helper()
			c := exec.Command("sh", filepath.Join(root, "package/install.sh"), verb)
			c.Env = append(os.Environ(), "HOME="+filepath.Join(root, "home"), "PREFIX="+in(test.prefix), "DESTDIR="+in(test.destdir), "LIBDIR="+test.libdir)
			c.Dir = "/" // the checkout is where the script is
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%+v: %v\n%s", test, err, out)
			}
			return string(out)
		}
		other := filepath.Join(root, test.want, "lib", "other.so")
		os.MkdirAll(filepath.Dir(other), 0o755)
		os.WriteFile(other, nil, 0o644)
		if said := script("install"); !strings.Contains(said, test.says) {
			t.Errorf("%+v: %s", test, said)
		}
		libdir := test.libdir
		if libdir == "" {
			libdir = "lib/midstream"
		}
		for _, file := range []string{"bin/midstream", libdir + "/libmidstream-core.so", "share/man/man1/midstreamctl.1", "share/doc/midstream/examples/config.toml"} {
			if _, err := os.Stat(filepath.Join(root, test.want, file)); err != nil {
				t.Errorf("%+v: %v", test, err)
			}
		}
		if _, err := os.Stat(filepath.Join(root, test.want, "lib/NetworkManager/dispatcher.d/90-midstream")); (err == nil) != strings.HasSuffix(in(test.unit), "/usr/bin") {
			t.Errorf("%+v: NetworkManager's dispatcher: %v", test, err)
		}
		unit := "lib/systemd/user/midstreamd.service"
		if strings.HasSuffix(test.want, ".local") {
			unit = "share/systemd/user/midstreamd.service"
			if _, err := os.Stat(filepath.Join(root, test.want, "lib/systemd")); err == nil {
				t.Errorf("%+v: a unit of the host's in a home", test)
			}
		}
		if text, _ := os.ReadFile(filepath.Join(root, test.want, unit)); string(text) != "ExecStart="+in(test.unit)+"/midstreamd\n" {
			t.Errorf("%+v: %s", test, text)
		}
		script("uninstall")
		filepath.WalkDir(filepath.Join(root, test.want), func(path string, e os.DirEntry, err error) error {
			if err == nil && path != other && (!e.IsDir() || e.Name() == "midstream") {
				t.Errorf("%+v: %s is left", test, path)
			}
			return nil
		})
		if _, err := os.Stat(other); err != nil {
			t.Error("what is another's is gone")
		}
	}
	c := exec.Command("sh", filepath.Join(checkout(t), "package/install.sh"), "install")
	c.Env = append(os.Environ(), "PREFIX=/a b")
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "blank") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestALibraryWithoutAVersionIsToldOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "libx.so")
	for _, test := range []struct{ flags, want string }{{"", "carries no version"}, {"-DMIDSTREAM_VERSION=\"1.2.3\"", ""}} {
		args := []string{"-shared", "-fPIC", "-o", file, "-x", "c", os.DevNull}
		if test.flags != "" {
			args = []string{"-shared", "-fPIC", "-o", file, test.flags, "../../shim/process/version.c"}
		}
		if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		version, err := Of(file)
		switch {
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%q, %v", version, err)
		case test.want == "" && (err != nil || version != "1.2.3"):
			t.Errorf("%q, %v", version, err)
		}
	}
}

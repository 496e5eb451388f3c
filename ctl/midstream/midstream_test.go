// Package midstream_test runs the launcher against small programs of every kind: what it says about
// them, and that they get exactly what they would get without it.
package midstream_test

import (
	"bytes"
	"errors"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree is a build tree with a stand-in for the library, and a folder of programs.
type tree struct {
	build, bin string
}

var shared tree

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "midstream-launcher")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		shared = tree{filepath.Join(dir, "build"), filepath.Join(dir, "bin")}
		must(os.Chmod(dir, 0o755))
		must(os.Mkdir(shared.build, 0o755))
		must(os.Mkdir(shared.bin, 0o755))
		sources, err := filepath.Glob("launcher/*.c")
		must(err)
		command("gcc", append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-o", filepath.Join(shared.build, "midstream")}, sources...)...)
		source := filepath.Join(dir, "program.c")
		must(os.WriteFile(source, []byte(program), 0o644))
		command("go", "build", "-o", filepath.Join(shared.build, "midstreamctl"), "../midstreamctl")
		command("gcc", "-shared", "-fPIC", "-x", "c", "-o", filepath.Join(shared.build, "libmidstream.so"), os.DevNull)
		command("gcc", "-o", shared.program("dynamic"), source)
		command("gcc", "-static", "-o", shared.program("static"), source)
		return m.Run()
	}())
}

// program exits with its first argument as status, after it has printed what it was given.
const program = `
#include <stdio.h>
#include <stdlib.h>
int main(int n, char **v)
{
	const char *preload = getenv("LD_PRELOAD");
	printf("%s|%s", v[0], preload ? preload : "");
	for (int i = 1; i < n; i++)
		printf("|%s", v[i]);
	puts("");
	return n > 1 ? atoi(v[1]) : 0;
}
`

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func command(name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		panic(name + " " + strings.Join(args, " ") + ": " + string(out))
	}
}

func (t tree) program(name string) string { return filepath.Join(t.bin, name) }

func (t tree) library() string { return filepath.Join(t.build, "libmidstream.so") }

// add makes a program from a text, or from another program and what changes its octets.
func (t tree) add(test *testing.T, name, from string, change func([]byte)) string {
	test.Helper()
	text := []byte(from)
	if change != nil {
		var err error
		if text, err = os.ReadFile(t.program(from)); err != nil {
			test.Fatal(err)
		}
		change(text)
	}
	if err := os.WriteFile(t.program(name), text, 0o755); err != nil {
		test.Fatal(err)
	}
	return t.program(name)
}

// launch runs the launcher with an environment of its own and returns how it ended. The variables are
// added to a minimal environment.
func (t tree) launch(test *testing.T, variables []string, args ...string) (status int, out, errs string) {
	test.Helper()
	return t.start(test, exec.Command(filepath.Join(t.build, "midstream"), args...), variables)
}

func (t tree) start(test *testing.T, c *exec.Cmd, variables []string) (status int, out, errs string) {
	test.Helper()
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	if c.Dir == "" {
		c.Dir = "/"
	}
	c.Env = append([]string{"PATH=" + t.bin + ":/usr/bin:/bin", "HOME=/nonexistent", "PWD=" + c.Dir}, variables...)
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		test.Fatal(err)
	}
	return c.ProcessState.ExitCode(), o.String(), e.String()
}

func TestTheProgramGetsItsArgumentsAndGivesItsStatus(t *testing.T) {
	want := "dynamic|" + shared.library() + "|7|a  b||*|$x\n"
	for _, args := range [][]string{
		{"dynamic", "7", "a  b", "", "*", "$x"},
		{"--", "dynamic", "7", "a  b", "", "*", "$x"},
		{"--strict", "--log=debug", "--", "dynamic", "7", "a  b", "", "*", "$x"},
	} {
		if status, out, err := shared.launch(t, nil, args...); status != 7 || out != want || err != "" {
			t.Errorf("%q: status %d: %s%s", args, status, out, err)
		}
	}
}

func TestASignalIsTheProgramsOwn(t *testing.T) {
	c := exec.Command(filepath.Join(shared.build, "midstream"), "sh", "-c", "kill -TERM $$")
	shared.start(t, c, nil)
	if s := c.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", c.ProcessState)
	}
}

// Nothing but what is meant changes in the environment; what every shell sets anew is not looked at.
func TestTheEnvironmentIsLeftAlone(t *testing.T) {
	variables := []string{"lib=1", "dir=2", "i=3", "LD_PRELOAD=", "_ms=5"}
	native := exec.Command("/usr/bin/env")
	_, before, _ := shared.start(t, native, variables)
	_, after, _ := shared.launch(t, variables, "/usr/bin/env")
	sorted := func(s string) map[string]bool {
		set := map[string]bool{}
		for _, line := range strings.Split(strings.TrimSpace(s), "\n") {
			set[line] = true
		}
		delete(set, "LD_PRELOAD=")
		delete(set, "LD_PRELOAD="+shared.library())
		for line := range set {
			if strings.HasPrefix(line, "OLDPWD=") || strings.HasPrefix(line, "_=") || strings.HasPrefix(line, "SHLVL=") {
				delete(set, line)
			}
		}
		return set
	}
	a, b := sorted(before), sorted(after)
	for line := range a {
		if !b[line] {
			t.Errorf("lost %s", line)
		}
	}
	for line := range b {
		if !a[line] {
			t.Errorf("added %s", line)
		}
	}
}

func TestAnExistingPreloadStays(t *testing.T) {
	lib := shared.library()
	for before, after := range map[string]string{
		"":                         lib,
		"/x/libx.so":               lib + ":/x/libx.so",
		"/x/libx.so /y/liby.so":    lib + ":/x/libx.so /y/liby.so",
		lib:                        lib,
		"/x/libx.so:" + lib:        "/x/libx.so:" + lib,
		lib + " /x/libx.so":        lib + " /x/libx.so",
		"/prefix" + lib + ":/a.so": lib + ":/prefix" + lib + ":/a.so",
	} {
		_, out, _ := shared.launch(t, []string{"LD_PRELOAD=" + before}, "dynamic")
		if got := strings.TrimSpace(strings.TrimPrefix(out, "dynamic|")); got != after {
			t.Errorf("%q became %q, not %q", before, got, after)
		}
	}
}

func TestACommandThatCannotRunHasTheShellsStatus(t *testing.T) {
	if err := os.WriteFile(shared.program("plain"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"no-such-command": 127, "/nowhere/x": 127, "plain": 126, shared.program("plain"): 126, "/usr": 126} {
		status, out, err := shared.launch(t, nil, name)
		shell, _, _ := shared.start(t, exec.Command("/bin/sh", "-c", `exec "$0"`, name), nil)
		if status != want || status != shell || out != "" || strings.Count(err, "\n") != 1 || !strings.Contains(err, name) {
			t.Errorf("%s: status %d, the shell's %d: %s%s", name, status, shell, out, err)
		}
	}
}

// machine is where an ELF header has e_machine.
const machine = 18

func TestWhatMidstreamCannotReachIsSaidInOneLine(t *testing.T) {
	static := shared.program("static")
	shared.add(t, "arm", "dynamic", func(b []byte) { b[machine], b[machine+1] = 40, 0 })
	shared.add(t, "big", "dynamic", func(b []byte) { b[4], b[5], b[machine], b[machine+1] = 1, 2, 0, 8 })
	shared.add(t, "far", "static", func(b []byte) {})
	farHeaders(t, shared.program("far"))
	shared.add(t, "script", "#!"+static+" 0\n", nil)
	shared.add(t, "spaced", "#! \t"+static+"\n", nil)
	shared.add(t, "env", "#!/usr/bin/env static\n", nil)
	shared.add(t, "env-S", "#!/usr/bin/env -S A=b -u C static 0\n", nil)
	shared.add(t, "env-S2", "#!/usr/bin/env -Sstatic 0\n", nil)
	shared.add(t, "env-i", "#!/usr/bin/env -iS dynamic\n", nil)
	shared.add(t, "env-i2", "#!/usr/bin/env -S -i "+shared.program("dynamic")+"\n", nil)
	shared.add(t, "nested", "#!"+shared.program("script")+"\n", nil)
	for name, says := range map[string]string{
		"static": static + " is statically linked",
		"far":    "far is statically linked",
		"arm":    "arm is for another architecture",
		"big":    "big is for another architecture",
		"script": "the interpreter of " + shared.program("script") + ", " + static + " is statically linked",
		"spaced": "the interpreter of ",
		"env":    static + " is statically linked",
		"env-S":  static + " is statically linked",
		"env-S2": static + " is statically linked",
		"env-i":  "clears its environment",
		"env-i2": "clears its environment",
		"nested": static + " is statically linked",
	} {
		_, out, err := shared.launch(t, nil, name)
		if strings.Count(err, "started as it is\n") != 1 || !strings.Contains(err, says) {
			t.Errorf("%s: %s", name, err)
		}
		_, native, _ := shared.start(t, exec.Command(filepath.Join(shared.bin, "dynamic")), nil)
		if name == "static" && (native == "" || out != "static|"+shared.library()+"\n" || strings.Count(err, "\n") != 1) {
			t.Errorf("%s is not started as it is: %s%s", name, out, err)
		}
		status, out, err := shared.launch(t, nil, "--strict", name)
		if status != 126 || out != "" || strings.Count(err, "\n") != 1 || !strings.Contains(err, says) || !strings.Contains(err, "--strict") {
			t.Errorf("--strict %s: status %d: %s%s", name, status, out, err)
		}
	}
}

// A Go program asks the kernel itself, even where it is linked with the C library, and stripped of its notes.
func TestGoPrograms(t *testing.T) {
	source := filepath.Join(t.TempDir(), "main.go")
	must(os.WriteFile(source, []byte("package main\n\nimport \"C\"\n\nfunc main() { println(\"run\") }\n"), 0o644))
	for name, flags := range map[string]string{"go-dynamic": "", "go-nameless": "-s -w -buildid="} {
		command("go", "build", "-ldflags=-linkmode=external "+flags, "-o", shared.program(name), source)
		status, _, err := shared.launch(t, nil, name)
		if want := "run\n"; status != 0 || !strings.Contains(err, name+" is a Go program") || !strings.HasSuffix(err, want) || strings.Count(err, "\n") != 2 {
			t.Errorf("%s: status %d: %s", name, status, err)
		}
		if status, _, err := shared.launch(t, nil, "--strict", name); status != 126 || !strings.Contains(err, "is a Go program") {
			t.Errorf("--strict %s: status %d: %s", name, status, err)
		}
	}
}

// AddressSanitizer's library ends a program where it is not the first: that would be worse than without Midstream.
func TestAddressSanitizer(t *testing.T) {
	source := filepath.Join(filepath.Dir(shared.build), "program.c")
	if out, err := exec.Command("gcc", "-fsanitize=address", "-o", shared.program("asan"), source).CombinedOutput(); err != nil {
		t.Skipf("there is no AddressSanitizer: %s", out)
	}
	quiet := "ASAN_OPTIONS=detect_leaks=0"
	status, out, err := shared.launch(t, []string{quiet}, "asan", "7")
	if status != 7 || out != "asan||7\n" || strings.Count(err, "\n") != 1 || !strings.Contains(err, "asan was built with AddressSanitizer") {
		t.Errorf("status %d: %s%s", status, out, err)
	}
	status, out, err = shared.launch(t, []string{quiet + ":verify_asan_link_order=0"}, "--strict", "asan", "7")
	if status != 7 || out != "asan|"+shared.library()+"|7\n" || err != "" {
		t.Errorf("where it bears another one first: status %d: %s%s", status, out, err)
	}
}

// Whoever starts a command as another user without its environment has to be started first.
func TestSudoComesFirst(t *testing.T) {
	shared.add(t, "sudo", "#!/bin/sh\necho \"$@\"\n", nil)
	shared.add(t, "doas", "dynamic", func([]byte) {})
	for line, says := range map[string]string{
		"sudo apt-get update": "write: sudo midstream apt-get;", "sudo -u x apt-get": "write: sudo midstream COMMAND;", "doas 0": "write: doas midstream 0;",
	} {
		args := strings.Fields(line)
		status, out, err := shared.launch(t, nil, args...)
		if status != 0 || out == "" || strings.Count(err, "\n") != 1 || !strings.Contains(err, says) {
			t.Errorf("%s: status %d: %s%s", line, status, out, err)
		}
		if status, _, err := shared.launch(t, nil, append([]string{"--strict"}, args...)...); status != 126 || !strings.Contains(err, says) {
			t.Errorf("--strict %s: status %d: %s", line, status, err)
		}
	}
}

// A program that gives up being root opens the core only then.
func TestAFolderThatOnlyRootMayEnter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user")
	}
	shared.add(t, "apt-get", "dynamic", func([]byte) {})
	closed := filepath.Join(t.TempDir(), "closed")
	must(os.MkdirAll(filepath.Join(closed, "build"), 0o755))
	for _, file := range []string{"midstream", "libmidstream.so"} {
		command("cp", filepath.Join(shared.build, file), filepath.Join(closed, "build"))
	}
	launcher := filepath.Join(closed, "build", "midstream")
	for mode, says := range map[os.FileMode]string{0o700: closed + " is closed to other users, and apt-get becomes one", 0o755: ""} {
		must(os.Chmod(closed, mode))
		for _, name := range []string{"apt-get", "dynamic"} {
			_, out, err := shared.start(t, exec.Command(launcher, name), nil)
			if name == "dynamic" {
				says = ""
			}
			// The folders of the test's own may be closed as well.
			if out == "" || says != "" && !strings.Contains(err, says) && !strings.Contains(err, "is closed to other users") || says == "" && name == "dynamic" && err != "" {
				t.Errorf("%v, %s: %s%s", mode, name, out, err)
			}
		}
	}
}

// farHeaders moves the program headers of a 64-bit little-endian file to its end.
func farHeaders(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text[4] != 2 || text[5] != 1 {
		t.Skip("the machine is not 64-bit little-endian")
	}
	at := len(text)
	text = append(text, text[64:64+56*int(text[56])]...)
	for i := range 8 {
		text[32+i] = byte(at >> (8 * i))
	}
	if err := os.WriteFile(file, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestWhatMidstreamCanReachIsNotRemarkedOn(t *testing.T) {
	shared.add(t, "fine", "#!"+shared.program("dynamic")+"\n", nil)
	shared.add(t, "fine-env", "#!/usr/bin/env dynamic\n", nil)
	shared.add(t, "no-interpreter", "echo plain\n", nil)
	shared.add(t, "empty", "", nil)
	shared.add(t, "loop", "#!"+shared.program("loop")+"\n", nil)
	shared.add(t, "short", "\x7fELF", nil)
	shared.add(t, "odd", "\x7fELF"+strings.Repeat("\x02\x01\xff\x3e", 250), nil)
	loaders, _ := filepath.Glob("/lib*/ld-linux-*.so*")
	for _, name := range append(loaders, "fine", "fine-env", "no-interpreter", "empty") {
		if status, _, err := shared.launch(t, nil, "--strict", name, "--help"); status == 126 || err != "" {
			t.Errorf("%s: status %d: %s", name, status, err)
		}
	}
	// What the kernel refuses ends as the shell has it end, not with a broken launcher.
	for _, name := range []string{"loop", "short", "odd"} {
		native, _, _ := shared.start(t, exec.Command("/bin/sh", "-c", `exec "$0"`, filepath.Join(shared.bin, name)), nil)
		if status, _, err := shared.launch(t, nil, name); status != native {
			t.Errorf("%s: status %d, the shell's %d: %s", name, status, native, err)
		}
	}
}

// Whatever octets a program's file has, the launcher gets to the end of them: these are built to show where it does not.
func TestDamagedProgramsDoNoHarm(t *testing.T) {
	launcher := filepath.Join(shared.bin, "sanitized")
	sources, _ := filepath.Glob("launcher/*.c")
	if out, err := exec.Command("gcc", append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-o", launcher}, sources...)...).CombinedOutput(); err != nil {
		t.Skipf("there is no AddressSanitizer: %s", out)
	}
	must(os.WriteFile(filepath.Join(shared.bin, "libmidstream.so"), nil, 0o644))
	whole, err := os.ReadFile(shared.program("dynamic"))
	must(err)
	random := rand.New(rand.NewSource(1))
	const odd = " /\t-S=iaenv\x00\xff"
	for i := range 150 {
		octets := bytes.Clone(whole)
		switch i % 3 {
		case 0:
			octets = octets[:random.Intn(4096)]
		case 1: // the headers
			for range 1 + random.Intn(20) {
				octets[4+random.Intn(900)] = byte(random.Intn(256))
			}
		case 2: // a line instead
			octets = append([]byte("#!"), make([]byte, random.Intn(600))...)
			for k := 2; k < len(octets); k++ {
				octets[k] = odd[random.Intn(len(odd))]
			}
		}
		must(os.WriteFile(shared.program("damaged"), octets, 0o755))
		_, _, errs := shared.start(t, exec.Command(launcher, "--strict", "damaged"), []string{"ASAN_OPTIONS=exitcode=99"})
		if strings.Contains(errs, "Sanitizer") || strings.Contains(errs, "runtime error") {
			t.Fatalf("%q: %s", octets[:min(len(octets), 1000)], errs)
		}
	}
}

func TestSetuidPrograms(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving a program away needs root")
	}
	for name, bit := range map[string]os.FileMode{"setuid": os.ModeSetuid, "setgid": os.ModeSetgid} {
		file := shared.add(t, name, "dynamic", func([]byte) {})
		if err := errors.Join(os.Chown(file, 65534, 65534), os.Chmod(file, bit|0o755)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := shared.launch(t, nil, name); !strings.Contains(err, "is setuid or setgid") {
			t.Errorf("another's: %q", err)
		}
		if err := errors.Join(os.Chown(file, 0, 0), os.Chmod(file, bit|0o755)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := shared.launch(t, nil, name); err != "" {
			t.Errorf("one's own: %q", err)
		}
	}
}

func TestFileCapabilities(t *testing.T) {
	file := shared.add(t, "capable", "dynamic", func([]byte) {})
	setcap, err := exec.LookPath("setcap")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("giving capabilities needs root and setcap")
	}
	if out, err := exec.Command(setcap, "cap_net_raw=ep", file).CombinedOutput(); err != nil {
		t.Skipf("the file system has no capabilities: %s", out)
	}
	if _, _, err := shared.launch(t, nil, "capable"); err != "" {
		t.Errorf("for root: %q", err)
	}
	c := exec.Command(filepath.Join(shared.build, "midstream"), "--strict", "capable")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if status, _, err := shared.start(t, c, nil); status != 126 || !strings.Contains(err, "has file capabilities") {
		t.Errorf("for a user: status %d, %q", status, err)
	}
}

func TestTheConfigurationIsCheckedAndHandedOn(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml")
	must(os.WriteFile(good, []byte("[migration]\nsingle = true\n"), 0o644))
	must(os.WriteFile(bad, []byte("\n[migrations]\n"), 0o644))
	must(os.MkdirAll(filepath.Join(dir, "midstream"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "midstream", "config.toml"), []byte("x = 1\n"), 0o644))
	show := []string{"sh", "-c", `cd / && echo "$MIDSTREAM_CONFIG $MIDSTREAM_LOG"`}
	for _, test := range []struct {
		variables, args []string
		status          int
		out, errs       string
	}{
		{nil, []string{"--config", good, "--log", "trace"}, 0, good + " trace\n", ""},
		{nil, []string{"--config=good.toml"}, 0, good + " \n", ""},
		{[]string{"MIDSTREAM_CONFIG=" + bad}, []string{"--config", good}, 0, good + " \n", ""},
		{[]string{"MIDSTREAM_CONFIG=" + good, "MIDSTREAM_LOG=info"}, nil, 0, good + " info\n", ""},
		{nil, []string{"--config", bad}, 2, "", bad + ":2: migrations: unknown key"},
		{[]string{"MIDSTREAM_CONFIG=" + bad}, nil, 2, "", bad + ":2: migrations: unknown key"},
		{[]string{"XDG_CONFIG_HOME=" + dir}, nil, 2, "", "config.toml:1: x: unknown key"},
		{nil, []string{"--config", "/nowhere"}, 2, "", "/nowhere: there is no such file"},
		{nil, []string{"--config="}, 2, "", "names no file"},
		{nil, []string{"--config"}, 2, "", "needs an argument"},
		{nil, []string{"--log", "loud"}, 2, "", "use off, error"},
		{nil, []string{"--loud"}, 2, "", "no option --loud"},
	} {
		args := test.args
		if len(args) != 1 || args[0] != "--config" {
			args = append(append([]string{}, args...), show...)
		}
		c := exec.Command(filepath.Join(shared.build, "midstream"), args...)
		c.Dir = dir
		status, out, err := shared.start(t, c, test.variables)
		if status != test.status || out != test.out || !strings.Contains(err, test.errs) || (test.errs == "") != (err == "") {
			t.Errorf("%q %q: status %d: %s%s", test.variables, test.args, status, out, err)
		}
	}
}

// A check that has no room to run in says nothing about the configuration.
func TestTheProgramIsStartedWhereTheCheckHasNoRoom(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.toml")
	must(os.WriteFile(good, []byte("[migration]\nsingle = true\n"), 0o644))
	for _, limit := range []string{"-v 600000", "-d 2000"} {
		c := exec.Command("/bin/sh", "-c", `ulimit `+limit+` && exec "$0" --config "$1" dynamic`, filepath.Join(shared.build, "midstream"), good)
		status, out, err := shared.start(t, c, nil)
		if status != 0 || out != "dynamic|"+shared.library()+"\n" || err != "" {
			t.Errorf("ulimit %s: status %d: %s%s", limit, status, out, err)
		}
	}
}

func TestUsage(t *testing.T) {
	if status, out, err := shared.launch(t, nil, "--help"); status != 0 || !strings.HasPrefix(out, "usage: midstream") || err != "" {
		t.Errorf("--help: status %d: %s%s", status, out, err)
	}
	if status, out, err := shared.launch(t, nil); status != 2 || out != "" || !strings.HasPrefix(err, "usage: midstream") {
		t.Errorf("nothing: status %d: %s%s", status, out, err)
	}
}

func TestTheLibraryIsFoundFromAnywhere(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	must(os.Symlink(filepath.Join(shared.build, "midstream"), filepath.Join(dir, "second")))
	must(os.Symlink("second", link))
	installed := filepath.Join(dir, "usr")
	must(os.MkdirAll(filepath.Join(installed, "bin"), 0o755))
	must(os.MkdirAll(filepath.Join(installed, "lib", "midstream"), 0o755))
	command("cp", filepath.Join(shared.build, "midstream"), filepath.Join(installed, "bin"))
	command("cp", shared.library(), filepath.Join(installed, "lib", "midstream"))
	relative := exec.Command("./midstream", "dynamic")
	relative.Dir = shared.build
	searched := exec.Command("/bin/sh", "-c", "PATH="+shared.build+":$PATH; midstream dynamic")
	for _, test := range []struct {
		command *exec.Cmd
		library string
	}{
		{exec.Command(link, "dynamic"), shared.library()},
		{relative, shared.library()},
		{searched, shared.library()},
		{exec.Command(filepath.Join(installed, "bin", "midstream"), "dynamic"), filepath.Join(installed, "lib", "midstream", "libmidstream.so")},
	} {
		if _, out, err := shared.start(t, test.command, nil); out != "dynamic|"+test.library+"\n" || err != "" {
			t.Errorf("%q: %s%s", test.command.Args, out, err)
		}
	}
	must(os.Remove(filepath.Join(installed, "lib", "midstream", "libmidstream.so")))
	status, out, err := shared.start(t, exec.Command(filepath.Join(installed, "bin", "midstream"), "dynamic"), nil)
	if status != 125 || out != "" || !strings.Contains(err, "there is no libmidstream.so") {
		t.Errorf("without the library: status %d: %s%s", status, out, err)
	}
}

// The cost of the launcher itself, to be compared with that of BenchmarkWithout.
func BenchmarkLauncher(b *testing.B) {
	for b.Loop() {
		must(exec.Command(filepath.Join(shared.build, "midstream"), shared.program("dynamic")).Run())
	}
}

func BenchmarkWithout(b *testing.B) {
	for b.Loop() {
		must(exec.Command(shared.program("dynamic")).Run())
	}
}

// Names of programs are other people's texts: nothing in them is obeyed by a terminal.
func TestNamesAreShownHarmless(t *testing.T) {
	for name, want := range map[string]string{
		"a\x1b[2Jb": "a?[2Jb", "x\u202egpj": "x?gpj", "\u009b1m": "?1m", "\xff\xc0\x80\xed\xa0\x80": "??????", "Grüße 世界🙂": "Grüße 世界🙂",
		"line\nmidstream: another": "line?midstream: another",
	} {
		out, err := exec.Command(filepath.Join(shared.build, "midstream"), "--", "/nowhere/"+name).CombinedOutput()
		if got, wanted := string(out), "midstream: /nowhere/"+want+": not found\n"; got != wanted || err == nil {
			t.Errorf("%q, not %q", got, wanted)
		}
	}
	out, _ := exec.Command(filepath.Join(shared.build, "midstream"), strings.Repeat("x", 5000)).CombinedOutput()
	if len(out) > 2100 || strings.Count(string(out), "\n") != 1 {
		t.Errorf("%d octets", len(out))
	}
}

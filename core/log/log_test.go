// Where the log goes, and that it goes nowhere else.
package log

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"midstream/core/control"
)

func TestLinesAreAppendedFromTheLevelOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	logger, closer, err := Open("info", file)
	if err != nil {
		t.Fatal(err)
	}
	logger.Debug().Msg("not this")
	logger.Info().Str("k", "v").Msg("this")
	closer.Close()
	text, _ := os.ReadFile(file)
	lines := strings.Split(string(text), "\n")
	var entry struct {
		Level, Time, K, Message string
		PID                     int
	}
	if len(lines) != 3 || lines[0] != "before" || json.Unmarshal([]byte(lines[1]), &entry) != nil {
		t.Fatalf("%s", text)
	}
	if entry.Level != "info" || entry.K != "v" || entry.Message != "this" || entry.PID != os.Getpid() || len(entry.Time) != len("2006-01-02T15:04:05.000Z") {
		t.Errorf("%+v", entry)
	}
}

func TestTheFileIsPrivateAndNotInherited(t *testing.T) {
	t.Setenv(control.EnvRuntimeDir, filepath.Join(t.TempDir(), "run"))
	_, closer, err := Open("trace", "")
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	f := closer.(*os.File)
	if want := filepath.Join(os.Getenv(control.EnvRuntimeDir), fmt.Sprintf("%d.log", os.Getpid())); f.Name() != want {
		t.Errorf("%s, not %s", f.Name(), want)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %d, %v", flags, err)
	}
}

func TestALinkInTheRuntimeFolderIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(control.EnvRuntimeDir, dir)
	target := filepath.Join(dir, "target")
	if err := os.Symlink(target, filepath.Join(dir, fmt.Sprintf("%d.log", os.Getpid()))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open("info", ""); err == nil {
		t.Error("it is")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("its target was made")
	}
}

func TestOffOpensNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	for _, level := range []string{"", "off"} {
		logger, closer, err := Open(level, file)
		if err != nil {
			t.Fatal(err)
		}
		logger.Error().Msg("x")
		closer.Close()
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was made")
	}
}

func TestWhatCannotBeOpenedIsSaidAndHarmless(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range [][3]string{{"loud", "", `"loud"; use off, trace`}, {"info", "/nowhere/log", EnvFile}, {"info", fifo, EnvFile}} {
		logger, closer, err := Open(test[0], test[1])
		if err == nil || !strings.Contains(err.Error(), test[2]) {
			t.Errorf("%q: %v", test, err)
		}
		logger.Error().Msg("x")
		closer.Close()
	}
}

// A full disk is not the program's matter.
func TestAFailingLogIsSilent(t *testing.T) {
	if os.Getenv("FULL") != "" {
		logger, _, err := Open("info", "/dev/full")
		if err != nil {
			t.Fatal(err)
		}
		logger.Error().Msg("x")
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestAFailingLogIsSilent$")
	child.Env = append(os.Environ(), "FULL=1")
	if out, err := child.CombinedOutput(); err != nil || string(out) != "PASS\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// Running one command and keeping everything that can be observed of it.

package transparency

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// limit is how long one run may take; a run that needs longer is taken to hang.
const limit = 20 * time.Second

var nativeRuns = flag.Int("native-runs", 2, "how often each program is run natively to see that it agrees with itself")

// TestMain gives the programs what they would find in a terminal, wherever the
// test itself was started: no descriptors but 0 to 2, and the usual limit on
// them. It lets more tests wait at a time than there are processors: the
// programs mostly sleep.
func TestMain(m *testing.M) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	var descriptors syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		panic(err)
	}
	descriptors.Cur = min(1024, descriptors.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		panic(err)
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8")
	}
	status := m.Run()
	if copies != "" {
		os.RemoveAll(copies)
	}
	os.Exit(status)
}

// outcome is everything that can be observed of a run.
type outcome struct {
	stdout, stderr string
	status         string // "exit status 3", "signal: aborted", "hung"
}

// repository returns the absolute path of a file of this repository.
func repository(t *testing.T, parts ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", ".."}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// library returns the path of the preloaded library, which must have been built. It is one that every user can reach: a
// checkout may lie below a home that only its owner can enter, and some of the programs give up being root.
func library(t *testing.T) string {
	t.Helper()
	folder, err := reachable()
	if err != nil {
		t.Fatalf("the library is not built: %v; run make", err)
	}
	return filepath.Join(folder, "libmidstream.so")
}

// reachable returns the folder with both libraries, or with copies of them.
var reachable = sync.OnceValues(func() (string, error) {
	build, err := filepath.Abs("../../build")
	if err != nil {
		return "", err
	}
	open := true
	for dir := build; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", err
		}
		open = open && info.Mode().Perm()&0o001 != 0
	}
	if !open {
		copies, err = os.MkdirTemp("", "midstream-transparency")
		if err != nil {
			return "", err
		}
		if err := os.Chmod(copies, 0o755); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"libmidstream-core.so", "libmidstream.so"} {
		octets, err := os.ReadFile(filepath.Join(build, name))
		if err == nil && !open {
			err = os.WriteFile(filepath.Join(copies, name), octets, 0o755)
		}
		if err != nil {
			return "", err
		}
	}
	if open {
		return build, nil
	}
	return copies, nil
})

// copies is the folder of copies that were made, to be removed at the end.
var copies string

// native is the environment of a run without Midstream.
func native() []string {
	environment := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "USER", "SHELL"} {
		if value, set := os.LookupEnv(name); set {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// preloaded is the environment of a run under Midstream. The runtime folder is
// not t.TempDir: a socket's path must be short.
func preloaded(t *testing.T) []string {
	t.Helper()
	runtime, err := os.MkdirTemp("", "ms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	return append(native(), "LD_PRELOAD="+library(t), "MIDSTREAM_RUNTIME_DIR="+runtime)
}

// run runs a command to its end, in an empty folder of its own and in a process
// group that is killed after limit.
func run(t *testing.T, environment []string, command ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = environment
	cmd.Dir = t.TempDir()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Other parts of the process group may outlive the command and hold its output.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", command[0], err)
	}
	hung := time.AfterFunc(limit, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	// A descendant that lives on is not the program's intention in any of these tests.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	result := outcome{stdout: stdout.String(), stderr: stderr.String(), status: cmd.ProcessState.String()}
	if errors.Is(err, exec.ErrWaitDelay) {
		result.status += ", its output was held open"
	}
	if !hung.Stop() {
		result.status = fmt.Sprintf("hung (killed after %v)", limit)
	}
	return result
}

// agree reports where two outcomes differ.
func agree(t *testing.T, want, got outcome, how string) {
	t.Helper()
	if want.status != got.status {
		t.Errorf("%s: ended with %q, natively %q", how, got.status, want.status)
	}
	for _, stream := range []struct{ name, want, got string }{
		{"stdout", want.stdout, got.stdout},
		{"stderr", want.stderr, got.stderr},
	} {
		if stream.want != stream.got {
			t.Errorf("%s: %s differs (- natively, + here)\n%s", how, stream.name, difference(stream.want, stream.got))
		}
	}
}

// difference shows the first lines in which two texts differ, with what precedes them.
func difference(want, got string) string {
	a, b := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	var text strings.Builder
	for _, line := range a[max(0, i-2):i] {
		fmt.Fprintf(&text, "  %q\n", line)
	}
	for _, line := range a[i:min(i+4, len(a))] {
		fmt.Fprintf(&text, "- %q\n", line)
	}
	for _, line := range b[i:min(i+4, len(b))] {
		fmt.Fprintf(&text, "+ %q\n", line)
	}
	return text.String()
}

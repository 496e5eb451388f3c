package midstream_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// reaching is a build tree that has the supervisor as well; it goes with the other one.
var reaching = sync.OnceValue(func() tree {
	build := shared.build + "-reaching"
	must(os.Mkdir(build, 0o755))
	for _, name := range []string{"midstream", "midstreamctl", "libmidstream.so"} {
		must(os.Link(filepath.Join(shared.build, name), filepath.Join(build, name)))
	}
	sources, err := filepath.Glob("../../supervisor/*.c")
	must(err)
	command("gcc", append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-o", filepath.Join(build, "midstream-supervisor"), "launcher/elf.c"}, sources...)...)
	return tree{build, shared.bin}
})

// What is started under the supervisor is what was asked for, with its own number, status and signals, and nothing is said.
func TestAProgramUnderTheSupervisor(t *testing.T) {
	r := reaching()
	if os.Geteuid() == 0 {
		for _, args := range [][]string{{"static", "7"}, {"--strict", "static", "7"}, {"--reach=all", "dynamic", "7"}} {
			status, out, err := r.launch(t, nil, args...)
			if want := args[len(args)-2] + "|" + r.library() + "|7\n"; status != 7 || out != want || err != "" {
				t.Errorf("%q: status %d: %s%s", args, status, out, err)
			}
		}
		c := exec.Command(filepath.Join(r.build, "midstream"), "--reach=all", "sh", "-c", "echo $$; ps -o sid=,pgid= -p $$; kill -TERM $$")
		_, out, _ := r.start(t, c, nil)
		if s := c.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGTERM {
			t.Errorf("ended with %v", c.ProcessState)
		}
		if first, _, _ := strings.Cut(out, "\n"); first != strconv.Itoa(c.ProcessState.Pid()) {
			t.Errorf("it is process %s, not %d", first, c.ProcessState.Pid())
		}
	}
	if status, _, err := r.launch(t, nil, "--reach=off", "static", "7"); status != 7 || !strings.HasSuffix(err, "its downloads cannot be moved; started as it is\n") {
		t.Errorf("status %d: %s", status, err)
	}
	if status, _, err := r.launch(t, nil, "--reach=some", "static", "7"); status != 2 || !strings.Contains(err, "use auto, all or off") {
		t.Errorf("status %d: %s", status, err)
	}
}

// Where there is a supervisor already, there can be no other, and the first one serves the program.
func TestASupervisorUnderAnother(t *testing.T) {
	r := reaching()
	status, out, err := r.launch(t, nil, "--reach=all", filepath.Join(r.build, "midstream"), "static", "7")
	if status != 7 || !strings.HasPrefix(out, "static|") || !strings.Contains(err, "under another supervisor already") {
		t.Errorf("status %d: %s%s", status, out, err)
	}
}

// An ordinary user's programs cannot become another user's any more, and that is said.
func TestTheSupervisorOfAnOrdinaryUser(t *testing.T) {
	r := reaching()
	c := exec.Command(filepath.Join(r.build, "midstream"), "static", "7")
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	status, out, err := r.start(t, c, nil)
	if status != 7 || !strings.HasPrefix(out, "static|") || !strings.Contains(err, "su and sudo cannot work") || strings.Count(err, "\n") != 1 {
		t.Errorf("status %d: %s%s", status, out, err)
	}
}

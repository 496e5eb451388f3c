package failover

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"midstream/e2e/lab"
)

// confine kills what makes another system call than those of the list, as the filters of services do.
const confine = `#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static const int allowed[] = { LIST };
int main(int argc, char **argv)
{
    static struct sock_filter code[600] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
    unsigned short n = 1;
    for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = { n, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return 125;
    execvp(argv[1], argv + 1);
    return 126;
}
`

// Of a program's loader, the C library and curl.
const curlsCalls = "access arch_prctl execve exit exit_group fadvise64 ftruncate getcwd getegid getgid getrlimit getpeername ioctl pread64 rt_sigreturn " +
	"set_tid_address statfs statx sysinfo uname wait4 writev restart_syscall readlink sendmmsg stat lstat sendto"

// Under a filter that allows what the trial of shim/process/trial.c has tried, and what curl itself needs, Midstream works: it makes no call
// that it has not tried before.
func TestMidstreamMakesTheCallsThatItHasTried(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(lab.Root(t), "shim", "process", "trial.c"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(source), "} calls[] = {")
	table, _, _ = strings.Cut(table, "\n};")
	names := regexp.MustCompile(`SYS_[a-z0-9_]+`).FindAllString(table, -1)
	if len(names) < 50 {
		t.Fatalf("%d calls", len(names))
	}
	for _, name := range strings.Fields(curlsCalls) {
		names = append(names, "SYS_"+name)
	}
	seen := map[string]bool{}
	var list strings.Builder
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			list.WriteString("\n#ifdef " + name + "\n" + name + ",\n#endif\n")
		}
	}
	program := filepath.Join(t.TempDir(), "confine")
	cc := exec.Command("cc", "-static", "-o", program, "-x", "c", "-")
	cc.Stdin = strings.NewReader(strings.Replace(confine, "LIST", list.String(), 1))
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := newSite(t, nginx, "wlan0", "wwan0")
	native := s.download(false, program, "curl", "-sS", "-o", "out", "URL")
	native.Start()
	s.Await("curl by itself", lab.Patience, func() bool { return fileSize(native.out()) > size/3 })
	native.Process.Kill()
	<-native.Ended()
	d := s.download(false, program, "curl", "-sS", "-o", "out", "URL")
	d.Env = append(d.Env, "LD_PRELOAD="+lab.Build(t, "libmidstream.so"))
	d.Start()
	d.halfway()
	if r := s.Ctl("migrate", "wwan0").Run(); r.Status != 0 {
		t.Errorf("%v", r)
	}
	s.Network("wwan0").CarrierDown()
	if r := d.Wait(); r.Status != 0 || lab.Sum(d.out()) != s.sum {
		t.Errorf("%v", r)
	}
}

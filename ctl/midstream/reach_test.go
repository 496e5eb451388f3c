package midstream_test

import (
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

// reaching is a build tree that has the supervisor as well; it goes with the other one.
var reaching = sync.OnceValue(func() tree {
	build := shared.build + "-reaching"
	must(os.Mkdir(build, 0o755))
	for _, name := range []string{"midstream", "midstreamctl", "libmidstream.so"} {
		must(os.Link(filepath.Join(shared.build, name), filepath.Join(build, name)))
	}
	sources, err := filepath.Glob("../../supervisor/*.c")
	must(err)
	authority, err := filepath.Glob("../../supervisor/authority/*.c")
	must(err)
	sources = append(sources, authority...)
	command("gcc", append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-o", filepath.Join(build, "midstream-supervisor"), "launcher/elf.c", "../../shim/framing/hello.c"}, sources...)...)
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

// What a program needs to trust the authority of its run is in its environment while it runs, with what was there before, and nowhere afterwards.
func TestTheAuthorityOfARun(t *testing.T) {
	r := reaching()
	folder, err := os.MkdirTemp("", "authority")
	must(err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	mine := filepath.Join(folder, "mine.pem")
	must(os.WriteFile(mine, []byte("what the user trusts\n"), 0o644))
	runtime := filepath.Join(folder, "run")
	must(os.Mkdir(runtime, 0o700))
	script := `stat -c %a "${SSL_CERT_FILE%/*}"; for f in "$SSL_CERT_FILE" "$CURL_CA_BUNDLE" "$NODE_EXTRA_CA_CERTS"; do grep -c -e user -e BEGIN "$f"; done
echo "$JAVA_TOOL_OPTIONS" | grep -c "^-Dmine -Djavax.net.ssl.trustStore=/.*/java.jks"; grep -l "PRIVATE KEY" "${SSL_CERT_FILE%/*}"/*; exit 7`
	system, _ := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	want := fmt.Sprintf("700\n2\n%d\n1\n1\n", strings.Count(string(system), "BEGIN")+1)
	c := exec.Command(filepath.Join(r.build, "midstream"), "--tls=ca", "sh", "-c", script)
	if os.Geteuid() == 0 { // as an ordinary user
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		must(os.Chown(runtime, 65534, 65534))
		must(os.Chmod(folder, 0o755))
	}
	status, out, errs := r.start(t, c, []string{"MIDSTREAM_RUNTIME_DIR=" + runtime, "SSL_CERT_FILE=" + mine, "JAVA_TOOL_OPTIONS=-Dmine"})
	if status != 7 || out != want || strings.Count(errs, "sees all in the clear") != 1 {
		t.Errorf("status %d: %s, want %s%s", status, out, want, errs)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if left, _ := filepath.Glob(filepath.Join(runtime, "authority-*")); len(left) == 0 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%v are still there", left)
		}
	}
	if status, _, errs := r.launch(t, nil, "--tls=ca", "--reach=off", "static", "7"); status != 2 || !strings.Contains(errs, "needs a supervisor") {
		t.Errorf("status %d: %s", status, errs)
	}
	if status, _, errs := r.launch(t, nil, "--tls=mine", "static", "7"); status != 2 || !strings.Contains(errs, "use hook or ca") {
		t.Errorf("status %d: %s", status, errs)
	}
}

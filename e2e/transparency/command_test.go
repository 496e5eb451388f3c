// Real commands that send no HTTP, natively and under Midstream.

package transparency

import (
	"os/exec"
	"testing"
)

// commands are shell lines; needs names what else they call and may be missing.
// Each prints the same in every run.
var commands = []struct {
	name, line string
	needs      []string
}{
	{"true", "true", nil},
	{"false", "false", nil},
	{"exit status", "exit 117", nil},
	{"signal", "kill -USR1 $$", nil},
	{"missing command", "no-such-command", nil},
	{"ls", "ls -la /etc/passwd /usr/bin/env /nonexistent", nil},
	{"ls of descriptors", "ls /proc/self/fd", nil},
	{"cat a pipe", "echo one | cat | cat - | cat", nil},
	{"shell loop", "i=0; while [ $i -lt 200 ]; do i=$((i+1)); /bin/true; done; echo $i", nil},
	{"shell subshells", "for i in 1 2 3 4 5 6 7 8; do (echo $i; (echo $i$i)); done", nil},
	{"shell redirections", "exec 3>f 4<&0 5>&1; echo a >&3; echo b >&5; exec 3>&-; cat f; ls /proc/self/fd", nil},
	{"shell trap", "trap 'echo trapped' TERM; kill -TERM $$; echo after", nil},
	{"shell background", "sleep 0.05 & wait $!; echo $?; { sleep 10 & kill $!; wait $!; } 2>/dev/null; echo $?", nil}, // dash says "Terminated" or does not
	{"here document", "cat <<E\nthe text\nE", nil},
	{"sigpipe", "yes | head -n 3", nil},
	{"find", "mkdir -p a/b/c; touch a/x a/b/y; find . | sort; find . -type f -exec echo {} +", []string{"find"}},
	{"tar", "mkdir d; for i in 1 2 3; do echo $i >d/$i; done; tar cf - --sort=name --mtime=@0 d | tar tvf -", []string{"tar"}},
	{"tar and gzip", "echo text >f; tar czf a.tgz f && rm f && tar xzf a.tgz && cat f", []string{"tar", "gzip"}},
	{"sort", "seq 5000 | sort -R --random-source=/dev/zero | sort -n --parallel=4 | md5sum", []string{"sort"}},
	{"sed", "seq 10 | sed -n '3,5p;s/7/seven/p'", []string{"sed"}},
	{"grep", "seq 100 | grep -c 7; grep nothing /dev/null", []string{"grep"}},
	{"awk", `awk 'BEGIN { for (i = 0; i < 5; i++) print i * i; "echo sub" | getline x; print x; system("echo sys") }'`, []string{"awk"}},
	{"dd", "dd if=/dev/zero bs=1k count=100 status=none | md5sum", []string{"dd"}},
	{"xargs", "seq 40 | xargs -n 3 -P 1 echo; seq 4 | xargs -I{} sh -c 'exit {}'; echo $?", []string{"xargs"}},
	{"env", "env -i A=b /usr/bin/env; env -u HOME sh -c 'echo [$HOME]'", nil},
	{"nice", "nice -n 5 nice", []string{"nice"}},
	{"timeout", "timeout 0.1 sleep 5; echo $?; timeout -s KILL 0.1 sleep 5; echo $?; timeout 5 true; echo $?", []string{"timeout"}},
	{"setsid", "setsid -w echo new session", []string{"setsid"}},
	{"nohup", "nohup echo kept </dev/null 2>&1 | cat", []string{"nohup"}},
	{"ulimit", "ulimit -n 32; ulimit -n; ls /proc/self/fd | wc -l", nil},
	{"memory limit", "ulimit -v 200000; ls / >/dev/null; echo $?", nil},
	{"closed streams", "ls /proc/self/fd <&- 2>&-; cat /dev/null >&-; echo $?", nil},
	{"setpriv", "setpriv --no-new-privs id -u", []string{"setpriv"}},
	{"setpriv to nobody", "setpriv --reuid 65534 --clear-groups id -u", []string{"setpriv"}},
	{"unshare user", "unshare -U true; echo $?", []string{"unshare"}},
	{"unshare more", "unshare -Urmpf --mount-proc sh -c 'id -u; echo $$'; echo $?", []string{"unshare"}},
	{"chroot", "chroot . /bin/true; echo $?", []string{"chroot"}},
	{"script", "script -qec 'tty >/dev/null && echo a terminal' /dev/null </dev/null", []string{"script"}},
	{"bash substitution", `bash -c 'cat <(echo one) <(echo two); diff <(seq 3) <(seq 4); echo $?; x=$(echo y); echo $x'`, []string{"bash"}},
	{"bash coprocess", `bash -c 'coproc cat; echo hi >&${COPROC[1]}; read l <&${COPROC[0]}; echo $l; for i in {1..50}; do echo $(echo $i); done'`, []string{"bash"}},
	{"bash descriptors", `bash -c 'exec {a}</dev/null {b}</dev/null; echo $a $b; exec 200>&1; echo on 200 >&200'`, []string{"bash"}},
	{"bash and a refused port", `bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null; echo $?`, []string{"bash"}},
	{"python", `python3 -c 'import os, sys, subprocess, threading, signal
t = [threading.Thread(target=lambda: None) for _ in range(20)]
[x.start() for x in t]; [x.join() for x in t]
print(subprocess.run(["sh", "-c", "echo out; exit 3"], capture_output=True))
print(sorted(os.listdir("/proc/self/fd"))[:4], len(os.listdir("/proc/self/task")))
print(os.popen("echo popen").read())
p = os.fork()
os._exit(4) if p == 0 else print(os.waitpid(p, 0)[1])
print({s: str(signal.getsignal(s)) for s in (1, 2, 13, 15, 17)})'`, []string{"python3"}},
	{"python selectors", `python3 -c 'import asyncio, socket
async def go():
    async def serve(r, w):
        w.write((await r.readline()).upper()); await w.drain(); w.close()
    s = await asyncio.start_server(serve, "127.0.0.1", 0)
    r, w = await asyncio.open_connection(*s.sockets[0].getsockname())
    w.write(b"hello\n"); print(await r.read()); w.close()
    p = await asyncio.create_subprocess_exec("echo", "child", stdout=-1)
    print(await p.communicate(), p.returncode)
asyncio.run(go())
a, b = socket.socketpair(); a.send(b"x"); print(b.recv(5)); a.close(); print(b.recv(5))'`, []string{"python3"}},
	{"python multiprocessing", `python3 -c 'import multiprocessing as m
def f(x): return x * x
if __name__ == "__main__":
    m.set_start_method("fork")
    with m.Pool(3) as p: print(p.map(f, range(30)))'`, []string{"python3"}},
	{"python exit", `python3 -c 'import os; os.abort()'`, []string{"python3"}},
	{"perl", `perl -e 'print "$$\n" =~ /\d/ ? "number\n" : "none\n"; print ` + "`echo sub`" + `; $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; sleep 3; if (!fork) { exit 3 } wait; print $? >> 8, "\n"; opendir D, "/proc/self/fd"; print join(" ", sort grep /\d/, readdir D), "\n"'`, []string{"perl"}},
	{"git", "git --version; git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --format=%s", []string{"git"}},
	{"compile", "printf '#include <stdio.h>\nint main(void) { puts(\"hello\"); return 3; }' >h.c && cc -o h h.c && ./h; echo $?", []string{"cc"}},
	{"compile error", "echo 'int main(void) { return x; }' >e.c; cc -c e.c", []string{"cc"}},
	{"make", "printf 'all: a b c\\n\\t@echo all\\na b c:\\n\\t@echo $@\\n' >Makefile; make -s -j1", []string{"make"}},
	{"openssl", "echo text | openssl dgst -sha256", []string{"openssl"}},
	{"curl without network", "curl --version | head -n 1; echo local >f; curl -s file://$PWD/f; curl -s http://127.0.0.1:1/; echo $?", []string{"curl"}},
	{"wget without network", "wget --version | head -n 1; wget -q http://127.0.0.1:1/; echo $?", []string{"wget"}},
	{"getent", "getent hosts localhost; getent passwd root; getent services http", []string{"getent"}},
	{"static program", "printf 'int main(void) { return 5; }' >s.c && cc -static -o s s.c && ./s; echo $?", []string{"cc"}},
	{"strace of a child", "strace -f -o /dev/null sh -c 'echo traced; true'; echo $?", []string{"strace"}},
	{"id", "id; uname -s; hostname; pwd | wc -l; umask; date -u -d @0", []string{"hostname"}},
}

func TestCommandsCannotTellTheDifference(t *testing.T) {
	for _, command := range commands {
		t.Run(command.name, func(t *testing.T) {
			t.Parallel()
			for _, need := range command.needs {
				if _, err := exec.LookPath(need); err != nil {
					t.Skipf("%s is not installed", need)
				}
			}
			want := run(t, native(), "sh", "-c", command.line)
			agree(t, want, run(t, native(), "sh", "-c", command.line), "natively, again")
			if t.Failed() {
				return
			}
			agree(t, want, run(t, preloaded(t), "sh", "-c", command.line), "under Midstream")
		})
	}
}

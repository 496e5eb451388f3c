/* signalfd(SIGCHLD) reports every child of a process that did a GET. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int queue = (int)CALL(signalfd(-1, &set, SFD_CLOEXEC));
    fetch("/fixed/1000");
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(i);
        struct signalfd_siginfo info;
        if (!readable(queue)) {
            say("event %d lost\n", i);
            continue;
        }
        if (read(queue, &info, sizeof info) != sizeof info)
            fail("read of the signalfd");
        say("signal %u, this child %d, status %d\n", info.ssi_signo, info.ssi_pid == (unsigned)pid, info.ssi_status);
        wait_for(pid);
    }
    return 0;
}

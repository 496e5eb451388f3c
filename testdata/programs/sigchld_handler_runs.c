/* A SIGCHLD handler runs on the program's thread for each child, around GETs. */
#include "observe.h"

static volatile sig_atomic_t children;
static volatile pid_t thread;

static void handler(int unused)
{
    (void)unused;
    int saved = errno;
    thread = (pid_t)syscall(SYS_gettid);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        children++;
    errno = saved;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    signal(SIGCHLD, handler);
    int fd = begin_download();
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (int i = 0; i < 10; i++) {
        sigprocmask(SIG_BLOCK, &set, &old);
        if (fork() == 0)
            _exit(0);
        while (children <= i)
            sigsuspend(&old);
        sigprocmask(SIG_SETMASK, &old, NULL);
        body(fd, 1000);
    }
    say("children %d, on the main thread %d\n", (int)children, thread == getpid());
    return 0;
}

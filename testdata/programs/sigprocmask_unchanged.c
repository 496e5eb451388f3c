/* The mask a program set is the same inside and after its calls, also in handlers. */
#include "observe.h"

static void show(const char *when)
{
    sigset_t set;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    say("%s:", when);
    for (int i = 1; i < 65; i++)
        if (sigismember(&set, i) == 1)
            say(" %d", i);
    say("\n");
}

static void handler(int unused)
{
    (void)unused;
    show("in the handler");
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGUSR1);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGUSR1, handler);
    show("before");
    int fd = begin_download();
    show("during");
    raise(SIGUSR1);
    body(fd, 15000);
    show("after");
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    fetch("/fixed/1000");
    show("empty");
    return 0;
}

/* Every signal's action, the mask and the pending set are the same before and after a GET. */
#include "observe.h"

static void actions(const char *when)
{
    for (int i = 1; i < 65; i++) {
        unsigned long raw[4] = {0};
        long n = syscall(SYS_rt_sigaction, i, NULL, raw, 8);
        if (i >= 32 && i <= 34)
            continue; /* the C library's own */
        if (n != 0 || raw[0] != 0)
            say("%s %d: %ld handler %s\n", when, i, n, raw[0] == 1 ? "ignored" : raw[0] ? "set" : "default");
    }
    sigset_t set;
    sigprocmask(SIG_SETMASK, NULL, &set);
    for (int i = 1; i < 65; i++)
        if (sigismember(&set, i) == 1)
            say("%s %d blocked\n", when, i);
    sigpending(&set);
    for (int i = 1; i < 65; i++)
        if (sigismember(&set, i) == 1)
            say("%s %d pending\n", when, i);
}

static void handler(int unused) { (void)unused; }

int main(int argc, char **argv)
{
    begin(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, handler);
    signal(SIGFPE, handler);
    actions("before");
    fetch("/fixed/1000");
    actions("after");
    fetch("/fixed/1001");
    actions("at last");
    return 0;
}

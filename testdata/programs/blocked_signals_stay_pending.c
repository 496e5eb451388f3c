/* Blocked signals sent to the process stay pending across a GET, for sigwait to take. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int wanted[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD, SIGPROF, SIGURG, SIGALRM, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct sigaction action = {.sa_handler = (void (*)(int))abort};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sigaction(wanted[i], &action, NULL);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (round < 2)
                kill(getpid(), wanted[i]);
        fetch("/fixed/1000");
        sigset_t pending;
        sigpending(&pending);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            say("%d pending %d\n", wanted[i], sigismember(&pending, wanted[i]));
            if (round < 2) {
                sigset_t one;
                int got = 0;
                sigemptyset(&one);
                sigaddset(&one, wanted[i]);
                CALL(sigwait(&one, &got));
                say("got %d\n", got);
            }
        }
    }
    return 0;
}

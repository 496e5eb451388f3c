/* Queued real-time signals arrive in order with their values, around a GET; timer_create too. */
#include "observe.h"

static volatile int values[64], count;

static void handler(int unused, siginfo_t *info, void *context)
{
    (void)unused;
    (void)context;
    values[count++ % 64] = info->si_value.sival_int;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN + 3, &action, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 10; i++)
        CALL(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i * i}));
    fetch("/fixed/1000");
    say("count %d\n", count);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    for (int i = 0; i < count; i++)
        say("value %d\n", values[i]);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 77};
    struct itimerspec once = {{0, 0}, {0, 1000000}};
    timer_t timer;
    CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CALL(timer_settime(timer, 0, &once, NULL));
    while (count < 11)
        ;
    say("value %d\n", values[10]);
    return 0;
}

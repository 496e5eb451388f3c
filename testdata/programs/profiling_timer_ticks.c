/* SIGPROF from ITIMER_PROF and SIGVTALRM reach the program's handler on its own thread. */
#include "observe.h"

static volatile sig_atomic_t prof, virtual, elsewhere;

static void handler(int number)
{
    if (number == SIGPROF)
        prof++;
    else
        virtual++;
    if ((pid_t)syscall(SYS_gettid) != getpid())
        elsewhere++;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGPROF, &action, NULL);
    sigaction(SIGVTALRM, &action, NULL);
    struct itimerval every = {{0, 4000}, {0, 4000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &every, NULL);
    setitimer(ITIMER_VIRTUAL, &every, NULL);
    int fd = begin_download();
    body(fd, 15000);
    while (prof < 5 || virtual < 5)
        ;
    fetch("/fixed/1000");
    setitimer(ITIMER_PROF, &off, NULL);
    setitimer(ITIMER_VIRTUAL, &off, NULL);
    say("ticked %d elsewhere %d\n", prof >= 5 && virtual >= 5, (int)elsewhere);
    return 0;
}

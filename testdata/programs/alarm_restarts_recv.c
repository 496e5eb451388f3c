/* SIGALRM with SA_RESTART does not end a blocked recv; the rest arrives. */
#include "observe.h"

static volatile sig_atomic_t ticks;

static void tick(int unused)
{
    (void)unused;
    ticks++;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    int fd = dial();
    ask(fd, "/later/20000");
    say("length %ld\n", head(fd));
    body(fd, 10000);
    struct itimerval every = {{0, 5000}, {0, 5000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &every, NULL);
    char octet;
    CALL(recv(fd, &octet, 1, 0));
    setitimer(ITIMER_REAL, &off, NULL);
    body(fd, 9999);
    say("ticked %d\n", ticks > 3);
    return 0;
}

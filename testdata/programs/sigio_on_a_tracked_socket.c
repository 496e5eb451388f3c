/* O_ASYNC on an active socket sends SIGIO when content arrives. */
#include "observe.h"

static volatile sig_atomic_t hits;

static void handler(int unused)
{
    (void)unused;
    hits++;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGIO, &action, NULL);
    int fd = dial();
    CALL(fcntl(fd, F_SETOWN, getpid()));
    CALL(fcntl(fd, F_SETFL, O_ASYNC));
    ask(fd, "/slow/20000");
    /* No signal is sent while a reader is blocked, so none is here. */
    for (int i = 0; i < 1000 && hits == 0; i++)
        sleep_ms(5);
    body(fd, head(fd));
    say("told %d\n", hits > 0);
    return 0;
}

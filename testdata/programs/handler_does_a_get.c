/* A signal handler itself connects, sends a GET and reads the answer, also within a recv. */
#include "observe.h"

static volatile sig_atomic_t done;

static void handler(int unused)
{
    (void)unused;
    int saved = errno;
    if (!done) {
        fetch("/fixed/600");
        done = 1;
    }
    errno = saved;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    int fd = dial();
    ask(fd, "/later/20000");
    long length = head(fd);
    body(fd, 10000);
    struct itimerval once = {{0, 0}, {0, 30000}};
    setitimer(ITIMER_REAL, &once, NULL);
    char octet;
    recv(fd, &octet, 1, MSG_PEEK);
    while (!done)
        ;
    body(fd, length - 10000);
    return 0;
}

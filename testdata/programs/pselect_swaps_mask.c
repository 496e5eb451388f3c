/* pselect lets a blocked signal in only while it waits; a GET goes on around it. */
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
    sigset_t set, open_set;
    signal(SIGUSR1, handler);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &open_set);
    int fd = dial();
    ask(fd, "/hang/20000");
    head(fd);
    body(fd, 10000);
    kill(getpid(), SIGUSR1);
    say("hits %d\n", (int)hits);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    struct timespec limit = {5, 0};
    CALL(pselect(fd + 1, &in, NULL, NULL, &limit, &open_set));
    say("hits %d limit %ld\n", (int)hits, (long)limit.tv_sec);
    kill(getpid(), SIGUSR1);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CALL(ppoll(&p, 1, &limit, &open_set));
    say("hits %d revents %d\n", (int)hits, p.revents);
    kill(getpid(), SIGUSR1);
    int queue = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
    CALL(epoll_pwait(queue, &event, 1, 5000, &open_set));
    say("hits %d\n", (int)hits);
    limit = (struct timespec){0, 10000000};
    CALL(ppoll(&p, 1, &limit, &open_set));
    CALL(pselect(0, NULL, NULL, NULL, &limit, NULL));
    return 0;
}

/* SIGALRM without SA_RESTART ends a blocked recv, read, poll, select and epoll_wait with EINTR. */
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
    int fd = dial();
    ask(fd, "/hang/20000");
    say("length %ld\n", head(fd));
    body(fd, 10000);
    struct sigaction action = {.sa_handler = tick};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {{0, 50000}, {0, 50000}};
    setitimer(ITIMER_REAL, &every, NULL);
    char buffer[100];
    CALL(recv(fd, buffer, sizeof buffer, 0));
    CALL(read(fd, buffer, sizeof buffer));
    struct iovec part = {buffer, sizeof buffer};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    CALL(readv(fd, &part, 1));
    CALL(recvmsg(fd, &message, 0));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CALL(poll(&p, 1, -1));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    CALL(select(fd + 1, &set, NULL, NULL, NULL));
    int queue = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    CALL(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(queue, &event, 1, -1));
    say("ticked %d\n", ticks >= 7);
    return 0;
}

/* EPOLLEXCLUSIVE sets, one socket in two of them; epoll_pwait and epoll_pwait2. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), a = epoll_create1(0), b = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u32 = 9}, got;
    CALL(epoll_ctl(a, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_ctl(b, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_ctl(a, EPOLL_CTL_MOD, fd, &event));
    ask(fd, "/fixed/3000");
    struct timespec limit = {10, 0}, brief = {0, 5000000};
    CALL(epoll_pwait2(a, &got, 1, &limit, NULL));
    say("events %x data %u\n", got.events, got.data.u32);
    CALL(epoll_pwait(b, &got, 1, 10000, NULL));
    say("events %x data %u\n", got.events, got.data.u32);
    body(fd, head(fd));
    CALL(epoll_pwait2(a, &got, 1, &brief, NULL));
    CALL(epoll_pwait(b, &got, 1, 5, NULL));
    CALL(epoll_ctl(a, EPOLL_CTL_DEL, fd, NULL));
    get(fd, "/fixed/10");
    return 0;
}

/* An epoll set within an epoll set and in poll, with a tracked socket inside; across fork too. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), inner = epoll_create1(0), outer = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 1}, got;
    CALL(epoll_ctl(inner, EPOLL_CTL_ADD, fd, &event));
    event.data.u32 = 2;
    CALL(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event));
    CALL(epoll_wait(outer, &got, 1, 0));
    ask(fd, "/fixed/3000");
    CALL(epoll_wait(outer, &got, 1, 10000));
    say("data %u\n", got.data.u32);
    struct pollfd p = {.fd = inner, .events = POLLIN};
    CALL(poll(&p, 1, 10000));
    CALL(epoll_wait(inner, &got, 1, 10000));
    say("data %u\n", got.data.u32);
    body(fd, head(fd));
    CALL(epoll_wait(outer, &got, 1, 10));
    pid_t pid = fork();
    if (pid == 0) {
        ask(fd, "/fixed/10");
        CALL(epoll_wait(outer, &got, 1, 10000));
        body(fd, head(fd));
        _exit(0);
    }
    wait_for(pid);
    return 0;
}

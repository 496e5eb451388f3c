/* EPOLLONESHOT reports once, then nothing until it is armed again. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), queue = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = 5}, got;
    CALL(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
    for (int i = 0; i < 3; i++) {
        ask(fd, "/fixed/20000");
        CALL(epoll_wait(queue, &got, 1, 10000));
        say("events %x data %u\n", got.events, got.data.u32);
        long length = head(fd);
        body(fd, length / 2);
        CALL(epoll_wait(queue, &got, 1, 20));
        CALL(epoll_ctl(queue, EPOLL_CTL_MOD, fd, &event));
        CALL(epoll_wait(queue, &got, 1, 10000));
        body(fd, length / 2);
        CALL(epoll_ctl(queue, EPOLL_CTL_MOD, fd, &event));
    }
    return 0;
}

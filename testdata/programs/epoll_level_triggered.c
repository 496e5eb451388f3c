/* Level-triggered epoll reports unread content again and again, with its data, until it is read. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), queue = (int)CALL(epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, got;
    CALL(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(queue, &got, 1, 0));
    ask(fd, "/fixed/20000");
    for (int i = 0; i < 3; i++) {
        CALL(epoll_wait(queue, &got, 1, 10000));
        say("events %x data %llx\n", got.events, (unsigned long long)got.data.u64);
    }
    long length = head(fd);
    body(fd, length - 1);
    CALL(epoll_wait(queue, &got, 1, 10000));
    body(fd, 1);
    CALL(epoll_wait(queue, &got, 1, 10));
    event.events = EPOLLIN | EPOLLOUT;
    CALL(epoll_ctl(queue, EPOLL_CTL_MOD, fd, &event));
    CALL(epoll_wait(queue, &got, 1, 10000));
    say("events %x\n", got.events);
    get(fd, "/fixed/50");
    int copy = dup(fd);
    CALL(close(fd));
    CALL(epoll_wait(queue, &got, 1, 0));
    say("events %x\n", got.events);
    CALL(close(copy));
    CALL(epoll_wait(queue, &got, 1, 0));
    CALL(epoll_ctl(queue, EPOLL_CTL_DEL, fd, NULL));
    return 0;
}

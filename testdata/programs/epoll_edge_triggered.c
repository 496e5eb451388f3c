/* Edge-triggered epoll reports each arrival once; what was not read is not reported again. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial(), queue = epoll_create1(0);
    CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP, .data.fd = fd}, got;
    CALL(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
    ask(fd, "/slow/20000");
    head(fd);
    long total = 0;
    char buffer[5000];
    while (total < 20000) {
        int n = epoll_wait(queue, &got, 1, 10000);
        if (n != 1 || got.events != EPOLLIN || got.data.fd != fd)
            say("epoll_wait %d events %x\n", n, got.events);
        ssize_t r;
        while ((r = recv(fd, buffer, sizeof buffer, 0)) > 0)
            total += r;
        if (r != -1 || errno != EAGAIN)
            say("recv %zd\n", r);
    }
    say("total %ld\n", total);
    CALL(epoll_wait(queue, &got, 1, 20));
    ask(fd, "/fixed/100");
    CALL(epoll_wait(queue, &got, 1, 10000));
    sleep_ms(20);
    epoll_wait(queue, &got, 1, 0);
    CALL(epoll_wait(queue, &got, 1, 20));
    say("unread %d\n", recv(fd, buffer, sizeof buffer, 0) > 100);
    return 0;
}

/*
 * lent.c: a membership that was lent EPOLLOUT, so that what lies decrypted in a TLS session is shown, is the program's own again once
 * that has been read. Exit status 0: what comes from then on is shown as often as the program has asked for.
 */
#define NO_MAIN
#include "fired.c"

NOT_CALLED(attempt_shown)

int main(void)
{
    static const struct { uint32_t events; int again; } kinds[] = {
        { EPOLLIN, 1 }, { EPOLLIN | EPOLLEXCLUSIVE, 1 }, { EPOLLIN | EPOLLET, 0 }, { EPOLLIN | EPOLLONESHOT, 0 },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int epfd = begin();
        struct epoll_event event = { .events = kinds[i].events };
        atomic_store(&stream.pending, 1);
        epoll_ctl(epfd, EPOLL_CTL_ADD, stream.fd, &event);
        atomic_store(&stream.pending, 0);
        expect("read before it was waited for", epfd, 0);
        write(connections[0].there, "xx", 2);
        await_input(stream.fd);
        expect("two octets", epfd, 1);
        recv(stream.fd, &(char){ 0 }, 1, 0);
        expect("one is left", epfd, kinds[i].again);
        expect("still", epfd, kinds[i].again);
    }
    return 0;
}

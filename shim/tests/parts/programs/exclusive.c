/*
 * exclusive.c: a membership with EPOLLEXCLUSIVE, which the kernel lets nobody change (epoll_ctl(2)), shows what lies decrypted in
 * a TLS session, and nothing once that has been read. Exit status 0: it does.
 */
#define NO_MAIN
#include "fired.c"

NOT_CALLED(attempt_shown)

int main(void)
{
    int epfd = begin();
    struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE };
    epoll_ctl(epfd, EPOLL_CTL_ADD, stream.fd, &event);
    expect("before there is anything", epfd, 0);
    atomic_store(&stream.pending, 1);
    epoll_show(&stream);
    expect("decrypted", epfd, 1);
    expect("not read yet", epfd, 1);
    atomic_store(&stream.pending, 0);
    expect("read", epfd, 0);
    expect("nothing more", epfd, 0);
    return 0;
}

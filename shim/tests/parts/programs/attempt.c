/*
 * attempt.c: an event of a connection that is being made is kept from the program, for another attempt has taken its place. Exit
 * status 0: a membership with EPOLLONESHOT, which has fired with it, shows how that one ends.
 */
#define NO_MAIN
#include "fired.c"

bool attempt_shown(struct stream *s, uint32_t events)
{
    (void)events;
    atomic_store(&attempts_open, 0);
    atomic_store(&s->attempt.state, ATTEMPT_NONE);
    replace_by(connections[1].here);
    return true;
}

int main(void)
{
    int epfd = begin();
    struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT }; /* unlike EPOLLOUT, not yet there for the other attempt */
    atomic_store(&attempts_open, 1);
    atomic_store(&stream.attempt.state, ATTEMPT_FIRST);
    epoll_ctl(epfd, EPOLL_CTL_ADD, stream.fd, &event);
    write(connections[0].there, "x", 1);
    await_input(stream.fd);
    expect("the first attempt's event", epfd, 0);
    write(connections[1].there, "x", 1);
    await_input(stream.fd);
    expect("the other attempt has succeeded", epfd, 1);
    expect("the event that fired", epfd, 0);
    return 0;
}

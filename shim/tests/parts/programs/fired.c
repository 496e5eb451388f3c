/*
 * fired.c: a connection whose membership with EPOLLONESHOT has fired is replaced, fails and is mended. Exit status 0: until the
 * program asks for more, its waits show nothing (epoll_ctl(2)), whether the kernel tells what has fired or there is no /proc.
 */
#include "epoll.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct { int here, there; } connections[3];

static void replace_by(int fd)
{
    epoll_part(&stream, stream.fd);
    dup3(fd, stream.fd, 0);
    epoll_join(&stream, stream.fd);
}

bool ending_met_in_wait(struct stream *s)
{
    (void)s;
    replace_by(connections[2].here);
    return true;
}

static void expect(const char *when, int epfd, int count)
{
    struct epoll_event event;
    int got = epoll_wait(epfd, &event, 1, 0);
    if (got != count) {
        fprintf(stderr, "%s: %d events\n", when, got);
        exit(1);
    }
}

static void await_input(int fd)
{
    struct pollfd look = { .fd = fd, .events = POLLIN };
    REAL(poll)(&look, 1, -1);
}

/* Makes the connections and a set, in which there is none of them yet. */
static int begin(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM, 0), epfd = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&to, sizeof to) || listen(listener, 3)
        || getsockname(listener, (struct sockaddr *)&to, &length)) {
        exit(2);
    }
    for (int i = 0; i < 3; i++) {
        connections[i].here = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connections[i].here, (struct sockaddr *)&to, sizeof to)) {
            exit(2);
        }
        connections[i].there = accept(listener, NULL, NULL);
    }
    stream.fd = connections[0].here;
    atomic_store(&stream_table[stream.fd], &stream);
    for (int i = 0; i < STREAM_EPOLLS; i++) {
        stream.memberships.list[i].epfd = -1;
    }
    return epfd;
}

#ifndef NO_MAIN
NOT_CALLED(attempt_shown)

static long no_file(long number, ...)
{
    (void)number;
    errno = ENOENT;
    return -1;
}

static void fire(void)
{
    int epfd = begin();
    struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT };
    epoll_ctl(epfd, EPOLL_CTL_ADD, stream.fd, &event);
    expect("before there is anything", epfd, 0);
    write(connections[0].there, "x", 1);
    await_input(stream.fd);
    expect("the first octet", epfd, 1);
    expect("the event that fired", epfd, 0);
    replace_by(connections[1].here);
    expect("replaced", epfd, 0);
    replace_by(connections[2].here);
    write(connections[2].there, "x", 1);
    await_input(stream.fd);
    expect("replaced twice", epfd, 0);
    replace_by(connections[1].here);
    struct linger hard = { .l_onoff = 1 };
    setsockopt(connections[1].there, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(connections[1].there);
    await_input(stream.fd);
    expect("reset", epfd, 0);
    replace_by(connections[2].here);
    await_input(stream.fd);
    expect("mended", epfd, 0);
    epoll_ctl(epfd, EPOLL_CTL_MOD, stream.fd, &event);
    expect("asked for more", epfd, 1);
    expect("the event that fired again", epfd, 0);
}

int main(void)
{
    fire();
    atomic_store(&calls_real[CALL_syscall], (void *)no_file);
    fire();
    return 0;
}
#endif

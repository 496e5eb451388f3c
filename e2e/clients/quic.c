/*
 * quic.c: speaks by UDP to port 443 of an address, in all ways, and to the port beside it, and prints what came of it.
 *
 * Usage: quic ADDRESS…. TCP has to be answered at port 443.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *what, int port, long result)
{
    printf("%s %d: %ld %s\n", what, port, result, result < 0 ? strerrorname_np(errno) : "");
}

static struct mmsghdr to(struct sockaddr_storage *address, socklen_t length)
{
    static struct iovec part = { "quic", 4 };
    return (struct mmsghdr){ .msg_hdr = { .msg_name = address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1 } };
}

static socklen_t address_of(struct sockaddr_storage *address, const char *text, int port)
{
    struct sockaddr_in *four = (void *)address;
    struct sockaddr_in6 *six = (void *)address;
    memset(address, 0, sizeof *address);
    four->sin_port = htons(port);
    address->ss_family = inet_pton(AF_INET, text, &four->sin_addr) == 1 ? AF_INET : AF_INET6;
    if (address->ss_family == AF_INET6) {
        inet_pton(AF_INET6, text, &six->sin6_addr);
    }
    return address->ss_family == AF_INET ? sizeof *four : sizeof *six;
}

static void speak(const char *text, int port)
{
    struct sockaddr_storage address, beside;
    socklen_t length = address_of(&address, text, port);
    address_of(&beside, text, 444);
    int family = address.ss_family, fd;

    fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    say("connect", port, connect(fd, (struct sockaddr *)&address, length));
    close(fd);

    fd = socket(family, SOCK_DGRAM, 0);
    say("connect that waits", port, connect(fd, (struct sockaddr *)&address, length));
    say("send", port, send(fd, "quic", 4, 0));
    close(fd);

    fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct mmsghdr one = to(&address, length), two[] = { to(&address, length), to(&beside, length) }, last[] = { to(&beside, length), to(&address, length) };
    say("sendto", port, sendto(fd, "quic", 4, 0, (struct sockaddr *)&address, length));
    say("sendmsg", port, sendmsg(fd, &one.msg_hdr, 0));
    say("sendmmsg", port, sendmmsg(fd, &one, 1, 0));
    say("sendmmsg, first", port, sendmmsg(fd, two, 2, 0));
    say("sendmmsg, second", port, sendmmsg(fd, last, 2, 0));
    say("sendto, short", port, sendto(fd, "quic", 4, 0, (struct sockaddr *)&address, 8));
    close(fd);
    say("sendto, closed", port, sendto(fd, "quic", 4, 0, (struct sockaddr *)&address, length));

    fd = socket(family, SOCK_STREAM, 0);
    address_of(&address, text, 443);
    say("connect by TCP", 443, connect(fd, (struct sockaddr *)&address, length));
    close(fd);
}

int main(int count, char **arguments)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < count; i++) {
        speak(arguments[i], 443);
        speak(arguments[i], 444);
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    say("nowhere", 0, sendto(fd, "quic", 4, 0, (struct sockaddr *)1, 16));
    say("no message", 0, sendmsg(fd, (struct msghdr *)1, 0));
    say("no messages", 0, sendmmsg(fd, (struct mmsghdr *)1, 1, 0));
    return 0;
}

/*
 * many: downloads one URL over many connections at once, in one thread with epoll, and compares every octet.
 *
 *     many COUNT COPY HOST PORT PATH
 *
 * Prints "all have begun" when each has received a head and a first octet, and reads no more until a line has come on
 * standard input. At the end it prints how many were complete. Exit status 1 at the first wrong octet.
 */
#define _GNU_SOURCE
#include "http.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct one {
    int fd, begun;
    struct response r;
};

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: many COUNT COPY HOST PORT PATH\n");
        return 2;
    }
    int count = atoi(argv[1]), begun = 0, complete = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int file = open(argv[2], O_RDONLY | O_CLOEXEC);
    struct stat s;
    if (file < 0 || fstat(file, &s))
        die(argv[2]);
    const char *copy = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    struct addrinfo *addresses = look_up(argv[3], argv[4]);
    struct one *all = calloc((size_t)count, sizeof *all);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) {
        all[i].fd = dial(addresses, 0);
        if (all[i].fd < 0)
            die("connect");
        fcntl(all[i].fd, F_SETFL, O_NONBLOCK);
        int small = 8192; /* so that the server is stopped soon */
        setsockopt(all[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        struct epoll_event e = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &e))
            die("epoll_ctl");
        ask(all[i].fd, argv[3], argv[5]);
    }
    int held = 1;
    while (complete < count) {
        struct epoll_event events[64];
        if (held && begun == count) {
            char line[16];
            puts("all have begun");
            if (!fgets(line, sizeof line, stdin))
                return 1;
            held = 0;
            for (int i = 0; i < count; i++) {
                struct epoll_event e = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
                epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &e);
            }
        }
        int n = epoll_wait(epoll_fd, events, 64, -1);
        for (int i = 0; i < n; i++) {
            struct one *o = &all[events[i].data.u32];
            char buffer[8192];
            ssize_t got = recv(o->fd, buffer, sizeof buffer, 0);
            if (got < 0 && (errno == EAGAIN || errno == EINTR))
                continue;
            if (got <= 0) {
                fprintf(stderr, "connection %u ended early: %s\n", events[i].data.u32, got ? strerror(errno) : "end of file");
                return 1;
            }
            ssize_t content = take(&o->r, buffer, (size_t)got);
            int64_t at = o->r.length - o->r.left - content;
            if (content < 0 || (o->r.complete_head && o->r.length != s.st_size) ||
                (content && memcmp(copy + at, buffer + got - content, (size_t)content))) {
                fprintf(stderr, "connection %u: wrong octets\n", events[i].data.u32);
                return 1;
            }
            if (content && !o->begun) {
                o->begun = 1;
                epoll_ctl(epoll_fd, EPOLL_CTL_DEL, o->fd, NULL);
                begun++;
            }
            if (o->r.complete_head && !o->r.left) {
                complete++;
                close(o->fd);
            }
        }
    }
    printf("%d complete\n", complete);
    return 0;
}

/*
 * churn: many downloads at once and one after another, in random ways, every octet compared with a local copy.
 *
 *     churn THREADS SEED COPY HOST PORT PATH
 *
 * Each thread downloads PATH over and over, mostly on one connection, until standard input ends. Prints how many
 * downloads were complete. Exit status 1 at the first wrong octet or early end.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>

static const char *host, *path;
static struct addrinfo *addresses;
static _Atomic int stop;
static _Atomic long downloads;

static void wait_for(int fd, int epoll_fd, int way)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct epoll_event e;
    fd_set set;
    switch (way) {
    case 0:
        poll(&p, 1, -1);
        break;
    case 1:
        FD_ZERO(&set);
        FD_SET(fd, &set);
        select(fd + 1, &set, NULL, NULL, NULL);
        break;
    default:
        epoll_wait(epoll_fd, &e, 1, -1);
    }
}

static void compare(const struct response *r, const char *data, size_t n, int64_t at)
{
    if (at + (int64_t)n > size || memcmp(copy + at, data, n)) {
        size_t i = 0;
        while (i < n && at + (int64_t)i < size && copy[at + (int64_t)i] == data[i])
            i++;
        fprintf(stderr, "wrong octet at %lld of %lld\n", (long long)(at + (int64_t)i), (long long)r->length);
        exit(1);
    }
}

/* One exchange. way: 0 poll, 1 select, 2 epoll level, 3 epoll edge, 4 and more blocking. */
static void exchange(int fd, int epoll_fd, int way, unsigned *seed)
{
    static _Thread_local char buffer[65536];
    struct response r = { .have = 0 };
    ask(fd, host, path);
    while (!r.complete_head || r.left) {
        size_t most = 1 + (size_t)rand_r(seed) % (rand_r(seed) % 4 ? 65536 : 300);
        ssize_t n = recv(fd, buffer, most, 0);
        if (n < 0 && errno == EAGAIN) {
            wait_for(fd, epoll_fd, way);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fprintf(stderr, "early end with %lld octets left: %s\n", (long long)r.left, n ? strerror(errno) : "end of file");
            exit(1);
        }
        ssize_t content = take(&r, buffer, (size_t)n);
        if (content < 0) {
            fprintf(stderr, "malformed response\n");
            exit(1);
        }
        compare(&r, buffer + n - content, (size_t)content, size - r.left - content);
    }
    if (r.status != 200 || r.length != size) {
        fprintf(stderr, "status %d, %lld octets\n", r.status, (long long)r.length);
        exit(1);
    }
    atomic_fetch_add(&downloads, 1);
}

static void *work(void *given)
{
    unsigned seed = (unsigned)(uintptr_t)given;
    while (!stop) {
        int fd = dial(addresses, 0), epoll_fd = -1;
        if (fd < 0)
            die("connect");
        int way = rand_r(&seed) % 7;
        if (way < 4)
            fcntl(fd, F_SETFL, O_NONBLOCK);
        if (way == 2 || way == 3) {
            struct epoll_event e = { .events = way == 3 ? EPOLLIN | EPOLLET : EPOLLIN };
            epoll_fd = epoll_create1(EPOLL_CLOEXEC);
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
        }
        int exchanges = 1 + rand_r(&seed) % 8;
        for (int i = 0; i < exchanges && !stop; i++)
            exchange(fd, epoll_fd, way, &seed);
        close(fd);
        if (epoll_fd >= 0)
            close(epoll_fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: churn THREADS SEED COPY HOST PORT PATH\n");
        return 2;
    }
    int threads = atoi(argv[1]);
    host = argv[4], path = argv[6];
    load_copy(argv[3]);
    addresses = look_up(host, argv[5]);
    pthread_t *all = start(threads, argv[2], work);
    await_input();
    stop = 1;
    join(all, threads);
    printf("%ld downloads\n", downloads);
    return 0;
}

/*
 * pool: downloads over many connections by a pool of threads that share one epoll set, each event for one of them.
 *
 *     pool THREADS CONNECTIONS COPY HOST PORT PATH
 *
 * Every connection is in the set with EPOLLONESHOT, some with EPOLLET too: whoever gets its event reads for a while, and
 * arms it again by EPOLL_CTL_MOD, or takes it out and puts it in. Every octet is compared with a local copy. When standard
 * input ends, no download is begun any more; once all are complete, their number is printed. Exit status 1 at the first
 * difference.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <stdatomic.h>
#include <sys/epoll.h>

struct one {
    int fd;
    unsigned seed;
    uint32_t events;
    struct response r;
};

static const char *host, *path;
static struct addrinfo *addresses;
static int epoll_fd;
static _Atomic int stop;
static _Atomic long complete, open_ones;

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Begins a download on a new connection. */
static void begin(struct one *o)
{
    memset(&o->r, 0, sizeof o->r);
    o->fd = dial(addresses, 0);
    if (o->fd < 0)
        die("connect");
    ask(o->fd, host, path);
    fcntl(o->fd, F_SETFL, O_NONBLOCK);
    o->events = EPOLLIN | EPOLLONESHOT | (rand_r(&o->seed) % 2 ? EPOLLET : 0) | (rand_r(&o->seed) % 2 ? EPOLLRDHUP : 0);
    struct epoll_event e = { .events = o->events, .data.ptr = o };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, o->fd, &e))
        die("epoll_ctl");
}

/* Reads for a while. False when the download is complete. */
static int go_on(struct one *o, char *buffer, size_t room)
{
    for (int i = rand_r(&o->seed) % 6; i >= 0; i--) {
        ssize_t n = recv(o->fd, buffer, 1 + (size_t)rand_r(&o->seed) % room, 0);
        if (n < 0 && errno == EAGAIN)
            return 1;
        if (n <= 0)
            fail(n ? "recv" : "early end");
        ssize_t content = take(&o->r, buffer, (size_t)n);
        if (content < 0 || memcmp(copy + size - o->r.left - content, buffer + n - content, (size_t)content))
            fail("wrong octet");
        if (o->r.complete_head && !o->r.left)
            return 0;
    }
    return 1;
}

static void *work(void *unused)
{
    static _Thread_local char buffer[65536];
    (void)unused;
    while (open_ones) {
        struct epoll_event e;
        int n = epoll_wait(epoll_fd, &e, 1, 100);
        if (n < 0)
            fail("epoll_wait");
        if (!n)
            continue;
        struct one *o = e.data.ptr;
        if (go_on(o, buffer, sizeof buffer)) {
            e.events = o->events;
            if (rand_r(&o->seed) % 3 ? epoll_ctl(epoll_fd, EPOLL_CTL_MOD, o->fd, &e)
                                     : epoll_ctl(epoll_fd, EPOLL_CTL_DEL, o->fd, NULL) || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, o->fd, &e))
                fail("epoll_ctl");
            continue;
        }
        complete++;
        close(o->fd);
        if (stop)
            open_ones--;
        else
            begin(o);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: pool THREADS CONNECTIONS COPY HOST PORT PATH\n");
        return 2;
    }
    int threads = atoi(argv[1]), connections = atoi(argv[2]);
    host = argv[4], path = argv[6];
    load_copy(argv[3]);
    addresses = look_up(host, argv[5]);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct one *all = calloc((size_t)connections, sizeof *all);
    open_ones = connections;
    for (int i = 0; i < connections; i++) {
        all[i].seed = (unsigned)i;
        begin(&all[i]);
    }
    pthread_t *pool = start(threads, "0", work);
    await_input();
    stop = 1;
    join(pool, threads);
    printf("%ld downloads\n", complete);
    return 0;
}

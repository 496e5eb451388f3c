/*
 * churn: many downloads at once and one after another, in random ways, every octet compared with a local copy.
 *
 *     churn THREADS SEED COPY HOST PORT PATH
 *
 * Each thread downloads PATH over and over, mostly on one connection, until standard input ends. Prints how many
 * downloads were complete, and in how many the program was handed nothing for 2.5 s, which no server here explains. Exit status 1
 * at the first wrong octet or early end.
 */
#define _GNU_SOURCE
#include "copy.h"
#include "message.h"

#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>

static const char *host, *path;
static struct addrinfo *addresses;
static _Atomic int stop;
static _Atomic long downloads, stalls;

static int64_t milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Another thread, which sends the request when the first one is about to wait for the answer, or a little later. */
struct asker {
    pthread_t thread;
    sem_t due, done;
    int fd, yields;
};

static void *ask_later(void *given)
{
    struct asker *a = given;
    for (;;) {
        sem_wait(&a->due);
        if (a->fd < 0)
            return NULL;
        for (int i = 0; i < a->yields; i++)
            sched_yield();
        ask(a->fd, host, path);
        sem_post(&a->done);
    }
}

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

static void compare(const char *data, size_t n, int64_t at)
{
    if (at + (int64_t)n > size || memcmp(copy + at, data, n)) {
        size_t i = 0;
        while (i < n && at + (int64_t)i < size && copy[at + (int64_t)i] == data[i])
            i++;
        fprintf(stderr, "wrong octet at %lld of %lld\n", (long long)(at + (int64_t)i), (long long)size);
        exit(1);
    }
}

static void early(const struct message *m, ssize_t n)
{
    const char *how = n ? strerror(errno) : "end of file";
    fprintf(stderr, "early end in phase %d with %lld octets left: %s\n", m->phase, m->phase == HEAD ? 0LL : (long long)(size - m->content), how);
    exit(1);
}

/* One exchange. way: 0 poll, 1 select, 2 epoll level, 3 epoll edge, 4 and more blocking. True: another may follow. */
static int exchange(int fd, int epoll_fd, int way, unsigned *seed, struct asker *asker)
{
    static _Thread_local char buffer[65536];
    static _Thread_local struct message m;
    int64_t heard = milliseconds();
    m.phase = HEAD;
    m.have = 0;
    m.content = 0;
    if (asker) {
        asker->yields = rand_r(seed) % 60;
        sem_post(&asker->due);
    } else {
        ask(fd, host, path);
    }
    while (m.phase != COMPLETE) {
        size_t most = 1 + (size_t)rand_r(seed) % (rand_r(seed) % 4 ? 65536 : 300);
        ssize_t n = recv(fd, buffer, most, 0);
        if (n < 0 && errno == EAGAIN) {
            wait_for(fd, epoll_fd, way);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        int64_t now = milliseconds();
        if (now - heard > 2500) {
            stalls++;
            fprintf(stderr, "nothing for %lld ms after %lld octets, in phase %d\n", (long long)(now - heard), (long long)m.content, m.phase);
        }
        heard = now;
        if (!n && m.phase == BY_CLOSE && m.content == size)
            break;
        if (n <= 0)
            early(&m, n);
        const char *at = buffer, *end = buffer + n;
        while (at < end) {
            ssize_t content = take_message(&m, &at, end);
            if (content < 0 || (m.phase == COMPLETE && at < end)) {
                fprintf(stderr, "malformed response after %lld octets, in phase %d: %.200s\n", (long long)m.content, m.phase, m.head);
                exit(1);
            }
            compare(at - content, (size_t)content, m.content - content);
        }
    }
    if (m.status != 200 || m.content != size) {
        fprintf(stderr, "status %d, %lld octets\n", m.status, (long long)m.content);
        exit(1);
    }
    if (asker)
        sem_wait(&asker->done);
    atomic_fetch_add(&downloads, 1);
    return m.phase == COMPLETE && !m.closes;
}

static void *work(void *given)
{
    unsigned seed = (unsigned)(uintptr_t)given;
    while (!stop) {
        int fd = dial(addresses, 0), epoll_fd = -1;
        if (fd < 0)
            die("connect");
        int way = rand_r(&seed) % 9;
        struct asker asker = { .fd = fd }, *other = way > 6 ? &asker : NULL;
        if (other) {
            sem_init(&other->due, 0, 0);
            sem_init(&other->done, 0, 0);
            pthread_create(&other->thread, NULL, ask_later, other);
        }
        if (way < 4)
            fcntl(fd, F_SETFL, O_NONBLOCK);
        if (way == 2 || way == 3) {
            struct epoll_event e = { .events = way == 3 ? EPOLLIN | EPOLLET : EPOLLIN };
            epoll_fd = epoll_create1(EPOLL_CLOEXEC);
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
        }
        int exchanges = 1 + rand_r(&seed) % 8;
        for (int i = 0; i < exchanges && !stop && exchange(fd, epoll_fd, way, &seed, other); i++)
            ;
        if (other) {
            other->fd = -1;
            sem_post(&other->due);
            pthread_join(other->thread, NULL);
        }
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
    printf("%ld downloads, %ld stalls\n", downloads, stalls);
    return 0;
}

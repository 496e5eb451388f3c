/*
 * squat: downloads, in a program that takes descriptor numbers nobody would think it used.
 *
 *     squat THREADS SEED COPY HOST PORT PATH
 *
 * Threads download PATH over and over; another puts a file on numbers of the upper half of what is allowed (256), looks
 * whether they have it for a while, and closes them. Both until a character comes on standard input. Prints how many
 * downloads were complete. Exit status 1 at the first wrong octet or foreign descriptor.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define MOST 256

static const char *host, *path;
static struct addrinfo *addresses;
static _Atomic int stop;
static _Atomic long complete;

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *download(void *given)
{
    static _Thread_local char buffer[65536];
    unsigned seed = (unsigned)(uintptr_t)given;
    while (!stop) {
        int fd = dial(addresses, 0);
        if (fd < 0)
            die("connect");
        struct response r = { .have = 0 };
        ask(fd, host, path);
        while (!r.complete_head || r.left) {
            ssize_t n = recv(fd, buffer, 1 + (size_t)rand_r(&seed) % sizeof buffer, 0);
            if (n <= 0)
                fail(n ? strerror(errno) : "early end");
            ssize_t content = take(&r, buffer, (size_t)n);
            int64_t at = size - r.left - content;
            if (content < 0 || memcmp(copy + at, buffer + n - content, (size_t)content)) {
                int64_t i = 0;
                while (copy[at + i] == buffer[n - content + i])
                    i++;
                const char *found = memmem(copy, (size_t)size, buffer + n - content + i, 12);
                fprintf(stderr, "fd %d: octet %lld is octet %lld, in %zd from %lld on\n", fd, (long long)(at + i),
                        found ? (long long)(found - copy) : -1LL, content, (long long)at);
                fail("wrong octet");
            }
        }
        complete++;
        close(fd);
    }
    return NULL;
}

static void *squat(void *given)
{
    unsigned seed = (unsigned)(uintptr_t)given;
    char name[] = "/tmp/squat-XXXXXX";
    int own = mkostemp(name, O_CLOEXEC);
    struct stat file, there;
    if (own < 0 || unlink(name) || fstat(own, &file))
        die("mkostemp");
    while (!stop) {
        int n = MOST / 2 + rand_r(&seed) % (MOST / 2);
        if (dup2(own, n) != n)
            die("dup2");
        for (int i = 0; i < 5; i++) {
            if (fstat(n, &there) || there.st_ino != file.st_ino || there.st_dev != file.st_dev)
                fail("another file is behind the descriptor");
            sched_yield();
        }
        if (close(n))
            die("close");
    }
    if (fstat(own, &file) || file.st_size)
        fail("somebody has written to the file");
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: squat THREADS SEED COPY HOST PORT PATH\n");
        return 2;
    }
    struct rlimit limit = { MOST, MOST };
    int threads = atoi(argv[1]);
    host = argv[4], path = argv[6];
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die("setrlimit");
    load_copy(argv[3]);
    addresses = look_up(host, argv[5]);
    pthread_t *all = start(threads, argv[2], download), *squatter = start(1, argv[2], squat);
    await_input();
    stop = 1;
    join(all, threads);
    join(squatter, 1);
    printf("%ld downloads\n", complete);
    return 0;
}

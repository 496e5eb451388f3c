/*
 * reopen: connections that are closed in the middle of a download, and whose numbers are used again at once.
 *
 *     reopen THREADS SEED COPY HOST PORT PATH
 *
 * Each thread downloads a part of PATH, closes the descriptor or puts a file on it, and looks for a while whether the
 * number still has that file. When a character has come on standard input, it ends that, prints how many downloads
 * were begun, and waits for the next. Exit status 1 at the first wrong octet or foreign descriptor.
 */
#define _GNU_SOURCE
#include "copy.h"

#include <sched.h>
#include <stdatomic.h>

static const char *host, *path;
static struct addrinfo *addresses;
static _Atomic int stop;
static _Atomic long begun;

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Downloads up to `most` octets of content. */
static void part(int fd, int64_t most, unsigned *seed)
{
    static _Thread_local char buffer[16384];
    struct response r = { .have = 0 };
    int64_t at = 0;
    while ((!r.complete_head || r.left) && at < most) {
        ssize_t n = recv(fd, buffer, 1 + (size_t)rand_r(seed) % sizeof buffer, 0);
        if (n <= 0)
            fail(n ? strerror(errno) : "early end");
        ssize_t content = take(&r, buffer, (size_t)n);
        if (content < 0 || at + content > size || memcmp(copy + at, buffer + n - content, (size_t)content))
            fail("wrong octet");
        at += content;
    }
}

/* The number has the file, and keeps it. */
static void watch(int fd, const struct stat *file)
{
    for (int i = 0; i < 60; i++) {
        struct stat s;
        if (fstat(fd, &s) || s.st_ino != file->st_ino || s.st_dev != file->st_dev)
            fail("another file is behind the descriptor");
        sched_yield();
    }
}

static void *work(void *given)
{
    unsigned seed = (unsigned)(uintptr_t)given;
    char name[] = "/tmp/reopen-XXXXXX";
    int own = mkostemp(name, O_CLOEXEC);
    struct stat s;
    if (own < 0 || unlink(name) || fstat(own, &s))
        die("mkostemp");
    while (!stop) {
        int fd = dial(addresses, 0);
        if (fd < 0)
            die("connect");
        ask(fd, host, path);
        atomic_fetch_add(&begun, 1);
        part(fd, (int64_t)(rand_r(&seed) % (unsigned)size), &seed);
        if (rand_r(&seed) % 2) {
            if (dup2(own, fd) != fd)
                die("dup2");
        } else {
            close(fd);
            fd = fcntl(own, F_DUPFD_CLOEXEC, 0);
        }
        watch(fd, &s);
        close(fd);
    }
    close(own);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: reopen THREADS SEED COPY HOST PORT PATH\n");
        return 2;
    }
    int threads = atoi(argv[1]);
    host = argv[4], path = argv[6];
    load_copy(argv[3]);
    addresses = look_up(host, argv[5]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_t *all = start(threads, argv[2], work);
    await_input();
    stop = 1;
    join(all, threads);
    printf("%ld begun\n", begun);
    await_input();
    return 0;
}

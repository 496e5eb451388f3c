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
#include "http.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MOST 256

static const char *host, *path, *copy;
static struct addrinfo *addresses;
static int64_t size;
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
    int threads = atoi(argv[1]), file = open(argv[3], O_RDONLY | O_CLOEXEC);
    host = argv[4], path = argv[6];
    struct stat s;
    if (file < 0 || fstat(file, &s) || setrlimit(RLIMIT_NOFILE, &limit))
        die(argv[3]);
    size = s.st_size;
    copy = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, file, 0);
    addresses = look_up(host, argv[5]);
    pthread_t all[64];
    for (int i = 0; i < threads; i++)
        pthread_create(&all[i], NULL, download, (void *)(uintptr_t)(atoi(argv[2]) * 1000 + i + 1));
    pthread_create(&all[threads], NULL, squat, (void *)(uintptr_t)(atoi(argv[2]) * 1000));
    char c;
    if (read(0, &c, 1) < 0)
        die("read");
    stop = 1;
    for (int i = 0; i <= threads; i++)
        pthread_join(all[i], NULL);
    printf("%ld downloads\n", complete);
    return 0;
}

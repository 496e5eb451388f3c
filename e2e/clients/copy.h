/*
 * copy.h: what programs share that download a file over and over, compare every octet with a local copy, and end when
 * something has come on standard input, or its end.
 */
#ifndef CLIENTS_COPY_H
#define CLIENTS_COPY_H

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "http.h"

static const char *copy;
static int64_t size;

static inline void load_copy(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat s;
    if (fd < 0 || fstat(fd, &s))
        die(file);
    size = s.st_size;
    copy = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (copy == MAP_FAILED)
        die("mmap");
    close(fd);
}

/* Starts threads that are given seeds of their own. */
static inline pthread_t *start(int threads, const char *seed, void *(*work)(void *))
{
    pthread_t *all = calloc((size_t)threads, sizeof *all);
    for (int i = 0; i < threads; i++) {
        if ((errno = pthread_create(&all[i], NULL, work, (void *)(uintptr_t)(atoi(seed) * 1000 + i + 1))))
            die("pthread_create");
    }
    return all;
}

static inline void join(const pthread_t *all, int threads)
{
    for (int i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
}

static inline void await_input(void)
{
    char c;
    while (read(0, &c, 1) < 0) {
        if (errno != EINTR)
            die("read");
    }
}

#endif

/*
 * dialer.c: what the benchmark of the supervisor measures, linked statically.
 *
 *     dialer connect ADDRESS N      how long each of N connect() has taken, in µs, a line each
 *     dialer many ADDRESS N         N connections at once
 *     dialer fetch ADDRESS PATH     reads a file to its end
 *
 * All wait for the end of their input before they end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in to = { .sin_family = AF_INET };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int dial(int flags) { return socket(AF_INET, SOCK_STREAM | flags, 0); }

static int connect_one_by_one(int count)
{
    for (int i = 0; i < count; i++) {
        int fd = dial(0);
        double begun = now();
        if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
            return 1;
        }
        printf("%.1f\n", now() - begun);
        close(fd);
        usleep(1000);
    }
    return 0;
}

static int connect_all(int count)
{
    struct rlimit limit = { (rlim_t)count + 64, (rlim_t)count + 64 };
    setrlimit(RLIMIT_NOFILE, &limit);
    struct pollfd *all = calloc((size_t)count, sizeof *all);
    for (int i = 0; i < count; i++) {
        all[i] = (struct pollfd){ .fd = dial(SOCK_NONBLOCK), .events = POLLOUT };
        if (all[i].fd < 0 || !connect(all[i].fd, (struct sockaddr *)&to, sizeof to)) {
            return 1;
        }
    }
    for (int i = 0; i < count; i++) {
        if (poll(&all[i], 1, 10000) != 1 || all[i].revents != POLLOUT) {
            return 1;
        }
    }
    return 0;
}

static int fetch(const char *path)
{
    static char octets[65536];
    int fd = dial(0), length = snprintf(octets, sizeof octets, "GET %s HTTP/1.0\r\n\r\n", path);
    unsigned long total = 0;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) || write(fd, octets, (size_t)length) != length) {
        return 1;
    }
    for (ssize_t n; (n = read(fd, octets, sizeof octets)) > 0;) {
        total += (unsigned long)n;
    }
    printf("%lu\n", total);
    return 0;
}

int main(int count, char **arguments)
{
    char octet;
    if (count != 4 || inet_pton(AF_INET, arguments[2], &to.sin_addr) != 1) {
        return 2;
    }
    to.sin_port = htons(80);
    int status = !strcmp(arguments[1], "connect") ? connect_one_by_one(atoi(arguments[3]))
        : !strcmp(arguments[1], "many")           ? connect_all(atoi(arguments[3]))
                                                  : fetch(arguments[3]);
    puts("done");
    fflush(stdout);
    while (read(0, &octet, 1) > 0) {
    }
    return status;
}

/*
 * small.c: fetches a small file again and again on one connection, and says what each time took of the processor.
 *
 *     small HOST PORT PATH COUNT
 *
 * Prints microseconds of processor time for each of them, after some that do not count; then it waits for the end of its input.
 */
#define _GNU_SOURCE
#include "http.h"

#include <sys/resource.h>

#define WARM 200

static double processor_time(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void fetch(int fd, const char *host, const char *path)
{
    struct response r = { .left = -1 };
    char buffer[65536];
    ask(fd, host, path);
    while (!r.complete_head || r.left > 0) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            die("recv");
        ssize_t content = take(&r, buffer, (size_t)n);
        if (content < 0 || r.status != 200)
            die("no answer that is understood");
        r.left -= content;
    }
}

int main(int count, char **arguments)
{
    if (count != 5)
        return 2;
    const char *host = arguments[1], *path = arguments[3];
    int fd = dial(look_up(host, arguments[2]), 0), times = atoi(arguments[4]);
    if (fd < 0)
        die("connect");
    double before = 0;
    for (int i = 0; i < WARM + times; i++) {
        if (i == WARM) {
            usleep(100000); /* the core has come by then */
            before = processor_time();
        }
        fetch(fd, host, path);
    }
    printf("%.3f\n", (processor_time() - before) / times);
    fflush(stdout);
    char c;
    while (read(0, &c, 1) > 0) {
    }
    return 0;
}

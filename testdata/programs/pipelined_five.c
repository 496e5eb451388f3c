/* Five GETs in one write; their answers are read across their borders. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    char requests[2000];
    size_t n = 0;
    int fd = dial();
    for (int i = 0; i < 5; i++) {
        char path[40];
        snprintf(path, sizeof path, "/fixed/%d", 1000 * i);
        n += compose(requests + n, path);
    }
    send_all(fd, requests, n);
    settle();
    for (int i = 0; i < 5; i++) {
        long length = head(fd);
        say("length %ld\n", length);
        body(fd, length);
    }
    CALL(write(fd, requests, n) == (ssize_t)n);
    CALL(shutdown(fd, SHUT_WR));
    uint32_t sum = SUM;
    unsigned char buffer[700];
    ssize_t r;
    long total = 0;
    while ((r = read(fd, buffer, sizeof buffer)) > 0) {
        sum = fold(sum, buffer, (size_t)r);
        total += r;
    }
    say("%zd total %ld sum %08x\n", r, total, sum);
    return 0;
}

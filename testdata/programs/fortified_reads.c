/* A program built with _FORTIFY_SOURCE (__read_chk, __recv_chk, __poll_chk and friends) does GETs. */
/* cflags: -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    volatile size_t size = (size_t)argc + 50; /* not known to the compiler, so the checks stay */
    char buffer[100];
    struct pollfd p[2] = {{.events = POLLIN}, {.fd = -1}};
    int fd = p[0].fd = dial();
    ask(fd, "/slow/20000");
    head(fd);
    long total = 0;
    while (total < 20000) {
        struct timespec limit = {10, 0};
        size_t want = 20000 - total < (long)size ? (size_t)(20000 - total) : size;
        if (poll(p, (nfds_t)(argc > 1 ? 2 : 1), 10000) != 1 || ppoll(p, (nfds_t)(argc > 1 ? 2 : 1), &limit, NULL) != 1)
            fail("poll");
        ssize_t n = total % 3 == 0   ? read(fd, buffer, want)
                    : total % 3 == 1 ? recv(fd, buffer, want, 0)
                                     : recvfrom(fd, buffer, want, 0, NULL, NULL);
        if (n <= 0)
            fail("read");
        total += n;
    }
    say("total %ld\n", total);
    get(fd, "/fixed/100");
    return 0;
}
